"""An image cache has the images of memory, trains to the same bits, and survives interruptions."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from caelab.cli import caelab
from caelab.data import folder as folder_module
from caelab.data import pixel_store
from caelab.data.device_images import DeviceImages
from caelab.data.image_cache import complete_cache, read_cache
from caelab.data.image_set import ImageSet
from caelab.data.load import load_images
from caelab.data.mapped_file import chunks, mapped_file
from caelab.data.pixel_store import open_store
from caelab.data.shared_memory import share_images
from caelab.errors import InputError


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures of noise in two classes and two parts; one is broken."""
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0).integers(0, 256, (40, 20, 30, 3), np.uint8)
    for index, pixels in enumerate(noise):
        path = folder / ("test" if index % 4 == 0 else "train") / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (folder / "train" / "a" / "2.png").write_bytes(b"no picture")
    return folder


def call(*words: object) -> Result:
    return CliRunner().invoke(caelab, list(map(str, words)))


def cached(source: str | Path, cache: Path, **options: int) -> ImageSet:
    """The images of a source, by way of an image cache."""
    with open_store(cache) as store:
        complete_cache(load_images(source, store=store, **options), store)
    return read_cache(cache)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_images_are_those_of_memory(pictures: Path, tmp_path: Path, channels: int) -> None:
    expected = load_images(pictures, size=8, channels=channels)
    found = cached(pictures, tmp_path, size=8, channels=channels)
    assert mapped_file(found.images) == tmp_path / "pixels.bin"
    assert mapped_file(expected.images) is None
    for name in ("images", "labels", "part"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert (found.classes, found.source.fingerprint) == (
        expected.classes,
        expected.source.fingerprint,
    )
    assert found.source.note == expected.source.note
    assert "1 of 40" in found.source.note
    # The same command again finds everything done.
    assert np.array_equal(
        cached(pictures, tmp_path, size=8, channels=channels).images, found.images
    )


def test_arrays_can_be_cached(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 6, 4), np.uint8)
    np.savez(tmp_path / "data.npz", images=pixels, labels=np.arange(30) % 3)
    found = cached(tmp_path / "data.npz", tmp_path / "cache")
    expected = load_images(tmp_path / "data.npz")
    assert np.array_equal(found.images, expected.images)
    assert found.source.fingerprint == expected.source.fingerprint


@pytest.mark.parametrize("source", ["pictures", "photos"])
def test_a_relative_folder_and_every_source_will_do(
    source: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = str(pictures) if source == "pictures" else source
    assert call("data", "--data", named, "--size", "8", "--cache", "cache").exit_code == 0
    found, expected = load_images("cache"), load_images(named, size=8)
    for name in ("images", "part"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert found.source.fingerprint == expected.source.fingerprint


def test_parts_of_a_file_are_read_when_needed(pictures: Path, tmp_path: Path) -> None:
    images = cached(pictures, tmp_path, size=8)
    rows = np.array([3, 4, 5, 30, 7])
    here = DeviceImages.of(
        np.array(images.images), rows, device=torch.device("cpu"), labels=images.labels
    )
    there = DeviceImages.of(images.images, rows, device=torch.device("cpu"), labels=images.labels)
    assert there.in_file
    assert not here.in_file
    assert there.flat.numel() == 0
    for chosen in (slice(1, 4), torch.tensor([4, 0, 1, 1])):
        assert torch.equal(here.batch(chosen), there.batch(chosen))
    some = np.array([2, 0])
    assert torch.equal(here.at(some).batch(slice(2)), there.at(some).batch(slice(2)))
    assert torch.equal(here.at(some).labels, there.at(some).labels)  # type: ignore[arg-type]
    pixels, positions = there.located(torch.tensor([4, 2]))
    assert torch.equal(pixels[positions], here.flat[[4, 2]])
    gathered = np.concatenate(list(chunks(images.images, rows)))
    assert np.array_equal(gathered, images.images[rows])


def test_other_processes_open_the_file_itself(pictures: Path, tmp_path: Path) -> None:
    images = cached(pictures, tmp_path, size=8)
    with share_images(images) as shared:
        assert shared is not None
        assert shared.file == tmp_path / "pixels.bin"
        sent = pickle.dumps(shared)
        assert len(sent) < 10_000
        assert np.array_equal(pickle.loads(sent).open().images, images.images)
    assert shared.file.exists()


def test_training_gives_the_same_bits(pictures: Path, tmp_path: Path) -> None:
    cached(pictures, tmp_path / "cache", size=8)
    options = ["--size", "8", "--epochs", "2", "--batch-size", "16", "--threads", "1"]
    weights = []
    for data, out in ((pictures, "memory"), (tmp_path / "cache", "file")):
        run = tmp_path / out
        result = call("train", "conv4 pool | up conv3", "--data", data, "--out", run, *options)
        assert result.exit_code == 0, result.output
        weights.append((run / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_it_continues_after_an_interruption(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "_AT_ONCE", 4)
    monkeypatch.setattr(pixel_store, "SAVE_SECONDS", 0)
    read = folder_module.read_picture
    calls: list[object] = []

    def interrupted(picture: Path, **options: int) -> np.ndarray:
        calls.append(picture)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return read(picture, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(folder_module, "read_picture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cached(pictures, tmp_path, size=8)
    with pytest.raises(InputError, match="not complete"):
        load_images(tmp_path)
    # A process that is killed while it writes a file leaves a temporary file.
    (tmp_path / ".caelab-0123.json").touch()
    # What is behind the recorded images is cut off.
    with (tmp_path / "pixels.bin").open("ab") as stream:
        stream.write(b"half an image")
    calls = [None] * 100
    found = cached(pictures, tmp_path, size=8)
    assert 0 < len(calls) - 100 < 20
    assert np.array_equal(found.images, load_images(pictures, size=8).images)


@pytest.mark.parametrize("damage", ["byte", "short", "index", "arrays", "version", "shape"])
def test_damage_is_found(pictures: Path, tmp_path: Path, damage: str) -> None:
    cached(pictures, tmp_path, size=8)
    pixels, index = tmp_path / "pixels.bin", tmp_path / "index.json"
    content = bytearray(pixels.read_bytes())
    content[1000] ^= 1
    document = json.loads(index.read_text())
    if damage == "byte":
        pixels.write_bytes(content)
    elif damage == "short":
        pixels.write_bytes(content[:-1])
    elif damage == "index":
        index.write_text("{")
    elif damage == "arrays":
        (tmp_path / "arrays.npz").write_bytes(b"PK")
    elif damage == "version":
        index.write_text(json.dumps({**document, "version": 9}))
    else:
        index.write_text(json.dumps({**document, "shape": [1, 2, "3", 4]}))
    with pytest.raises(InputError, match="damaged"):
        load_images(tmp_path)


def test_refusals(pictures: Path, tmp_path: Path) -> None:
    cached(pictures, tmp_path / "cache", size=8)
    with pytest.raises(InputError, match="other pictures"):
        cached(pictures, tmp_path / "cache", size=9)
    with pytest.raises(InputError, match="other files"):
        cached(pictures, pictures, size=8)
    with open_store(tmp_path / "busy"), pytest.raises(InputError, match="another process"):
        cached(pictures, tmp_path / "busy", size=8)
    with pytest.raises(InputError, match="8×8"):
        load_images(tmp_path / "cache", size=16)
    (tmp_path / "file").touch()
    result = call("data", "--data", pictures, "--cache", tmp_path / "file")
    assert isinstance(result.exception, InputError)


def test_a_full_disk_keeps_what_is_complete(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "_AT_ONCE", 4)
        patched.setattr(pixel_store, "SAVE_SECONDS", 0)
        fsync, left = pixel_store.os.fsync, iter(range(4))

        def full(descriptor: int) -> None:
            if next(left, None) is None:
                raise OSError(28, "No space left on device")
            fsync(descriptor)

        patched.setattr(pixel_store.os, "fsync", full)
        with pytest.raises(InputError, match="No space left"):
            cached(pictures, tmp_path, size=8)
    assert np.array_equal(
        cached(pictures, tmp_path, size=8).images, load_images(pictures, size=8).images
    )


def test_the_command_writes_and_describes(pictures: Path, tmp_path: Path) -> None:
    command = ["data", "--data", pictures, "--size", "8", "--json"]
    expected = json.loads(call(*command).stdout)
    found = json.loads(call(*command, "--cache", tmp_path).stdout)
    assert expected.pop("source")["fingerprint"] == found.pop("source")["fingerprint"]
    assert found == expected
