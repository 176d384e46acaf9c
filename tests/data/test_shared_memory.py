import pickle
from pathlib import Path

import numpy as np
import pytest

from caelab.data.image_set import ImageSet
from caelab.data.load import load_images
from caelab.data.shared_memory import SharedImages, share_images


@pytest.fixture
def images(pictures: Path) -> ImageSet:
    return load_images(pictures, size=16)


def test_another_process_has_the_same_images_as_long_as_it_wants(images: ImageSet) -> None:
    with share_images(images) as told:
        assert told is not None
        sent = pickle.dumps(told)
        assert len(sent) < images.images.nbytes / 4
        received: SharedImages = pickle.loads(sent)
        borrowed = received.open()
        assert received.file.is_file()
    assert not received.file.exists()
    np.testing.assert_array_equal(borrowed.images, images.images)
    assert borrowed.images.dtype == images.images.dtype
    np.testing.assert_equal(borrowed.labels, images.labels)
    assert (borrowed.source, borrowed.classes) == (images.source, images.classes)
    with pytest.raises(ValueError, match="read-only"):
        borrowed.images[0] = 0
    with pytest.raises(FileNotFoundError):
        received.open()


def test_the_file_is_deleted_when_the_block_fails(images: ImageSet) -> None:
    told: list[SharedImages | None] = []

    def fail() -> None:
        with share_images(images) as one:
            told.append(one)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert told[0] is not None
    assert not told[0].file.parent.exists()


def test_without_room_there_are_none(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Path, array: np.ndarray) -> None:
        file.write_bytes(array.tobytes()[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with share_images(images) as told:
        assert told is None
