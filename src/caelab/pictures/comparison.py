"""A result beside what it was made of and, where that is known, the truth, with numbers. No
torch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from caelab.pictures.luma import luma
from caelab.pictures.picture import Picture
from caelab.pictures.restore import wide_profile

LONGEST = 1024
"""Pixels of a panel's longer side at most; the numbers are of the pictures at full size."""

STRIP_PIXELS = 2**20
"""Color differences are computed so many pixels at a time."""

_GAP, _LINE = 8, 20


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What ``compare`` gives.

    Attributes:
        picture: The panels beside one another.
        metrics: ``psnr`` in dB (of all values on [0, 1]; infinite where nothing differs) and
            ``ciede2000``, the mean color difference over pixels, of the result against the truth;
            empty where the truth is not known.
    """

    picture: Picture
    metrics: dict[str, float]


def compare(given: Picture, result: Picture, *, truth: Picture | None = None) -> Comparison:
    """Draw panels of what was given, of the result, and of the truth where it is known and
    something else.

    Args:
        given: What the model was given, or was to make better.
        result: Of the same size.
        truth: Of the same size; its color profile holds for the result too.
    """
    metrics = (
        {}
        if truth is None
        else {"psnr": _psnr(result, truth), "ciede2000": _color_difference(result, truth)}
    )
    panels = [("given", given), ("result", result)]
    if truth is not None and truth is not given:
        panels.append(("truth", truth))
    numbers = (
        f"PSNR {metrics['psnr']:.2f} dB · CIEDE2000 {metrics['ciede2000']:.2f}" if metrics else ""
    )
    drawn = [(label, _panel(picture)) for label, picture in panels]
    width, height = drawn[0][1].size
    font = ImageFont.load_default(size=13)
    least = max(width, int(font.getlength(numbers)))
    sheet = Image.new(
        "RGB", (len(drawn) * (least + _GAP) + _GAP, height + 2 * _LINE + 2 * _GAP), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for place, (label, panel) in enumerate(drawn):
        left = _GAP + place * (least + _GAP)
        draw.text((left, _GAP // 2), label, fill="black", font=font)
        sheet.paste(panel, (left, _GAP + _LINE))
        if label == "result":
            draw.text((left, _GAP + _LINE + height + 2), numbers, fill="black", font=font)
    return Comparison(picture=Picture(pixels=np.asarray(sheet)), metrics=metrics)


def has_color(picture: Picture) -> bool:
    """Whether any pixel is not gray."""
    pixels = picture.pixels
    return pixels.shape[2] == 3 and bool((pixels != pixels[..., :1]).any())


def without_color(picture: Picture) -> Picture:
    """Return the luma of a picture, what colorizing starts from."""
    gray = np.rint(luma(picture.values(slice(None))) * picture.most).astype(picture.pixels.dtype)
    return Picture(pixels=gray[..., None])


def _panel(picture: Picture) -> Image.Image:
    height, width = picture.size
    scale = min(1, LONGEST / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    reduced = picture.reduced(size, Image.Resampling.LANCZOS)
    if (profile := wide_profile(picture)) is not None:
        reduced = profile.to_srgb(reduced)
    return Image.fromarray(reduced[..., 0] if reduced.shape[2] == 1 else reduced).convert("RGB")


def _psnr(result: Picture, truth: Picture) -> float:
    total = sum(
        float(np.square(result.values(rows) - truth.values(rows), dtype=np.float64).sum())
        for rows in _strips(truth)
    )
    error = total / (
        truth.size[0] * truth.size[1] * max(result.pixels.shape[2], truth.pixels.shape[2])
    )
    return -10 * float(np.log10(error)) if error > 0 else float("inf")


def _color_difference(result: Picture, truth: Picture) -> float:
    from skimage.color import deltaE_ciede2000, rgb2lab

    def lab(picture: Picture, rows: slice) -> NDArray[np.float32]:
        values = picture.values(rows)
        converted: NDArray[np.float32] = rgb2lab(
            values.repeat(3, axis=2) if values.shape[2] == 1 else values
        )
        return converted

    total = 0.0
    for rows in _strips(truth):
        total += float(deltaE_ciede2000(lab(truth, rows), lab(result, rows)).sum())  # type: ignore[no-untyped-call]
    return total / (truth.size[0] * truth.size[1])


def _strips(picture: Picture) -> list[slice]:
    height, width = picture.size
    rows = max(1, STRIP_PIXELS // width)
    return [slice(top, top + rows) for top in range(0, height, rows)]
