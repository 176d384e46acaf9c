"""The built-in photos are honest: no pixel of a photograph serves two parts."""

import numpy as np
import pytest

from caelab.data import builtin_photos
from caelab.data.builtin_photos import PHOTOS, Photo, crop_boxes, open_photo
from caelab.data.image_set import TEST, TRAIN, VALIDATION, ImageSet
from caelab.data.load import load_images
from caelab.data.split import split_images
from caelab.data.summary import summarize


@pytest.fixture(scope="module")
def photos() -> ImageSet:
    return load_images("photos")


def test_there_are_several_thousand_split_80_10_10(photos: ImageSet) -> None:
    split = split_images(photos, seed=3)
    total = len(photos.images)
    assert 7_000 <= total <= 9_000
    assert photos.images.shape == (total, 3, 32, 32)
    assert len(split.train) == pytest.approx(0.8 * total, rel=0.02)
    assert len(split.validation) == pytest.approx(0.1 * total, rel=0.05)
    assert len(split.test) == pytest.approx(0.1 * total, rel=0.05)
    assert (photos.part[split.test] == TEST).all()  # type: ignore[index]
    assert photos.source.where.startswith("photographs of scikit-image 0.")


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.file)
def test_no_pixel_is_shared(photo: Photo) -> None:
    pixels = np.asarray(open_photo(photo))
    used = {part: np.zeros(pixels.shape[:2], bool) for part in (TRAIN, VALIDATION, TEST)}
    sides = set()
    for part, (left, top, right, bottom) in crop_boxes(photo, pixels):
        assert 0 <= left < right <= pixels.shape[1]
        assert 0 <= top < bottom <= pixels.shape[0]
        assert right - left == bottom - top
        sides.add((part, right - left))
        used[part][top:bottom, left:right] = True
    assert sum(mask.astype(int) for mask in used.values()).max() == 1
    assert {side for _, side in sides} == set(builtin_photos.SIDES)
    assert {part for part, _ in sides} == set(used)


def test_they_are_worth_learning_from(photos: ImageSet) -> None:
    assert photos.images.std(axis=(1, 2, 3)).min() > 1
    assert np.median(photos.images.std(axis=(2, 3)).mean(axis=1)) > 25
    duplicates = summarize(photos, split_images(photos)).duplicates
    assert duplicates == {"train–validation": 0, "train–test": 0, "validation–test": 0}
    assert len({image.tobytes() for image in photos.images}) == len(photos.images)


def test_they_are_the_same_every_time_and_at_every_size(
    photos: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtin_photos, "PHOTOS", PHOTOS[:1])
    first, again, large = (
        load_images("photos"),
        load_images("photos"),
        load_images("photos", size=64),
    )
    assert first.source.fingerprint == again.source.fingerprint != large.source.fingerprint
    assert np.array_equal(first.images, photos.images[: len(first.images)])
    assert large.images.shape == (len(first.images), 3, 64, 64)
    assert np.array_equal(first.part, large.part)  # type: ignore[arg-type]
    shrunk = large.images.reshape(-1, 3, 32, 2, 32, 2).mean(axis=(3, 5))
    assert np.abs(shrunk - first.images).mean() < 4
