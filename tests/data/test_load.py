"""What is taken when this or that, or nothing, is named."""

from pathlib import Path

import pytest
from PIL import Image

from caelab.data import builtin_photos, load
from caelab.data.load import load_images
from caelab.errors import InputError


@pytest.fixture(autouse=True)
def _quick_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin_photos, "PHOTOS", builtin_photos.PHOTOS[-1:])


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No data anywhere: an empty home and working folder, and a cache folder (given) that does not
    exist yet."""
    monkeypatch.delenv("CAELAB_DATA", raising=False)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(load, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("CAELAB_CIFAR10_URL", "http://127.0.0.1:9/nothing")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The places that CIFAR-10 is read from, instead of reading it."""
    places: list[Path] = []

    def remember(path: Path) -> object:
        places.append(path.absolute())
        return builtin_photos.load_photos()

    monkeypatch.setattr(load, "read_cifar10", remember)
    monkeypatch.setattr(load, "LAYOUTS", [(load.find_cifar10, remember)])
    return places


def test_offline_the_photos_are_taken_and_it_is_said(
    bare_machine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = load_images()
    assert images.source.name == "photos"
    assert images.source.note.startswith(
        "these are the built-in photos, not CIFAR-10: it is not on this machine, and"
    )
    assert "cannot be reached" in images.source.note
    assert caplog.messages == [images.source.note]
    assert not bare_machine.exists()


def test_photos_by_name_need_no_words(bare_machine: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_images("photos").source.note == ""
    assert caplog.messages == []


def test_insisting_on_cifar10(bare_machine: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_images("cifar10")
    message = str(caught.value)
    assert (
        "CIFAR-10 is not on this machine, and http://127.0.0.1:9/nothing cannot be reached"
        in message
    )
    assert "CAELAB_DATA" in message


@pytest.mark.parametrize(
    "place",
    [
        "cache/cifar-10-python.tar.gz",
        "cache/cifar-10-batches-py/test_batch",
        "data/cifar-10-batches-py/data_batch_1",
        "data/cifar-10-binary.tar.gz",
        ".keras/datasets/cifar-10-batches-py/test_batch",
        ".keras/datasets/cifar-10-batches-py.tar.gz",
        ".keras/datasets/cifar-10-batches-py-target/cifar-10-batches-py/test_batch",
    ],
)
@pytest.mark.parametrize("data", ["auto", "cifar10"])
def test_where_it_is_looked_for(
    place: str, data: str, bare_machine: Path, read: list[Path]
) -> None:
    file = bare_machine.parent / place
    file.parent.mkdir(parents=True)
    file.touch()
    load_images(data)
    assert read == [file if place.endswith("gz") else file.parent]


def test_the_environment_comes_first(
    bare_machine: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for folder in ("named", "data"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cifar-10-python.tar.gz").touch()
    monkeypatch.setenv("CAELAB_DATA", str(tmp_path / "named"))
    load_images()
    load_images("cifar10")
    assert read == [tmp_path / "named" / "cifar-10-python.tar.gz"] * 2


def test_the_environment_may_name_pictures_or_photos(
    bare_machine: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    Image.new("RGB", (9, 9), "red").save(tmp_path / "mine" / "a.png")
    monkeypatch.setenv("CAELAB_DATA", "~/mine")
    assert load_images(size=16).images.shape == (1, 3, 16, 16)
    with pytest.raises(InputError, match="CIFAR-10 is not on this machine"):
        load_images("cifar10")
    monkeypatch.setenv("CAELAB_DATA", "photos")
    assert load_images().source.name == "photos"
    monkeypatch.setenv("CAELAB_DATA", str(tmp_path / "gone"))
    with pytest.raises(InputError, match=r"there is no .*gone \(which CAELAB_DATA names\)"):
        load_images()


def test_a_damaged_find_is_no_reason_for_photos(bare_machine: Path) -> None:
    place = bare_machine / "cifar-10-batches-py"
    place.mkdir(parents=True)
    (place / "data_batch_1").write_bytes(b"\x80\x02}U\x06labels](")
    for data in ("auto", "cifar10"):
        with pytest.raises(InputError, match="data_batch_1 is not a batch of CIFAR-10"):
            load_images(data)


def test_cifar10_has_one_size(bare_machine: Path) -> None:
    with pytest.raises(InputError, match="CIFAR-10 has 32×32 pixels, not 64×64"):
        load_images(size=64)


@pytest.mark.parametrize("name", ["nowhere", "~nobody-of-this-name/data", "a\0b", "x" * 5000])
def test_paths_that_are_not_there(name: str, bare_machine: Path) -> None:
    with pytest.raises(InputError, match="there is no"):
        load_images(name)


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="neither a folder nor a file of images"):
        load_images(tmp_path / "notes.txt")
