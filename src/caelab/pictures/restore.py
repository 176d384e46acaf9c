"""Restore pictures at full size, by applying an image-to-image model to overlapping tiles."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from caelab.color import gray_rgb, luminance
from caelab.degrade.kinds import MISSING
from caelab.errors import InputError
from caelab.pictures.backends.base import PictureModel
from caelab.pictures.metadata import Metadata
from caelab.pictures.picture import Floats, Picture, from_planes, to_planes
from caelab.pictures.tiles import TILE, Indices, batches, in_tiles


def restore(model: PictureModel, pictures: Sequence[Picture], *, tile: int = TILE) -> list[Picture]:
    """Apply an image-to-image model to pictures at full size: denoise, deblur, reconstruct.

    A model for missing pixels fills the fully transparent pixels, which become opaque. If the model
    undoes nothing else, all other pixels stay the same. An RGB model gets a gray picture in three
    equal channels, and the luma of its result is used. A gray model restores each channel of an RGB
    picture separately. The color profile is kept, but not applied to the network's input.

    Args:
        model: Model that returns as many channels as it takes.
        pictures: Pictures to restore. Small pictures of equal size that follow one another go
            through the network together.
        tile: Side of the tiles of large pictures, in pixels.

    Returns:
        Pictures with the bit depth, alpha, color profile and metadata of the inputs.

    Raises:
        InputError: The model returns values that are not finite or takes neither 1 nor 3 channels,
            or it fills missing pixels and a picture has no fully transparent pixel.

    >>> from caelab.pictures.backends.base import PictureModel
    >>> darker = PictureModel(function=lambda images: images / 2)
    >>> picture = Picture(pixels=np.full((40, 60, 3), 200, np.uint8))
    >>> restore(darker, [picture])[0].pixels[0, 0].tolist()
    [100, 100, 100]
    """
    if model.channels not in (1, 3):
        raise InputError(
            f"the model takes images of {model.channels} channels, but pictures have 1 or 3."
        )
    if model.degradation.marks_missing and any(
        picture.alpha is None or picture.alpha.all() for picture in pictures
    ):
        raise InputError(
            "no pixel is fully transparent, so none is missing. Make the pixels to be filled"
            " transparent, in a format such as PNG."
        )
    # A picture of three equal channels is restored as gray, so that its channels stay equal.
    grays = [_is_gray_rgb(picture) for picture in pictures]
    pictures = [
        replace(picture, pixels=picture.pixels[..., :1]) if gray else picture
        for picture, gray in zip(pictures, grays, strict=True)
    ]
    results: list[Picture] = []
    # Successive pictures of equal size, bit depth and number of channels form a batch.
    for (shape, _), run in itertools.groupby(
        pictures, key=lambda picture: (picture.pixels.shape, picture.most)
    ):
        for batch in batches(list(run), pixels=shape[0] * shape[1]):
            results += _restore_alike(model, batch, tile)
    return [
        replace(result, pixels=result.pixels.repeat(3, axis=2)) if gray else result
        for result, gray in zip(results, grays, strict=True)
    ]


def _is_gray_rgb(picture: Picture) -> bool:
    pixels = picture.pixels
    return pixels.shape[2] == 3 and bool((pixels == pixels[..., :1]).all())


def _without_losses(model: PictureModel, picture: Picture) -> Metadata:
    """Return a picture's metadata, without its JPEG settings if the model undoes JPEG losses."""
    if any(step.name == "jpeg" for step in model.degradation.steps):
        return replace(picture.metadata, jpeg_coding=None)
    return picture.metadata


def _restore_alike(model: PictureModel, pictures: Sequence[Picture], tile: int) -> list[Picture]:
    """Restore pictures of equal size, type and number of channels as one batch."""
    channels = pictures[0].pixels.shape[2]
    results = [np.empty_like(picture.pixels) for picture in pictures]
    marks = model.degradation.marks_missing

    def read(rows: Indices, columns: Indices) -> Floats:
        chosen = np.ix_(rows, columns)
        tiles = np.stack([to_planes(picture.pixels[chosen]) for picture in pictures])
        if marks:
            # Missing pixels get the value that marks missing pixels in training.
            for picture, part in zip(pictures, tiles, strict=True):
                assert picture.alpha is not None
                part[:, picture.alpha[chosen] == 0] = MISSING
        # A gray model gets each channel as a separate image.
        return tiles.reshape(-1, 1, *tiles.shape[2:]) if model.channels == 1 else gray_rgb(tiles)

    for top, band in in_tiles(model, read, pictures[0].size, tile=tile):
        if channels < model.channels:
            band = luminance(band)
        bands = band.reshape(len(pictures), channels, *band.shape[2:])
        for result, part in zip(results, bands, strict=True):
            result[top : top + part.shape[1]] = from_planes(part, result.dtype)
    restored = []
    for picture, pixels in zip(pictures, results, strict=True):
        alpha = picture.alpha
        if marks and alpha is not None:
            missing = alpha == 0
            # If the model undoes nothing else, pixels that are not missing stay as they are.
            if len(model.degradation.steps) == 1:
                pixels = np.where(missing[..., None], pixels, picture.pixels)
            alpha = np.where(missing, alpha.dtype.type(picture.most), alpha)
        restored.append(
            replace(picture, pixels=pixels, alpha=alpha, metadata=_without_losses(model, picture))
        )
    return restored
