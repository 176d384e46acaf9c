"""Fill the holes of pictures that a mask, which is another picture, marks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from caelab.color import luminance
from caelab.errors import InputError
from caelab.pictures.backends.base import PictureModel
from caelab.pictures.picture import Picture, to_planes
from caelab.pictures.read import PIXEL_LIMIT, read_picture
from caelab.pictures.restore import restore

Mask = NDArray[np.bool_]

MAX_STRETCH = 1.02
"""Largest ratio of the factors by which width and height of a mask are enlarged."""


def read_mask(
    source: Path | bytes, *, name: str | None = None, max_pixels: int = PIXEL_LIMIT
) -> Mask:
    """Read a picture whose white pixels mark holes.

    Args:
        source: A picture file, or its content.
        name: Name of the file in messages.
        max_pixels: Largest number of pixels of the file.

    Returns:
        ``bool (H, W)``, true where the picture is brighter than half of white.

    Raises:
        InputError: The file is not a picture, or it marks nothing.
    """
    picture = read_picture(source, name=name, max_pixels=max_pixels)
    bright = luminance(to_planes(picture.pixels))[0] > 0.5
    # What is transparent in a painted mask was not painted.
    marked: Mask = bright if picture.alpha is None else bright & (picture.alpha > 0)
    if not marked.any():
        raise InputError("the mask marks no hole. Paint the holes white, on black.")
    return marked


def fill(model: PictureModel, pictures: Sequence[Picture], mask: Mask) -> list[Picture]:
    """Fill the pixels of pictures that a mask marks.

    Args:
        model: Model that was trained to fill missing pixels.
        pictures: Pictures to fill.
        mask: ``bool (H, W)``, true for pixels to fill. A mask of another size is enlarged or
            reduced to the size of each picture.

    Returns:
        Pictures in which only the marked pixels, and those that were fully transparent, differ.

    Raises:
        InputError: The model does not fill missing pixels, or the mask has another shape than a
            picture.

    >>> from caelab.degrade.degradation import parse_degradation
    >>> white = PictureModel(
    ...     function=lambda images: np.ones_like(images),
    ...     degradation=parse_degradation("mask0.25"),
    ... )
    >>> picture = Picture(pixels=np.full((2, 3, 3), 50, np.uint8))
    >>> fill(white, [picture], np.array([[True, False, False]] * 2))[0].pixels[..., 0].tolist()
    [[255, 50, 50], [255, 50, 50]]
    """
    if not model.degradation.marks_missing:
        raise InputError(f"the model undoes {model.degradation}; it does not fill holes.")
    results = restore(model, [_with_holes(picture, mask) for picture in pictures])
    return [
        # Nothing is transparent now, so that formats without transparency hold the result.
        replace(result, alpha=None) if picture.alpha is None else result
        for picture, result in zip(pictures, results, strict=True)
    ]


def _with_holes(picture: Picture, mask: Mask) -> Picture:
    """Return a picture that is fully transparent where the mask is true."""
    height, width = picture.size
    factors = height / mask.shape[0], width / mask.shape[1]
    if max(factors) / min(factors) > MAX_STRETCH:
        raise InputError(
            f"the mask has {mask.shape[1]}×{mask.shape[0]} pixels, which is another shape than"
            f" {width}×{height} pixels of the picture."
        )
    resized = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    alpha = picture.alpha
    if alpha is None:
        alpha = np.full(picture.size, picture.most, picture.pixels.dtype)
    return replace(picture, alpha=np.where(np.asarray(resized), 0, alpha).astype(alpha.dtype))
