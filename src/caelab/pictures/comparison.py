"""Draw a picture, its result and, if it is known, the truth side by side, with the errors."""

import itertools
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from caelab.color import SPACES, gray_rgb, luminance, rgb_to_lab
from caelab.metrics.summary import psnr
from caelab.pictures.color_profile import to_srgb
from caelab.pictures.picture import Picture, from_planes, to_planes

MAX_SIDE = 1024
"""Largest side, in pixels, at which a picture is drawn; errors are computed at full size."""

STRIP_PIXELS = 2**20
"""Number of pixels whose errors are computed at a time."""

TINT = 2.5 / 255
"""A picture has colors if its chroma, in [−0.5, 0.5], deviates by more than this from a single
tint, which has one chroma for each brightness level (see :func:`has_color`). The deviation is the
larger of two root mean squares, along and across the mean hue."""

TINT_SIDE, TINT_LEVELS = 128, 32
"""Longer side, in pixels, to which a picture is reduced for the test for a tint, and number of
brightness levels in this test."""

_GAP, _LINE = 8, 20


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A drawing of pictures side by side, and the errors of the result.

    Attributes:
        picture: The drawing.
        metrics: Errors of the result against the truth: ``psnr`` in dB, infinite if both are equal,
            and ``ciede2000``, the mean color difference over pixels. Empty if the truth is not
            known.
    """

    picture: Picture
    metrics: dict[str, float]


def compare(source: Picture, result: Picture, *, truth: Picture | None = None) -> Comparison:
    """Draw the source and the result side by side, and the truth if it is known.

    The truth is not drawn if it is the source itself.

    Args:
        source: Picture from which the result was made.
        result: The result, of the same size.
        truth: Picture that the result should equal, of the same size, or ``None``. Errors compare
            the stored values, so it should have the color profile of the result.

    >>> gray, darker = (Picture(pixels=np.full((8, 9, 1), v, np.uint8)) for v in (102, 51))
    >>> round(compare(gray, darker, truth=gray).metrics["psnr"], 2)
    13.98
    """
    metrics = {} if truth is None else _errors(result, truth)
    numbers = "".join(
        f", {name.upper()} {value:.2f}{' dB' * (name == 'psnr')}" for name, value in metrics.items()
    )
    panels = {"input": _panel(source), f"result{numbers}": _panel(result)}
    if truth is not None and truth is not source:
        panels["truth"] = _panel(truth)
    font = ImageFont.load_default(size=13)
    width, height = panels["input"].size
    step = _GAP + max(width, *(int(font.getlength(label)) for label in panels))
    sheet = Image.new("RGB", (len(panels) * step + _GAP, height + _LINE + 2 * _GAP), color="white")
    draw = ImageDraw.Draw(sheet)
    for left, (label, panel) in zip(itertools.count(_GAP, step), panels.items(), strict=False):
        draw.text((left, _GAP // 2), label, fill="black", font=font)
        sheet.paste(panel, (left, _GAP + _LINE))
    return Comparison(picture=Picture(pixels=np.asarray(sheet)), metrics=metrics)


def compare_colors(source: Picture, result: Picture) -> Comparison:
    """Compare a colored picture with its source, whose own colors are the truth if it has any.

    For a gray or sepia source there is no truth, because its original colors are not known.

    Args:
        source: Picture that was colored; its colors were ignored.
        result: The colored picture.
    """
    return compare(without_color(source), result, truth=source if has_color(source) else None)


def compare_with_source(source: Picture, result: Picture) -> Comparison:
    """Compare a reconstruction with its source, which is the truth.

    Args:
        source: Picture that was reconstructed.
        result: Its reconstruction.
    """
    return compare(source, result, truth=source)


def has_color(picture: Picture) -> bool:
    """Return whether a picture is neither gray nor of a single tint, such as sepia.

    In a single tint, all pixels have the same hue, and those of equal brightness are equally
    saturated.
    """
    scale = min(1, TINT_SIDE / max(picture.size))
    height, width = (max(1, round(side * scale)) for side in picture.size)
    seen = to_planes(picture.reduced((height, width), Image.Resampling.BOX))
    if len(seen) == 1:
        return False
    levels = (luminance(seen)[0] * TINT_LEVELS).astype(int).ravel()
    chroma = SPACES["ycbcr"].chroma(seen).reshape(2, -1)
    mean = chroma.mean(axis=1)
    hue = mean / max(float(np.hypot(*mean)), 1e-9)
    # In a single tint, chroma along the mean hue depends on the brightness only, and chroma across
    # the hue is 0.
    along, across = hue @ chroma, np.array([-hue[1], hue[0]]) @ chroma
    counts = np.maximum(np.bincount(levels), 1)
    of_level = np.bincount(levels, along) / counts
    deviations = np.std(along - of_level[levels]), np.sqrt(np.square(across).mean())
    return float(max(deviations)) > TINT


def without_color(picture: Picture) -> Picture:
    """Return the luma of a picture as a gray picture without alpha, metadata and profile."""
    return Picture(pixels=from_planes(luminance(to_planes(picture.pixels)), picture.pixels.dtype))


def _panel(picture: Picture) -> Image.Image:
    """Reduce a picture to at most ``MAX_SIDE`` pixels a side, and convert it to sRGB."""
    scale = min(1, MAX_SIDE / max(picture.size))
    height, width = (max(1, round(side * scale)) for side in picture.size)
    values = picture.reduced((height, width), Image.Resampling.LANCZOS)
    if (profile := picture.wide_profile) is not None:
        values = to_srgb(values, profile)
    return Image.fromarray(np.broadcast_to(values, (height, width, 3)).copy())


def _errors(result: Picture, truth: Picture) -> dict[str, float]:
    """Return the PSNR in dB and the mean CIEDE2000 of a result."""
    from skimage.color import deltaE_ciede2000

    height, width = truth.size
    rows = max(1, STRIP_PIXELS // width)
    sums = np.zeros(2)
    # Computed in strips of rows, because CIEDE2000 needs many arrays of the size of its input.
    for top in range(0, height, rows):
        pair = [gray_rgb(to_planes(each.pixels[top : top + rows])) for each in (truth, result)]
        differences = deltaE_ciede2000(  # type: ignore[no-untyped-call]
            *map(rgb_to_lab, pair), channel_axis=0
        )
        squares = np.square(pair[0] - pair[1], dtype=np.float64)
        sums += squares.mean(0).sum(), differences.sum()
    error, difference = sums / (height * width)
    return {"psnr": float(psnr(error)), "ciede2000": float(difference)}
