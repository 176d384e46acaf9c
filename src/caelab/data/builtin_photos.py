"""The built-in photos: crops of scikit-image's photographs at several scales.

The photos are for machines without CIFAR-10 and without internet. Each photograph has a rectangle
for validation crops and another for test crops. Training crops touch neither rectangle, so that two
parts never share a pixel.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter

from caelab.color import luminance
from caelab.data.folder import crop_center
from caelab.data.image_set import FREE, TEST, TRAIN, VALIDATION, ImageSet, Source, fingerprint
from caelab.errors import InputError

Box = tuple[int, int, int, int]
"""Left, top, right and bottom edge in pixels; the last column is ``right - 1``."""


@dataclass(frozen=True)
class Photo:
    """A photograph, and where its validation and test crops are.

    Attributes:
        file: Name of the photograph's file in ``skimage/data``.
        crops: Number of crops of all parts; fewer if there is no room for them.
        validation: Rectangle of the validation crops, in pixels of the reduced photograph.
        test: Rectangle of the test crops, in pixels of the reduced photograph.
        reduce: Factor by which height and width of the photograph are divided before it is cropped.
    """

    file: str
    crops: int
    validation: Box
    test: Box
    reduce: int = 1


PHOTOS = (
    Photo("astronaut.png", 1300, (0, 300, 160, 460), (345, 40, 505, 200)),
    Photo("chelsea.png", 1100, (0, 150, 150, 300), (290, 70, 440, 220)),
    Photo("coffee.png", 1200, (40, 20, 200, 180), (340, 230, 500, 390)),
    Photo("motorcycle_left.png", 1500, (480, 20, 640, 180), (520, 290, 680, 450)),
    Photo("rocket.jpg", 1100, (420, 60, 580, 220), (360, 260, 520, 420)),
    Photo("ihc.png", 800, (20, 330, 180, 490), (330, 20, 490, 180)),
    Photo("retina.jpg", 500, (290, 90, 440, 240), (150, 310, 300, 460), reduce=3),
    Photo("hubble_deep_field.jpg", 500, (20, 20, 170, 170), (300, 250, 450, 400), reduce=2),
)

SIDES = {32: 0.15, 48: 0.2, 64: 0.25, 96: 0.2, 128: 0.2}
"""Sides of the square crops, in pixels of the photograph, and the share of crops with each."""

SHARES = {TRAIN: 0.8, VALIDATION: 0.1, TEST: 0.1}
"""Share of the crops in each part."""

_STEP = 3
"""Distance in pixels between neighboring positions that a crop may have."""

_FLAT = 8.0
"""Standard deviation of the luma in [0, 255] below which a crop shows only sky or blur."""


def load_photos(*, size: tuple[int, int] = (32, 32), note: str = "") -> ImageSet:
    """Return the built-in photos: about 8,000 images, the same on every machine.

    Args:
        size: Height and width of the images, in pixels. The same squares are cropped for every
            size, and then resized to it. If the image is no square, they are cropped once more.
        note: Note for the user, kept in ``source.note``.

    Raises:
        InputError: The installed scikit-image lacks one of the photographs.
    """
    images, parts = [], []
    for photo in PHOTOS:
        picture = open_photo(photo)
        for part, box in crop_boxes(photo, np.asarray(picture)):
            # `resize(box=…)` would use pixels outside of the box, which belong to other parts.
            crop = crop_center(picture.crop(box), size)
            images.append(np.asarray(crop.resize(size[::-1], Image.Resampling.LANCZOS)))
            parts.append(part)
    pixels = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    where = f"photographs of scikit-image {version('scikit-image')}"
    source = Source(name="photos", where=where, note=note, fingerprint=fingerprint(pixels, None))
    return ImageSet(images=pixels, source=source, part=np.array(parts, np.int8))


def open_photo(photo: Photo) -> Image.Image:
    """Open a photograph in RGB, reduced by its factor.

    Raises:
        InputError: The installed scikit-image lacks the photograph.
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
    """Yield the part and the box of every crop of a photograph.

    Args:
        photo: The photograph.
        pixels: Pixels of the reduced photograph, ``uint8 (H, W, 3)``.
    """
    height, width, _ = pixels.shape
    for side, share_of_side in SIDES.items():
        # Entry [y, x] is the part of the square whose upper left pixel is (y, x). FREE means that
        # the square is not used.
        part_of = np.full((height - side + 1, width - side + 1), TRAIN)
        for part, (left, top, right, bottom) in (
            (VALIDATION, photo.validation),
            (TEST, photo.test),
        ):
            # Squares inside the rectangle belong to its part; squares across its edge are unused.
            part_of[max(0, top - side + 1) : bottom, max(0, left - side + 1) : right] = FREE
            part_of[top : bottom - side + 1, left : right - side + 1] = part
        flat = _deviation(pixels, side) < _FLAT
        part_of[flat[: len(part_of), : part_of.shape[1]]] = FREE
        for part, share in SHARES.items():
            candidates = _STEP * np.argwhere(part_of[::_STEP, ::_STEP] == part)
            # With evenly spaced crops, fewer overlap than with random ones.
            count = min(round(photo.crops * share_of_side * share), len(candidates))
            evenly = np.arange(count) * len(candidates) // max(count, 1)
            for top, left in candidates[evenly].tolist():
                yield part, (left, top, left + side, top + side)


def _deviation(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    """Return the standard deviation of the BT.601 luma in every square of ``side`` pixels.

    Args:
        pixels: A photograph, ``uint8 (H, W, 3)``.
        side: Even side of the squares.

    Returns:
        Deviations ``(H, W)``; entry [y, x] is that of the square whose upper left pixel is (y, x).
    """
    # By default, the window of the filter is centered at its pixel; `origin` moves it so that the
    # pixel is its upper left one. The variance is clipped because rounding can make it negative.
    luma = luminance(np.moveaxis(pixels.astype(np.float64), -1, 0))[0]
    mean, mean_square = (
        uniform_filter(values, side, origin=-(side // 2)) for values in (luma, luma**2)
    )
    deviation: NDArray[np.float64] = np.sqrt((mean_square - mean**2).clip(0))
    return deviation
