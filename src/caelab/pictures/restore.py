"""Restore pictures at full size: overlapping tiles through an image-to-image model."""

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
    """Apply an image-to-image model at full size: denoise, deblur, reconstruct.

    A model for missing pixels fills the fully transparent pixels, which become opaque; if it undoes
    nothing else, all other pixels stay the same. An RGB model gets a gray picture in three equal
    channels, and the luma of its result is used. A gray model gets each channel of an RGB picture.
    Values are used without regard to the color profile.

    Args:
        model: Image to image, with as many channels out as in.
        pictures: Small pictures of one size go through the network together.
        tile: Side of the tiles of large pictures, in pixels.

    Returns:
        Pictures with the depth, alpha, profile and EXIF of the inputs.

    Raises:
        InputError: The model gives values that are not finite or takes images of other channels
            than pictures have, or no pixel of a picture is transparent where some must be.

    >>> from caelab.pictures.backends.base import PictureModel
    >>> darker = PictureModel(function=lambda images: images / 2)
    >>> picture = Picture(pixels=np.full((40, 60, 3), 200, np.uint8))
    >>> restore(darker, [picture])[0].pixels[0, 0].tolist()
    [100, 100, 100]
    """
    if model.channels not in (1, 3):
        raise InputError(
            f"the model takes images of {model.channels} channels, and pictures have 1 or 3."
        )
    if model.degradation.marks_missing and any(
        picture.alpha is None or picture.alpha.all() for picture in pictures
    ):
        raise InputError(
            "no pixel is wholly transparent, so that none is missing. Erase what is to be filled in"
            " a format that has transparency, such as PNG."
        )
    # A picture of three equal channels is gray, and stays gray.
    grays = [_is_gray_rgb(picture) for picture in pictures]
    pictures = [
        replace(picture, pixels=picture.pixels[..., :1]) if gray else picture
        for picture, gray in zip(pictures, grays, strict=True)
    ]
    results: list[Picture] = []
    # Successive pictures of one size, depth and number of channels make a batch.
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
    """Return a picture's metadata, without the JPEG's tables whose losses a model has undone."""
    if any(step.name == "jpeg" for step in model.degradation.steps):
        return replace(picture.metadata, jpeg_coding=None)
    return picture.metadata


def _restore_alike(model: PictureModel, pictures: Sequence[Picture], tile: int) -> list[Picture]:
    """Restore pictures of one size, type and number of channels as one batch."""
    channels = pictures[0].pixels.shape[2]
    results = [np.empty_like(picture.pixels) for picture in pictures]
    marks = model.degradation.marks_missing

    def read(rows: Indices, columns: Indices) -> Floats:
        chosen = np.ix_(rows, columns)
        tiles = np.stack([to_planes(picture.pixels[chosen]) for picture in pictures])
        if marks:
            # Missing pixels get the value that marked them in training.
            for picture, part in zip(pictures, tiles, strict=True):
                assert picture.alpha is not None
                part[:, picture.alpha[chosen] == 0] = MISSING
        # To a gray model, each channel is a separate image.
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
            # Where nothing else is to be undone, pixels that are not missing stay as they are.
            if len(model.degradation.steps) == 1:
                pixels = np.where(missing[..., None], pixels, picture.pixels)
            alpha = np.where(missing, alpha.dtype.type(picture.most), alpha)
        restored.append(
            replace(picture, pixels=pixels, alpha=alpha, metadata=_without_losses(model, picture))
        )
    return restored
