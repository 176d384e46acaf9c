"""The built-in photos: crops, at several scales, of color photographs that the wheel of
scikit-image carries.

They are for the machine without CIFAR-10 and without a network. Each photograph gives to all three
parts, from regions that share no pixel: one rectangle is for validation, one for test, and what
touches neither is for training.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from caelab.color import luminance
from caelab.data.image_set import TEST, TRAIN, VALIDATION, ImageSet, Source, fingerprint
from caelab.errors import InputError

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels; right and bottom are outside."""


@dataclass(frozen=True)
class Photo:
    """A photograph and its regions.

    Attributes:
        file: Its name in ``skimage/data``.
        crops: How many crops it gives.
        validation: Its rectangle for validation.
        test: Its rectangle for test.
        reduce: It is first made smaller by this factor; the rectangles count pixels after that.
    """

    file: str
    crops: int
    validation: Box
    test: Box
    reduce: int = 1


PHOTOS = (
    Photo("astronaut.png", 1300, validation=(0, 300, 160, 460), test=(345, 40, 505, 200)),
    Photo("chelsea.png", 1100, validation=(0, 150, 150, 300), test=(290, 70, 440, 220)),
    Photo("coffee.png", 1200, validation=(40, 20, 200, 180), test=(340, 230, 500, 390)),
    Photo("motorcycle_left.png", 1500, validation=(480, 20, 640, 180), test=(520, 290, 680, 450)),
    Photo("rocket.jpg", 1100, validation=(420, 60, 580, 220), test=(360, 260, 520, 420)),
    Photo("ihc.png", 800, validation=(20, 330, 180, 490), test=(330, 20, 490, 180)),
    Photo("retina.jpg", 500, validation=(290, 90, 440, 240), test=(150, 310, 300, 460), reduce=3),
    Photo(
        "hubble_deep_field.jpg",
        500,
        validation=(20, 20, 170, 170),
        test=(300, 250, 450, 400),
        reduce=2,
    ),
)

SIDES = {32: 0.15, 48: 0.2, 64: 0.25, 96: 0.2, 128: 0.2}
"""Side of a crop in pixels of the photograph → share of the crops."""

SHARES = {TRAIN: 0.8, VALIDATION: 0.1, TEST: 0.1}

_STEP = 3
_FLAT = 8.0
"""Crops whose luminance has a smaller standard deviation (of 255) show nothing: sky, blur,
black."""


def load_photos(*, size: int = 32, note: str = "") -> ImageSet:
    """Cut the built-in photos: about 8,000 images, the same ones on every machine, no file fetched.

    The crops lie at the same places whatever the ``size`` is; ``part`` fixes the part of each.

    Args:
        size: Side of the images, in pixels; larger than a crop, it is enlarged.
        note: Kept in the source.

    Raises:
        InputError: scikit-image does not carry one of the photographs.
    """
    images, parts = [], []
    for photo in PHOTOS:
        picture = open_photo(photo)
        for part, box in crop_boxes(photo, np.asarray(picture)):
            # Cropped before it is resized: the resizing filter would reach over the edge of a box.
            images.append(
                np.asarray(picture.crop(box).resize((size, size), Image.Resampling.LANCZOS))
            )
            parts.append(part)
    pixels = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    where = f"photographs of scikit-image {version('scikit-image')}"
    source = Source(name="photos", where=where, note=note, fingerprint=fingerprint(pixels, None))
    return ImageSet(
        images=pixels,
        labels=None,
        classes=(),
        source=source,
        part=np.array(parts, np.int8),
        official_test=None,
    )


def open_photo(photo: Photo) -> Image.Image:
    """Open the photograph in RGB, reduced.

    Raises:
        InputError: scikit-image does not carry it.
    """
    try:
        with (
            files("skimage").joinpath("data", photo.file).open("rb") as stream,
            Image.open(stream) as opened,
        ):
            return opened.convert("RGB").reduce(photo.reduce)
    except OSError as error:
        raise InputError(
            f"scikit-image {version('scikit-image')} does not carry {photo.file}, which the"
            " built-in photos are cut from. Install another version of it, or name your own data."
        ) from error


def crop_boxes(photo: Photo, pixels: NDArray[np.uint8]) -> Iterator[tuple[int, Box]]:
    """Yield the part and the place of every crop of a photograph.

    Args:
        photo: The photograph.
        pixels: uint8 (H, W, 3), the same, reduced.
    """
    for side, share_of_side in SIDES.items():
        lefts, tops = np.meshgrid(
            np.arange(0, pixels.shape[1] - side + 1, _STEP),
            np.arange(0, pixels.shape[0] - side + 1, _STEP),
        )
        interesting = _deviation(pixels, side)[tops, lefts] >= _FLAT
        for part, share in SHARES.items():
            if part == TRAIN:
                allowed = ~(
                    _touches(lefts, tops, side, photo.validation)
                    | _touches(lefts, tops, side, photo.test)
                )
            else:
                allowed = _inside(
                    lefts, tops, side, photo.validation if part == VALIDATION else photo.test
                )
            candidates = np.argwhere(interesting & allowed)
            count = min(round(photo.crops * share_of_side * share), len(candidates))
            for row, column in candidates[np.arange(count) * len(candidates) // max(count, 1)]:
                left, top = int(lefts[row, column]), int(tops[row, column])
                yield part, (left, top, left + side, top + side)


def _deviation(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    """Return the deviation of the luminance (BT.601) of every square of ``side``, (H − side + 1, W
    − side + 1).
    """
    luma = luminance(np.moveaxis(pixels.astype(np.float64), -1, 0))[0]

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        total: NDArray[np.float64] = (
            sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        )
        return total / side**2

    deviation: NDArray[np.float64] = np.sqrt((mean(luma**2) - mean(luma) ** 2).clip(0))
    return deviation


def _touches(
    lefts: NDArray[np.int_], tops: NDArray[np.int_], side: int, box: Box
) -> NDArray[np.bool_]:
    left, top, right, bottom = box
    return (lefts < right) & (lefts + side > left) & (tops < bottom) & (tops + side > top)


def _inside(
    lefts: NDArray[np.int_], tops: NDArray[np.int_], side: int, box: Box
) -> NDArray[np.bool_]:
    left, top, right, bottom = box
    return (lefts >= left) & (lefts + side <= right) & (tops >= top) & (tops + side <= bottom)
