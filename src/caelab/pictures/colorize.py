"""Colorize pictures: chroma at the scale that the network knows, luma at full size.

picture ──► luma, reduced ──► network ──► chroma ──► joint bilateral upsampling ──┐
   └──────► luma at full size ─────────────────────────────────────────────────► merge ──► RGB
"""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from PIL import Image

from caelab.color import SPACES, ColorSpace, luminance, merge
from caelab.errors import InputError
from caelab.pictures.backends.base import PictureModel
from caelab.pictures.color_profile import from_srgb, to_srgb
from caelab.pictures.joint_bilateral import GuidedChroma, Size, resized
from caelab.pictures.picture import Floats, Picture, from_planes, to_planes
from caelab.pictures.tiles import batches

STRIP_PIXELS = 2**16
"""Pixels that are brought to full size at a time: the arrays stay in the processor's cache."""

THUMBNAIL = 1.5
"""Factor between the size at which the network sees pictures and that of its training images, where
its card names none for photographs."""

MAX_ASPECT = 8
"""A view for the network is at most this many times longer than wide; longer pictures are squeezed
for it."""


def colorize(
    model: PictureModel,
    pictures: Sequence[Picture],
    *,
    scales: Sequence[int] | None = None,
    saturation: float | None = None,
    threads: int = 2,
) -> list[Picture]:
    """Color pictures; their luma stays as it is, within the rounding of their values.

    The network sees each picture resized so that its shorter side has about ``scale`` pixels, and
    its chroma at several scales is averaged. A picture of exactly that size gets the network's
    chroma as it is. Chroma is merged once, at full size, with the picture's own luma.

    Args:
        model: Model of gray images that returns chroma, or RGB whose YCbCr chroma is used.
        pictures: Those of one size go through the network together. Colors that they have are
            ignored.
        scales: Shorter sides in pixels. By default those of the model for photographs; for smaller
            pictures, or where it has none, 1.5 times the training images' side, but no more than
            the picture has, and no less than that side.
        saturation: Factor of the chroma; by default that of the model for photographs, or 1.
        threads: Threads that bring the colors to full size.

    Returns:
        RGB pictures with the depth, alpha, EXIF and RGB profile of the inputs.

    Raises:
        InputError: A scale is below 1, there is none, or the model gives values that are not
            finite.

    >>> def orange(gray):
    ...     return np.full((len(gray), 2, *gray.shape[2:]), [[[-0.2]], [[0.15]]], np.float32)
    >>> model = PictureModel(function=orange, channels=1, color_space="ycbcr")
    >>> picture = Picture(pixels=np.full((90, 120, 1), 128, np.uint8))
    >>> colorize(model, [picture])[0].pixels[0, 0].tolist()
    [182, 118, 38]
    """
    if scales is not None and (not scales or min(scales) < 1):
        raise InputError("to colorize, at least one scale is needed, of 1 pixel or more.")
    prepared = [_in_srgb_gray(picture) for picture in pictures]
    # Views of equal size share a batch, of whichever picture and scale.
    views: dict[Size, list[int]] = defaultdict(list)
    for index, picture in enumerate(prepared):
        for scale in scales or (model.scales if _is_photograph(picture, model) else (None,)):
            views[_view_size(picture.size, scale, model)].append(index)
    found: list[list[Floats]] = [[] for _ in pictures]
    for size, members in views.items():
        for batch in batches(members, pixels=size[0] * size[1]):
            chroma = _predict(model, np.stack([_view(prepared[index], size) for index in batch]))
            for index, own in zip(batch, chroma, strict=True):
                found[index].append(own)
    space = SPACES[model.color_space or "ycbcr"]
    return [
        _merge_at_full_size(
            picture, _saturation(picture, saturation, model) * _mean(chroma), space, threads=threads
        )
        for picture, chroma in zip(prepared, found, strict=True)
    ]


def _saturation(picture: Picture, saturation: float | None, model: PictureModel) -> float:
    if saturation is not None:
        return saturation
    return model.saturation if _is_photograph(picture, model) else 1.0


def _is_photograph(picture: Picture, model: PictureModel) -> bool:
    """Say whether a picture is as large as those for which the model's scales were chosen."""
    return bool(model.scales) and min(picture.size) >= max(model.scales)


def _in_srgb_gray(picture: Picture) -> Picture:
    """Bring a gray picture with a profile of its own to sRGB's gray; leave any other as it is."""
    if picture.icc is None or picture.pixels.shape[2] != 1:
        return picture
    if picture.icc[16:20] == b"RGB ":
        # The header says that the profile is for colors, which the result has.
        return replace(picture, pixels=picture.pixels.repeat(3, axis=2))
    try:
        curve = to_srgb(np.arange(256, dtype=np.uint8).reshape(1, 256, 1), picture.icc)[0, :, 1]
    except ValueError as error:
        note = f"{error}; the picture was taken for sRGB"
        return replace(picture, icc=None, notes=(*picture.notes, note))
    # By a table of all levels, as a profile converts 8 bits only.
    levels = np.interp(np.linspace(0, 255, picture.most + 1), np.arange(256), curve)
    pixels = np.rint(levels * (picture.most / 255)).astype(picture.pixels.dtype)[picture.pixels]
    return replace(picture, icc=None, pixels=pixels)


def _view_size(size: Size, scale: int | None, model: PictureModel) -> Size:
    if (fixed := model.geometry.fixed) is not None:
        return fixed, fixed
    multiple, shorter = model.geometry.multiple, min(size)
    if scale is None:
        scale = min(max(shorter, model.size), round(THUMBNAIL * model.size))
    wanted = (min(side * scale / shorter, MAX_ASPECT * scale) for side in size)
    height, width = (max(1, round(side / multiple)) * multiple for side in wanted)
    return height, width


def _view(picture: Picture, size: Size) -> Floats:
    """Return the network's input: sRGB's luma, ``float32 (1, h, w)`` in [0, 1]."""
    seen = picture.reduced(size, Image.Resampling.LANCZOS)
    if (profile := picture.wide_profile) is not None:
        seen = to_srgb(seen, profile)
    return luminance(to_planes(seen))


def _predict(model: PictureModel, views: Floats) -> Floats:
    """Return chroma, ``float32 (N, 2, h, w)``, for gray views ``(N, 1, h, w)``."""
    # Of RGB only the chroma counts: the luma is the picture's own.
    outputs = model(views if model.channels == 1 else views.repeat(model.channels, axis=1))
    return outputs if model.color_space else SPACES["ycbcr"].chroma(outputs)


def _mean(predictions: Sequence[Floats]) -> Floats:
    """Return the mean of chroma ``(2, h, w)`` of several sizes, at the largest size."""
    height, width = max((chroma.shape[1:] for chroma in predictions), key=np.prod)
    enlarged = [
        resized(chroma, (height, width), Image.Resampling.BICUBIC) for chroma in predictions
    ]
    mean: Floats = np.mean(enlarged, axis=0, dtype=np.float32)
    return mean


def _merge_at_full_size(
    picture: Picture, chroma: Floats, space: ColorSpace, *, threads: int
) -> Picture:
    """Enlarge chroma ``(2, h, w)`` and merge it with the picture's luma, strip by strip."""
    if (profile := picture.wide_profile) is not None:
        # The same colors in the picture's own numbers, so that its luma in these stays as it is.
        srgb = merge(_view(picture, chroma.shape[1:]), chroma, space, gamut="desaturate")
        space = SPACES["ycbcr"]
        own = from_srgb(from_planes(srgb, np.uint8), profile)
        chroma = space.chroma(to_planes(own))

    def guide(size: Size) -> Floats:
        return luminance(to_planes(picture.reduced(size, Image.Resampling.BOX))).squeeze(0)

    guided = GuidedChroma(chroma, size=picture.size, guide=guide)
    height, width = picture.size
    pixels = np.empty((height, width, 3), picture.pixels.dtype)
    # Strips are independent: threads share them, and memory does not grow with the picture.
    rows = max(1, STRIP_PIXELS // width)

    def color(top: int) -> None:
        strip = slice(top, top + rows)
        luma = luminance(to_planes(picture.pixels[strip]))
        rgb = merge(luma, guided.rows(luma[0], top=top), space, gamut="desaturate")
        pixels[strip] = from_planes(rgb, pixels.dtype)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(color, range(0, height, rows)))
    return replace(picture, pixels=pixels)
