"""Colorize pictures: predict chroma at a reduced size, and keep the luma of the full size.

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
"""Number of pixels colored at a time: so few that the arrays fit into the processor's cache."""

THUMBNAIL = 1.5
"""Largest default scale, divided by the side of the training images. A scale is the shorter side of
the picture that the network sees, in pixels."""

MAX_ASPECT = 8
"""Largest ratio of the sides of the network's input; a longer picture is squeezed to this ratio."""


def colorize(
    model: PictureModel,
    pictures: Sequence[Picture],
    *,
    scales: Sequence[int] | None = None,
    saturation: float | None = None,
    threads: int = 2,
) -> list[Picture]:
    """Color pictures, and keep their luma up to rounding.

    The network sees each picture resized to a scale, which is the number of pixels of the shorter
    side. If there are several scales, the mean of the predicted chroma is used. Chroma is enlarged
    to the size of the picture, unless it already has that size, and merged with the picture's luma.

    Args:
        model: Model that maps luma to chroma, or to RGB, of which only the YCbCr chroma is used.
        pictures: Pictures to color; colors that they already have are ignored. Resized pictures of
            equal size go through the network together.
        scales: Shorter sides, in pixels, at which the network sees each picture. By default
            ``model.scales`` if the picture's shorter side is at least as long as all of them.
            Otherwise the default is the picture's shorter side, limited to the range from 1 to 1.5
            times the side of the training images. A network that takes a single size ignores
            scales.
        saturation: Factor of the chroma. By default ``model.saturation`` if the picture's shorter
            side is at least as long as all of ``model.scales``; otherwise 1.
        threads: Number of threads that enlarge and merge the chroma.

    Returns:
        RGB pictures with the bit depth, alpha, metadata and RGB profile of the inputs.

    Raises:
        InputError: ``scales`` is empty or has a number below 1, or the model returns values that
            are not finite.

    >>> def orange(gray):
    ...     return np.full((len(gray), 2, *gray.shape[2:]), [[[-0.2]], [[0.15]]], np.float32)
    >>> model = PictureModel(function=orange, channels=1, color_space="ycbcr")
    >>> picture = Picture(pixels=np.full((90, 120, 1), 128, np.uint8))
    >>> colorize(model, [picture])[0].pixels[0, 0].tolist()
    [182, 118, 38]
    """
    if scales is not None and (not scales or min(scales) < 1):
        raise InputError(
            "to colorize, at least one scale is needed, and each must be 1 pixel or more."
        )
    prepared = [_in_srgb_gray(picture) for picture in pictures]
    predictions = _predict_at_scales(model, prepared, scales)
    space = SPACES[model.color_space or "ycbcr"]
    return [
        _merge_at_full_size(
            picture, _saturation(picture, saturation, model) * _mean(chroma), space, threads=threads
        )
        for picture, chroma in zip(prepared, predictions, strict=True)
    ]


def _predict_at_scales(
    model: PictureModel, pictures: Sequence[Picture], scales: Sequence[int] | None
) -> list[list[Floats]]:
    """Return the chroma ``(2, h, w)`` predicted for each picture at each scale."""
    # A view is a picture resized for the network. Views of equal size share a batch, even if they
    # are of different pictures or scales.
    views: dict[Size, list[int]] = defaultdict(list)
    for index, picture in enumerate(pictures):
        for scale in scales or (model.scales if _is_photograph(picture, model) else (None,)):
            views[_view_size(picture.size, scale, model)].append(index)
    predictions: list[list[Floats]] = [[] for _ in pictures]
    for size, members in views.items():
        for batch in batches(members, pixels=size[0] * size[1]):
            chroma = _predict(model, np.stack([_view(pictures[index], size) for index in batch]))
            for index, own in zip(batch, chroma, strict=True):
                predictions[index].append(own)
    return predictions


def _saturation(picture: Picture, saturation: float | None, model: PictureModel) -> float:
    if saturation is not None:
        return saturation
    return model.saturation if _is_photograph(picture, model) else 1.0


def _is_photograph(picture: Picture, model: PictureModel) -> bool:
    """Return whether a picture is at least as large as the model's scales for photographs."""
    return bool(model.scales) and min(picture.size) >= max(model.scales)


def _in_srgb_gray(picture: Picture) -> Picture:
    """Convert a gray picture with a gray profile to the gray of sRGB; return others unchanged."""
    if picture.icc is None or picture.pixels.shape[2] != 1:
        return picture
    if picture.icc[16:20] == b"RGB ":
        # The profile's header says that it is for RGB. It is kept, because the result is RGB.
        return replace(picture, pixels=picture.pixels.repeat(3, axis=2))
    try:
        curve = to_srgb(np.arange(256, dtype=np.uint8).reshape(1, 256, 1), picture.icc)[0, :, 1]
    except ValueError as error:
        note = f"{error}; the picture was treated as sRGB"
        return replace(picture, icc=None, notes=(*picture.notes, note))
    # Pillow applies a profile to 8 bits only, so a table of all levels is interpolated.
    levels = np.interp(np.linspace(0, 255, picture.most + 1), np.arange(256), curve)
    pixels = np.rint(levels * (picture.most / 255)).astype(picture.pixels.dtype)[picture.pixels]
    return replace(picture, icc=None, pixels=pixels)


def _view_size(size: Size, scale: int | None, model: PictureModel) -> Size:
    """Return the size of the network's input for a picture of ``size``."""
    if (fixed := model.geometry.fixed) is not None:
        return fixed, fixed
    multiple, shorter = model.geometry.multiple, min(size)
    if scale is None:
        scale = min(max(shorter, model.size), round(THUMBNAIL * model.size))
    wanted = (min(side * scale / shorter, MAX_ASPECT * scale) for side in size)
    height, width = (max(1, round(side / multiple)) * multiple for side in wanted)
    return height, width


def _view(picture: Picture, size: Size) -> Floats:
    """Resize a picture, and return its luma in sRGB, ``float32 (1, h, w)`` in [0, 1]."""
    seen = picture.reduced(size, Image.Resampling.LANCZOS)
    if (profile := picture.wide_profile) is not None:
        seen = to_srgb(seen, profile)
    return luminance(to_planes(seen))


def _predict(model: PictureModel, views: Floats) -> Floats:
    """Predict chroma ``float32 (N, 2, h, w)`` from gray views ``(N, 1, h, w)``."""
    outputs = model(views if model.channels == 1 else views.repeat(model.channels, axis=1))
    # Only the chroma of predicted RGB is used, because the luma comes from the picture.
    return outputs if model.color_space else SPACES["ycbcr"].chroma(outputs)


def _mean(predictions: Sequence[Floats]) -> Floats:
    """Enlarge predictions of chroma ``(2, h, w)`` to the largest size, and average them."""
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
        # The prediction is in sRGB. It is converted to the picture's color space, in which the luma
        # must stay the same.
        srgb = merge(_view(picture, chroma.shape[1:]), chroma, space, gamut="desaturate")
        space = SPACES["ycbcr"]
        own = from_srgb(from_planes(srgb, np.uint8), profile)
        chroma = space.chroma(to_planes(own))

    def guide(size: Size) -> Floats:
        return luminance(to_planes(picture.reduced(size, Image.Resampling.BOX))).squeeze(0)

    guided = GuidedChroma(chroma, size=picture.size, guide=guide)
    height, width = picture.size
    pixels = np.empty((height, width, 3), picture.pixels.dtype)
    # Threads color strips of rows, so that temporary arrays do not grow with the picture.
    rows = max(1, STRIP_PIXELS // width)

    def color(top: int) -> None:
        strip = slice(top, top + rows)
        luma = luminance(to_planes(picture.pixels[strip]))
        rgb = merge(luma, guided.rows(luma[0], top=top), space, gamut="desaturate")
        pixels[strip] = from_planes(rgb, pixels.dtype)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(color, range(0, height, rows)))
    return replace(picture, pixels=pixels)
