"""Every layout gives the same images, and no damaged or hostile file gives any."""

import io
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from caelab.data.cifar10 import CLASSES, find_cifar10, parse_python
from caelab.data.image_set import ImageSet
from caelab.data.load import load_images
from caelab.data.split import split_images
from caelab.data.summary import channel_statistics, summarize
from caelab.errors import InputError

Write = Callable[[Path, Iterable[tuple[str, bytes, dict[str, object]]]], Path]

NAMES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")


def batch(index: int) -> tuple[np.ndarray, list[int]]:
    """Pixels (10000, 3072) and labels (1,000 of each class) of a batch; cheap to make and to
    compress."""
    row = (np.arange(3072) * (index + 3) % 251).astype(np.uint8)
    pixels = np.tile(row, (10_000, 1))
    pixels[:, :2] = np.arange(10_000, dtype=">u2").view(np.uint8).reshape(-1, 2)
    pixels[:, 2] = index
    return pixels, [(number * 7 + index) % 10 for number in range(10_000)]


def python_bytes(index: int, *, module: str = "numpy.core.multiarray", protocol: int = 2) -> bytes:
    """A batch as the authors' Python 2 wrote it (protocol 2), or as Python 3 writes it."""
    pixels, labels = batch(index)
    if protocol > 2:
        return pickle.dumps({"data": pixels, "labels": labels}, protocol=protocol)
    raw = pixels.tobytes()
    out = io.BytesIO()
    out.write(b"\x80\x02}(U\x06labels](")
    out.write(b"".join(b"K" + bytes([label]) for label in labels))
    out.write(
        b"eU\x04datac" + module.encode() + b"\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    )
    out.write(
        b"(K\x01M\x10'M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    out.write(b"\x89T" + len(raw).to_bytes(4, "little") + raw + b"tbu.")
    return out.getvalue()


def binary_bytes(index: int) -> bytes:
    pixels, labels = batch(index)
    return np.column_stack([np.array(labels, np.uint8), pixels]).tobytes()


WRITERS: dict[str, tuple[str, str, Callable[[int], bytes]]] = {
    "python": ("cifar-10-batches-py", "", python_bytes),
    "binary": ("cifar-10-batches-bin", ".bin", binary_bytes),
}


@pytest.fixture(scope="module")
def workroom() -> Iterator[Path]:
    # Not tmp_path: pytest keeps the last three of those, and these files are large.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def expected() -> str:
    from caelab.data.image_set import fingerprint

    pixels, labels = zip(*(batch(index) for index in range(6)), strict=True)
    return fingerprint(
        np.concatenate(pixels).reshape(-1, 3, 32, 32), np.concatenate(labels).astype(np.int64)
    )


def check(images: ImageSet, expected: str) -> None:
    assert images.source.fingerprint == expected
    assert images.images.shape == (60_000, 3, 32, 32)
    assert images.images.dtype == np.uint8
    assert images.images.flags.c_contiguous
    assert images.classes == CLASSES
    assert images.labels is not None
    assert images.labels.dtype == np.int64
    assert images.official_test is not None
    assert images.official_test.sum() == 10_000
    assert (images.images[images.official_test, 0, 0, 2] == 5).all()


@pytest.mark.parametrize("kind", WRITERS)
def test_layouts_as_folder_and_archive(
    kind: str, workroom: Path, expected: str, write_archive: Write
) -> None:
    folder, suffix, content = WRITERS[kind]
    place = workroom / kind / folder
    place.mkdir(parents=True)
    contents = {name + suffix: content(index) for index, name in enumerate(NAMES)}
    for name, data in contents.items():
        (place / name).write_bytes(data)
    contents["readme.html"] = b"hello"
    members = ((f"{folder}/{name}", data, {}) for name, data in reversed(contents.items()))
    path = write_archive(workroom / f"cifar-10-{kind}.tar.gz", members)
    contents.clear()

    check(load_images(place.parent), expected)
    check(load_images(path), expected)
    assert find_cifar10(place) == place
    assert load_images(place).source.where == str(place)


@pytest.mark.parametrize(
    "variant", [{"module": "numpy._core.multiarray"}, {"protocol": 3}, {"protocol": 4}], ids=str
)
def test_saved_again_by_a_newer_numpy_or_python(variant: dict[str, object]) -> None:
    pixels, labels = parse_python(python_bytes(3, **variant))  # type: ignore[arg-type]
    assert np.array_equal(pixels, batch(3)[0])
    assert labels.tolist() == batch(3)[1]


def fails(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_images(folder)
    message = str(caught.value)
    assert name in message
    assert "again" in message
    assert "\n" not in message
    return message


def test_truncated_batches(tmp_path: Path) -> None:
    assert "truncated" in fails(tmp_path, "data_batch_1", python_bytes(0)[:1_000_000])


def test_truncated_binary(tmp_path: Path) -> None:
    assert "bytes instead of 30730000" in fails(tmp_path, "data_batch_1.bin", binary_bytes(0)[:-1])


def test_binary_labels_above_nine(tmp_path: Path) -> None:
    content = bytearray(binary_bytes(0))
    content[3073] = 10
    assert "labels above 9" in fails(tmp_path, "data_batch_1.bin", bytes(content))


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file", bytes(2000)], ids=len)
@pytest.mark.parametrize("packed", [False, True])
def test_the_matlab_version_is_not_read(
    packed: bool, content: bytes, tmp_path: Path, write_archive: Write
) -> None:
    folder = tmp_path / "cifar-10-batches-mat"
    if packed:
        members = [(f"{folder.name}/data_batch_1.mat", content, {})]
        write_archive(tmp_path / "cifar-10-matlab.tar.gz", members)
    else:
        folder.mkdir()
        (folder / "data_batch_1.mat").write_bytes(content)
    with pytest.raises(InputError, match=r"data_batch_1\.mat .*Python version") as caught:
        load_images(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_oversized_batch_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "data_batch_1").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(InputError, match="far larger than a batch"):
        load_images(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": [0] * 9_999}, "10000 numbers"),
        ({"labels": [10] * 10_000}, "numbers from 0 to 9"),
        ({"labels": [True] * 10_000}, "numbers from 0 to 9"),
        ({"labels": 10**6}, "numbers from 0 to 9"),
        ({"data": np.zeros((9_999, 3072), np.uint8)}, "10000×3072"),
        ({"data": np.zeros((3072, 10_000), np.uint8)}, "10000×3072"),
        ({"data": np.zeros((10, 3072), np.float32)}, "10000×3072 bytes"),
        ({"data": np.array([{}], object)}, "10000×3072 bytes"),
        ({"data": np.asfortranarray(np.zeros((10_000, 3072), np.uint8))}, "C order"),
        ({"data": b"x"}, "10000×3072"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pickles_of_other_things(change: dict[str, object], reason: str, tmp_path: Path) -> None:
    content = {"data": np.zeros((10_000, 3072), np.uint8), "labels": [0] * 10_000, **change}
    assert reason in fails(tmp_path, "data_batch_1", pickle.dumps(content, protocol=4))


def test_missing_batches_are_named(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(binary_bytes(0))
    with pytest.raises(InputError, match=r"data_batch_2, .*test_batch missing"):
        load_images(tmp_path)


def test_an_archive_without_batches(tmp_path: Path, write_archive: Write) -> None:
    path = write_archive(tmp_path / "cifar-10-python.tar.gz", [("readme.html", b"hello", {})])
    with pytest.raises(InputError, match=r"data_batch_1, .*test_batch missing"):
        load_images(path)


def test_batches_of_both_versions_are_the_same(tmp_path: Path, expected: str) -> None:
    for index, name in enumerate(NAMES):
        writer, suffix = ((python_bytes, ""), (binary_bytes, ".bin"))[index % 2]
        (tmp_path / f"{name}{suffix}").write_bytes(writer(index))
    check(load_images(tmp_path), expected)


@pytest.mark.cifar10
def test_the_real_thing(cifar10_path: Path) -> None:
    images = load_images(cifar10_path)
    split = split_images(images)
    summary = summarize(images, split)
    assert summary.counts == {"train": 48_000, "validation": 6_000, "test": 6_000}
    assert all(
        counts == {"train": 4_800, "validation": 600, "test": 600}
        for counts in summary.class_counts.values()
    )
    assert summary.official_train is not None
    assert summary.official_train.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=5e-5)
    assert summary.official_train.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=5e-5)
    assert sum(summary.duplicates.values()) == 0

    official = split_images(images, mode="official")
    assert [len(part) for part in (official.train, official.validation, official.test)] == [
        45_000,
        5_000,
        10_000,
    ]
    assert np.array_equal(official.test, np.arange(50_000, 60_000))
    everything = channel_statistics(
        [images.images[np.concatenate([official.train, official.validation])]]
    )
    assert everything == summary.official_train
