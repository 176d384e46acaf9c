"""Data sets as people have them on the disk: arrays, MNIST, CIFAR-100, Parquet."""

import gzip
import io
import json
import pickle
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from caelab.data import cifar100
from caelab.data.image_set import TEST, VALIDATION
from caelab.data.load import load_images
from caelab.data.split import split_images
from caelab.errors import InputError

Write = Callable[[Path, Iterable[tuple[str, bytes, dict[str, object]]]], Path]

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 6, 8), np.uint8)
LABELS = np.arange(12) % 3


# Arrays


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (IMAGES, IMAGES[:, None]),
        (IMAGES[..., None], IMAGES[:, None]),
        (IMAGES[:, None], IMAGES[:, None]),
        (IMAGES / 255, IMAGES[:, None]),
        ((IMAGES / 255).astype(np.float32), IMAGES[:, None]),
        (IMAGES.astype(np.float64), IMAGES[:, None]),
        (IMAGES.astype(np.int64), IMAGES[:, None]),
        (IMAGES > 99, (IMAGES[:, None] > 99) * 255),
        (np.stack([IMAGES] * 3, 3), np.stack([IMAGES] * 3, 1)),
        (np.stack([IMAGES] * 2, 1), np.stack([IMAGES] * 2, 1)),
    ],
    ids=lambda value: f"{value.dtype} {value.shape}",
)
def test_arrays_of_every_usual_form(
    stored: np.ndarray, expected: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", stored)
    found = load_images(tmp_path / "a.npy")
    assert found.images.dtype == np.uint8
    assert np.array_equal(found.images, expected)
    assert (found.source.name, found.labels, found.part) == ("array", None, None)


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("X_train", "Y_train", "X_test", "Y_test"),
    ],
    ids=str,
)
def test_arrays_by_part_keep_their_test_set(names: tuple[str, ...], tmp_path: Path) -> None:
    # Keras and MedMNIST have a column of labels.
    columns = [IMAGES[:9], LABELS[:9, None], IMAGES[9:], LABELS[9:, None]]
    np.savez(tmp_path / "a.npz", **dict(zip(names, columns, strict=True)))
    found = load_images(tmp_path / "a.npz")
    assert np.array_equal(found.images[:, 0], IMAGES)
    assert found.labels is not None
    assert found.labels.tolist() == LABELS.tolist()
    assert found.classes == ("0", "1", "2")
    assert split_images(found).test.tolist() == [9, 10, 11]


def test_a_validation_part_and_other_names(tmp_path: Path) -> None:
    parts = {"train_images": IMAGES[:6], "val_images": IMAGES[6:9], "test_images": IMAGES[9:]}
    np.savez(tmp_path / "a.npz", **parts)
    part = load_images(tmp_path / "a.npz").part
    assert part is not None
    assert part[6:].tolist() == [VALIDATION] * 3 + [TEST] * 3
    names = np.array(["cat", "dog", "cat"] * 4)
    np.savez(tmp_path / "b.npz", images=IMAGES, labels=names)
    found = load_images(tmp_path / "b.npz")
    assert found.classes == ("cat", "dog")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 0] * 4
    np.savez(tmp_path / "c.npz", anything=IMAGES)
    assert len(load_images(tmp_path / "c.npz").images) == 12
    # Positions of something, one pair for an image, are no classes.
    np.savez(tmp_path / "d.npz", images=IMAGES, labels=RNG.random((12, 2)))
    assert load_images(tmp_path / "d.npz").labels is None


def test_size_and_channels_are_what_the_configuration_says(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES)
    with pytest.raises(InputError, match=r"`data.size` 6x8 and `data.channels` 1\.$"):
        load_images(tmp_path / "a.npy", size=32, channels=3)
    assert load_images(tmp_path / "a.npy", size=(6, 8), channels=1).images.shape == (12, 1, 6, 8)
    colors = np.zeros((2, 6, 8, 3), np.uint8)
    colors[1] = (0, 0, 255)
    np.save(tmp_path / "b.npy", colors)
    gray = load_images(tmp_path / "b.npy", channels=1)
    # Blue has a luma of 0.114.
    assert gray.images[:, 0, 0, 0].tolist() == [0, 29]
    assert gray.source.fingerprint != load_images(tmp_path / "b.npy").source.fingerprint


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a file has run code",))


def test_objects_are_never_loaded(tmp_path: Path) -> None:
    trap = np.array([Trap()], object)
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "b.npz", images=trap)
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Trap()))
    for name in ("a.npy", "b.npz", "c.npy"):
        with pytest.raises(InputError, match="cannot be read as NumPy's arrays"):
            load_images(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("length", [0, 7, 90, -30])
def test_damaged_arrays(name: str, length: int, tmp_path: Path) -> None:
    path = tmp_path / name
    (np.save if name == "a.npy" else np.savez)(path, IMAGES)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match="damaged"):
        load_images(path)


def test_a_header_that_is_no_python(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES)
    content = (tmp_path / "a.npy").read_bytes()
    # NumPy reads the header by Python's own tokens, whose errors are of their own kind.
    (tmp_path / "a.npy").write_bytes(content.replace(b"}", b" "))
    with pytest.raises(InputError, match="damaged") as caught:
        load_images(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (np.zeros(3), "are float64"),
        (np.zeros((0, 4, 4)), "are float64"),
        (np.full((2, 4, 4), np.nan), "reach from nan"),
        (np.full((2, 4, 4), -1.0), "from -1 to 0"),
        (np.full((2, 4, 4), 256), "from 0 to 256"),
        (np.full((2, 4, 4), "a"), "are <U1"),
    ],
    ids=str,
)
def test_arrays_that_are_no_images(stored: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", stored)
    with pytest.raises(InputError, match=message) as caught:
        load_images(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)


def test_archives_of_arrays_that_are_no_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, codes=IMAGES, weights=IMAGES)
    with pytest.raises(InputError, match="holds codes, weights"):
        load_images(path)
    np.savez(path, images=IMAGES, labels=LABELS[:5])
    with pytest.raises(InputError, match=r"\[12\] images there are \[5\] classes"):
        load_images(path)
    np.savez(path, x_train=IMAGES, x_test=IMAGES[:, :4])
    with pytest.raises(InputError, match="different shapes"):
        load_images(path)
    # A few kilobytes of zip can become gigabytes.
    monkeypatch.setenv("CAELAB_MAX_MEMORY", "20K")
    np.savez_compressed(path, images=np.zeros((100, 20, 20), np.uint8))
    with pytest.raises(InputError, match="unpacks to more"):
        load_images(path)


# MNIST


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder: Path, *, packed: bool, dot: str = "-") -> None:
    folder.mkdir(parents=True)
    for word, rows in (("train", slice(9)), ("t10k", slice(9, None))):
        for name, array in (("images", IMAGES[rows]), ("labels", LABELS[rows].astype(np.uint8))):
            content = idx(array)
            path = folder / f"{word}-{name}{dot}idx{array.ndim}-ubyte{'.gz' * packed}"
            path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("place", ["", "MNIST/raw", "fashion-mnist"])
def test_mnist_where_torchvision_and_keras_keep_it(
    place: str, packed: bool, tmp_path: Path
) -> None:
    write_mnist(tmp_path / "data" / place, packed=packed, dot="." if packed else "-")
    found = load_images(tmp_path / "data")
    assert np.array_equal(found.images[:, 0], IMAGES)
    assert found.labels is not None
    assert found.labels.tolist() == LABELS.tolist()
    assert split_images(found).test.tolist() == [9, 10, 11]
    file = next((tmp_path / "data" / place).glob("train-images*"))
    assert load_images(file).source.fingerprint == found.source.fingerprint


@pytest.mark.parametrize("change", ["short", "long", "magic", "huge", "gzip"])
def test_damaged_mnist(change: str, tmp_path: Path) -> None:
    write_mnist(tmp_path / "raw", packed=change == "gzip")
    path = next((tmp_path / "raw").glob("train-images*"))
    content = path.read_bytes()
    path.write_bytes(
        {
            "short": content[:-1],
            "long": content + b"x",
            "magic": b"\0\0\x0d\3" + content[4:],
            "huge": content[:4] + b"\xff" * 12 + content[16:],
            "gzip": content[:-9],
        }[change]
    )
    with pytest.raises(InputError, match="cannot be read as an IDX file"):
        load_images(tmp_path)


def test_mnist_without_its_labels(tmp_path: Path) -> None:
    write_mnist(tmp_path / "raw", packed=False)
    next((tmp_path / "raw").glob("t10k-labels*")).unlink()
    with pytest.raises(InputError, match="lacks the labels of MNIST's test part"):
        load_images(tmp_path)


# CIFAR


CIFAR = RNG.integers(0, 256, (30, 3072), np.uint8)
FINE = [99, *range(29)]


@pytest.fixture
def small_cifar100(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Files of a CIFAR-100 of 20 and 10 images."""
    monkeypatch.setattr(cifar100, "COUNTS", {"train": 20, "test": 10})
    files = {
        name: pickle.dumps(
            {
                "filenames": [f"{index}.png" for index in range(len(FINE[rows]))],
                "batch_label": "a batch",
                "fine_labels": FINE[rows],
                "coarse_labels": [0] * len(FINE[rows]),
                "data": CIFAR[rows],
            },
            protocol=3,
        )
        for name, rows in (("train", slice(20)), ("test", slice(20, None)))
    }
    names = {"fine_label_names": [f"fine_{index}" for index in range(100)]}
    names["coarse_label_names"] = ["animal", "plant"]
    return files | {"meta": pickle.dumps(names, protocol=3)}


@pytest.mark.parametrize("where", ["folder", ".tar.gz", ".tar"])
def test_cifar100(
    where: str, small_cifar100: dict[str, bytes], tmp_path: Path, write_archive: Write
) -> None:
    if where == "folder":
        folder = tmp_path / "deep" / "cifar-100-python"
        folder.mkdir(parents=True)
        for name, content in small_cifar100.items():
            (folder / name).write_bytes(content)
    else:
        path = tmp_path / f"cifar-100-python{where}"
        members = [(f"cifar-100-python/{name}", each, {}) for name, each in small_cifar100.items()]
        write_archive(path, members)
        if where == ".tar":
            path.write_bytes(gzip.decompress(path.read_bytes()))
        assert load_images(path).source.where == str(path)
    found = load_images(tmp_path)
    assert found.source.name == "cifar100"
    assert np.array_equal(found.images.reshape(30, -1), CIFAR)
    assert found.labels is not None
    assert found.labels.tolist() == FINE
    assert (len(found.classes), found.classes[99]) == (100, "fine_99")
    assert split_images(found).test.tolist() == list(range(20, 30))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train", pickle.dumps({"data": CIFAR[:20], "fine_labels": [100] * 20}), "0 to 99"),
        ("test", b"", "truncated"),
        ("test", pickle.dumps(Trap()), "not an array"),
    ],
)
def test_damaged_cifar100(
    name: str, content: bytes, message: str, small_cifar100: dict[str, bytes], tmp_path: Path
) -> None:
    for each, usual in small_cifar100.items():
        (tmp_path / each).write_bytes(content if each == name else usual)
    with pytest.raises(InputError, match=f"{name} is not a file of CIFAR-100: .*{message}"):
        load_images(tmp_path)


# Parquet


def write_parquet(path: Path, columns: dict[str, list[Any]], names: list[str] | None) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    table = arrow.table(columns)
    if names:
        features = {"info": {"features": {"label": {"names": names}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    parquet.write_table(table, path)


def encoded(gray: int) -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), (gray, gray, gray)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": "/etc/passwd"}


@pytest.mark.parametrize("place", ["", "data"])
def test_pictures_in_parquet(place: str, tmp_path: Path) -> None:
    for word, grays in (
        ("train-00000-of-00001", range(20)),
        ("test-00000-of-00001", range(20, 24)),
    ):
        columns = {"label": [gray % 2 for gray in grays], "image": [*map(encoded, grays)]}
        write_parquet(tmp_path / place / f"{word}.parquet", columns, ["cat", "dog"])
    found = load_images(tmp_path, size=8, channels=1)
    # Files are taken in the order of their names.
    assert found.images.shape == (24, 1, 8, 8)
    assert found.images[:, 0, 0, 0].tolist() == [*range(20, 24), *range(20)]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1] * 12
    assert found.classes == ("cat", "dog")
    assert split_images(found).test.tolist() == [0, 1, 2, 3]


def test_parquet_without_pictures_or_damaged(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", {"text": ["a"], "label": [1]}, None)
    with pytest.raises(InputError, match="holds no pictures: none of its columns, text, label"):
        load_images(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        load_images(tmp_path / "b.parquet")
    write_parquet(tmp_path / "c.parquet", {"image": [b"no picture"] * 3}, None)
    with pytest.raises(InputError, match="3 of 3 pictures cannot be read"):
        load_images(tmp_path / "c.parquet")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match=r"pip install '(pyarrow|caelab\[parquet\])"):
        load_images(tmp_path / "a.parquet")
