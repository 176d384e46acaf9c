"""Restore pictures at full size, by applying an image-to-image model to overlapping tiles."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from caelab.color import gray_rgb, luminance
from caelab.degrade.kinds import MISSING
from caelab.errors import InputError
from caelab.pictures.backends.base import PictureModel
from caelab.pictures.metadata import Metadata
from caelab.pictures.picture import Floats, Picture, Values, from_planes, to_planes
from caelab.pictures.tiles import TILE, Indices, batches, in_tiles

Strength = float | Literal["auto"]
"""Share of the model's change that a result gets, from 0 to 1; ``"auto"`` chooses it for noise."""

MEASURED_SIDE = 1024
"""Largest side, in pixels, of the middle of a picture in which its noise is measured."""

_MIN_MEASURED_SIDE = 8
"""Smallest side, in pixels, of a picture in which noise is measured."""

_STRIP_PIXELS = 2**22
"""Number of pixels that are mixed at a time, so that little memory is needed."""


def restore(
    model: PictureModel, pictures: Sequence[Picture], *, tile: int = TILE, strength: Strength = 1.0
) -> list[Picture]:
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
        strength: Share of the model's change that the result gets: 0 for the picture itself, 1 for
            the model's output. ``"auto"`` measures the noise of each picture, and chooses a smaller
            share if a picture has less noise than the model removes.

    Returns:
        Pictures with the bit depth, alpha, color profile and metadata of the inputs.

    Raises:
        InputError: The model returns values that are not finite or takes neither 1 nor 3 channels,
            or it fills missing pixels and a picture has no fully transparent pixel. Or
            ``strength`` is wrong, or does not fit what the model undoes.

    >>> from caelab.pictures.backends.base import PictureModel
    >>> darker = PictureModel(function=lambda images: images / 2)
    >>> picture = Picture(pixels=np.full((40, 60, 3), 200, np.uint8))
    >>> restore(darker, [picture])[0].pixels[0, 0].tolist()
    [100, 100, 100]
    >>> restore(darker, [picture], strength=0.25)[0].pixels[0, 0].tolist()
    [175, 175, 175]
    """
    _check_strength(model, strength)
    _check_pictures(model, pictures)
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
    if strength != 1:
        results = [
            replace(result, pixels=_mix(picture.pixels, result.pixels, strength))
            for picture, result in zip(pictures, results, strict=True)
        ]
    return [
        replace(result, pixels=result.pixels.repeat(3, axis=2)) if gray else result
        for result, gray in zip(results, grays, strict=True)
    ]


def _check_pictures(model: PictureModel, pictures: Sequence[Picture]) -> None:
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


def _check_strength(model: PictureModel, strength: Strength) -> None:
    steps = {step.name for step in model.degradation.steps}
    if strength == "auto":
        if steps != {"noise"}:
            raise InputError(
                "the `strength` auto measures noise, but the model undoes"
                f" {model.degradation}. Give a number from 0 to 1."
            )
    elif not 0 <= strength <= 1:
        raise InputError(f"`strength` {strength}: give a number from 0 to 1, or auto.")
    elif strength != 1 and model.degradation.marks_missing:
        raise InputError("missing pixels are filled with `strength` 1 only.")


def _mix(before: Values, after: Values, strength: Strength) -> Values:
    """Return pixels between those of a picture and those of its result, ``(H, W, C)``."""
    share = np.float32(_share_for_noise(before, after) if strength == "auto" else strength)
    mixed = np.empty_like(after)
    rows = max(1, _STRIP_PIXELS // before.shape[1])
    for top in range(0, len(before), rows):
        strip = slice(top, top + rows)
        old, new = to_planes(before[strip]), to_planes(after[strip])
        mixed[strip] = from_planes(old + share * (new - old), after.dtype)
    return mixed


def _share_for_noise(before: Values, after: Values) -> float:
    """Return the share of a denoiser's change that is noise, by the noise of the picture.

    The change is the noise that the model removes plus the detail that it loses. If the two are
    independent, the mean squared change is the sum of both variances. The best share of the change
    is then the variance of the noise divided by the mean squared change.

    Args:
        before: Pixels of the picture ``(H, W, C)``.
        after: Pixels of the model's output.
    """
    from skimage.restoration import estimate_sigma

    middle = tuple(
        slice((side - used) // 2, (side - used) // 2 + used)
        for side in before.shape[:2]
        for used in [min(side, MEASURED_SIDE)]
    )
    old, new = to_planes(before[middle]), to_planes(after[middle])
    change = float(np.square(new - old, dtype=np.float64).mean())
    # Wavelets, which separate noise from detail, need a few pixels in both directions.
    if change == 0 or min(old.shape[1:]) < _MIN_MEASURED_SIDE:
        return 1.0
    noise = estimate_sigma(  # type: ignore[no-untyped-call]
        old, channel_axis=0, average_sigmas=True
    )
    return min(1.0, float(noise) ** 2 / change)


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
