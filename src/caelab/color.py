"""Color spaces, luminance, merging of chroma with luminance, and colors outside sRGB.

Every function gets NumPy arrays or PyTorch tensors, and returns the same type. Images are floating
point, ``(..., C, H, W)``: the channels are the third axis from the end. RGB is sRGB: gamma-encoded
values in [0, 1], BT.709 primaries, white point D65. Conversions do not clip; :func:`merge` does. On
tensors, all functions are differentiable, also at black.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

ArrayT = TypeVar("ArrayT", NDArray[np.floating[Any]], "Tensor")

Matrix = tuple[tuple[float, ...], ...]

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114
"""Weights of red, green and blue in the luma of ITU-R BT.601."""

_XYZ: Matrix = (
    (0.412453 / 0.95047, 0.357580 / 0.95047, 0.180423 / 0.95047),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.08883, 0.119193 / 1.08883, 0.950227 / 1.08883),
)
"""Matrix from linear sRGB to CIE XYZ (ITU-R BT.709; 2° observer).

X, Y and Z are divided by the values of the white point D65, so that white is (1, 1, 1).
"""

_LAB_LINEAR, _LAB_SLOPE, _LAB_OFFSET = 0.008856, 7.787, 4 / 29
"""Limit, slope and offset of a straight line in CIELAB (CIE 15:2004).

The line replaces the cube root of X, Y and Z (white is 1) up to the limit.
"""

_OKLAB_CONES: Matrix = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
"""Matrix from linear sRGB to cone responses (Ottosson 2020, bottosson.github.io/posts/oklab)."""

_OKLAB: Matrix = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
"""Matrix from the cube roots of the cone responses to the channels L, a and b of OkLab."""

_DARKEST_CONE = 1e-6
"""Below this cone response a straight line replaces OkLab's cube root, which is infinitely steep
at 0."""

_TINY = 1e-12
"""Smallest divisor in :func:`desaturate`, so that it divides by no 0 where a pixel is gray."""


def _inverse(matrix: Matrix) -> Matrix:
    return tuple(map(tuple, np.linalg.inv(matrix).tolist()))


_XYZ_INVERSE, _OKLAB_CONES_INVERSE, _OKLAB_INVERSE = map(_inverse, (_XYZ, _OKLAB_CONES, _OKLAB))


def luminance(image: ArrayT) -> ArrayT:
    """Compute the ITU-R BT.601 luma, the usual grayscale image.

    Y′ = 0.299 R′ + 0.587 G′ + 0.114 B′ is a weighted sum of *gamma-encoded* values, as in Pillow,
    OpenCV and JPEG. Strictly, it is a luma, because luminance is a sum of linear light. A gray
    pixel (v, v, v) has the luma v.

    Args:
        image: RGB ``(..., 3, H, W)``; a gray image ``(..., 1, H, W)`` is returned as it is.

    Returns:
        The luma, ``(..., 1, H, W)``, in the range of the input.

    >>> luminance(np.array([1.0, 0.5, 0.0]).reshape(3, 1, 1)).item()
    0.5925
    """
    if image.shape[-3] == 1:
        return image
    red, green, blue = _planes(image)
    luma: ArrayT = (_RED * red + _GREEN * green + _BLUE * blue)[..., None, :, :]
    return luma


def gray_rgb(luma: ArrayT) -> ArrayT:
    """Return a view that repeats a luma ``(..., 1, H, W)`` in three channels ``(..., 3, H, W)``."""
    shape = (*luma.shape[:-3], 3, *luma.shape[-2:])
    gray: ArrayT = _library(luma).broadcast_to(luma, shape)
    return gray


def rgb_to_ycbcr(rgb: ArrayT) -> ArrayT:
    """Convert sRGB to full-range YCbCr (ITU-R BT.601, as in JPEG), both ``(..., 3, H, W)``.

    Y′ lies in [0, 1]; Cb = (B′ − Y′) / 1.772 and Cr = (R′ − Y′) / 1.402 lie in [−0.5, 0.5] and are
    0 for gray.

    >>> red = np.array([1.0, 0.0, 0.0]).reshape(3, 1, 1)
    >>> rgb_to_ycbcr(red).ravel().round(3).tolist()
    [0.299, -0.169, 0.5]
    """
    red, _, blue = _planes(rgb)
    (luma,) = _planes(luminance(rgb))
    return _stack(rgb, luma, (blue - luma) / (2 * (1 - _BLUE)), (red - luma) / (2 * (1 - _RED)))


def ycbcr_to_rgb(ycbcr: ArrayT) -> ArrayT:
    """Convert full-range YCbCr (ITU-R BT.601) to sRGB without clipping, both ``(..., 3, H, W)``."""
    luma, cb, cr = _planes(ycbcr)
    blue, red = luma + 2 * (1 - _BLUE) * cb, luma + 2 * (1 - _RED) * cr
    return _stack(ycbcr, red, (luma - _RED * red - _BLUE * blue) / _GREEN, blue)


def rgb_to_lab(rgb: ArrayT) -> ArrayT:
    """Convert sRGB to CIELAB (CIE 1976; D65, 2° observer), both ``(..., 3, H, W)``.

    L lies in [0, 100]; a and b lie within ±110 for sRGB and are 0 for gray.

    >>> rgb_to_lab(np.ones((3, 1, 1))).ravel().round(2).tolist()[0]
    100.0
    """
    xyz = _mix(_XYZ, _to_linear(rgb))
    root = xyz.clip(_LAB_LINEAR) ** (1 / 3)
    # CIELAB replaces the cube root near 0, where it is infinitely steep, by a straight line. At the
    # limit, line and root have the same value.
    line = _LAB_SLOPE * xyz + _LAB_OFFSET
    x, y, z = _planes(_library(xyz).where(xyz > _LAB_LINEAR, root, line))
    return _stack(rgb, 116 * y - 16, 500 * (x - y), 200 * (y - z))


def lab_to_rgb(lab: ArrayT) -> ArrayT:
    """Convert CIELAB (D65, 2° observer) to sRGB without clipping, both ``(..., 3, H, W)``."""
    lightness, a, b = _planes(lab)
    # The steps of `rgb_to_lab` in reverse order. A color far outside sRGB can have a negative third
    # root. It becomes 0, because there is no such light.
    y = (lightness + 16) / 116
    roots = _stack(lab, y + a / 500, y, (y - b / 200).clip(0))
    # Dark values are on the line of `rgb_to_lab`, which ends at this value.
    dark = roots <= _LAB_SLOPE * _LAB_LINEAR + _LAB_OFFSET
    xyz: ArrayT = _library(lab).where(dark, (roots - _LAB_OFFSET) / _LAB_SLOPE, roots**3)
    return _from_linear(_mix(_XYZ_INVERSE, xyz))


def rgb_to_oklab(rgb: ArrayT) -> ArrayT:
    """Convert sRGB to OkLab (Ottosson 2020), both ``(..., 3, H, W)``.

    L lies in [0, 1]; a and b lie within ±0.33 for sRGB and are 0 for gray.

    >>> rgb_to_oklab(np.ones((3, 1, 1))).ravel().round(3).tolist()[0]
    1.0
    """
    cones = _mix(_OKLAB_CONES, _to_linear(rgb))
    # `where` computes the root also for dark values. The clip keeps its gradient finite there.
    dark = abs(cones) <= _DARKEST_CONE
    root = abs(cones).clip(_DARKEST_CONE) ** (1 / 3) * _library(rgb).sign(cones)
    roots: ArrayT = _library(rgb).where(dark, cones * _DARKEST_CONE ** (-2 / 3), root)
    return _mix(_OKLAB, roots)


def oklab_to_rgb(oklab: ArrayT) -> ArrayT:
    """Convert OkLab to sRGB without clipping, both ``(..., 3, H, W)``."""
    roots = _mix(_OKLAB_INVERSE, oklab)
    dark = abs(roots) <= _DARKEST_CONE ** (1 / 3)
    cones: ArrayT = _library(oklab).where(dark, roots * _DARKEST_CONE ** (2 / 3), roots**3)
    return _from_linear(_mix(_OKLAB_CONES_INVERSE, cones))


@dataclass(frozen=True)
class ColorSpace:
    """A color space. Channel 0 is lightness; channels 1 and 2 are chroma, which is 0 for gray.

    Attributes:
        name: Name of the space.
        from_rgb: Function that converts sRGB to the space, both ``(..., 3, H, W)``.
        to_rgb: Inverse function. For colors outside sRGB it returns values outside [0, 1].
        chroma_scale: Root mean square of the chroma over CIFAR-10's training images, in the unit of
            the space. Chroma that is divided by it has a variance of about 1.
    """

    name: str
    from_rgb: Callable[[Any], Any]
    to_rgb: Callable[[Any], Any]
    chroma_scale: float

    def chroma(self, rgb: ArrayT) -> ArrayT:
        """Return the two chroma channels of sRGB, ``(..., 3, H, W)`` to ``(..., 2, H, W)``."""
        planes: ArrayT = self.from_rgb(rgb)[..., 1:, :, :]
        return planes


SPACES = {
    "ycbcr": ColorSpace("ycbcr", rgb_to_ycbcr, ycbcr_to_rgb, 0.06),
    "lab": ColorSpace("lab", rgb_to_lab, lab_to_rgb, 14.0),
    "oklab": ColorSpace("oklab", rgb_to_oklab, oklab_to_rgb, 0.036),
}
"""Color spaces by name."""

Gamut = Literal["clip", "desaturate"]
"""What :func:`merge` does with a color outside sRGB."""


def merge(luma: ArrayT, chroma: ArrayT, space: ColorSpace, *, gamut: Gamut = "clip") -> ArrayT:
    """Combine a luma and chroma channels to sRGB in [0, 1].

    The result has the lightness of the gray pixel with this luma. In YCbCr, lightness is luma. In
    CIELAB and OkLab, a color and a gray of the same lightness can have different lumas.

    Args:
        luma: BT.601 luma in [0, 1], ``(..., 1, H, W)``.
        chroma: Channels 1 and 2 of ``space``, in its unit, ``(..., 2, H, W)``. Any values are
            allowed. In YCbCr, 23.6% of all Y′ in [0, 1] with Cb, Cr in [−0.5, 0.5] are in sRGB.
        space: Color space of ``chroma``.
        gamut: ``"clip"`` clips red, green and blue to [0, 1], which changes the luma: in YCbCr by
            up to 0.31, for Cb = Cr = 0.5 with the luma 0. ``"desaturate"`` keeps the luma and
            reduces the saturation; see :func:`desaturate`.

    Returns:
        sRGB in [0, 1], ``(..., 3, H, W)``.

    >>> gray, planes = np.full((1, 2, 2), 0.5), np.zeros((2, 2, 2))
    >>> merge(gray, planes, SPACES["ycbcr"]).shape
    (3, 2, 2)
    """
    # CIELAB and OkLab define lightness by linear light, so the luma must be converted.
    lightness = luma if space.name == "ycbcr" else space.from_rgb(gray_rgb(luma))[..., :1, :, :]
    rgb: ArrayT = space.to_rgb(_library(luma).concatenate([lightness, chroma], -3))
    return rgb.clip(0, 1) if gamut == "clip" else desaturate(rgb, luma)


def desaturate(rgb: ArrayT, luma: ArrayT) -> ArrayT:
    """Give colors a luma, and reduce their saturation until they are in sRGB.

    The result has the YCbCr chroma of ``rgb`` where this chroma and ``luma`` make a color in sRGB.
    Elsewhere the chroma is multiplied by the largest factor below 1 that makes a color in sRGB, so
    that the hue stays the same.

    Args:
        rgb: RGB of any range, ``(..., 3, H, W)``. Its own luma is not used.
        luma: BT.601 luma of the result in [0, 1], ``(..., 1, H, W)``.

    Returns:
        sRGB in [0, 1], ``(..., 3, H, W)``.
    """
    xp = _library(rgb)
    # The offset from gray has the luma 0, so gray + share · offset has the same luma for any share.
    offset = rgb - luminance(rgb)
    # `amax` would take three times as long if the channels are the last axis in memory.
    red, green, blue = _planes(offset)
    above = xp.maximum(xp.maximum(red, green), blue).clip(_TINY)[..., None, :, :]
    below = -xp.minimum(xp.minimum(red, green), blue).clip(None, -_TINY)[..., None, :, :]
    # This is the largest factor of the offset that keeps the highest channel below or at 1, and the
    # lowest above or at 0.
    share = xp.minimum((1 - luma) / above, luma / below).clip(None, 1)
    result: ArrayT = (luma + share * offset).clip(0, 1)
    return result


def _library(array: ArrayT) -> Any:
    """Return the module that an array belongs to: NumPy, or torch for a tensor."""
    # Torch is not imported for NumPy arrays. If there is a tensor, it is imported already.
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def _planes(image: ArrayT) -> Any:
    """Split ``(..., 3, H, W)`` into an iterable of its channels ``(..., H, W)``."""
    return _library(image).moveaxis(image, -3, 0)


def _stack(like: ArrayT, *planes: Any) -> ArrayT:
    """Stack channels ``(..., H, W)`` to ``(..., C, H, W)``, an array of the type of ``like``."""
    image: ArrayT = _library(like).stack(planes, -3)
    return image


def _mix(matrix: Matrix, image: ArrayT) -> ArrayT:
    """Multiply the channels of every pixel by a 3×3 matrix; input and result ``(..., 3, H, W)``."""
    # The weights stay Python numbers: an array would have to be copied to the GPU at every call.
    first, second, third = _planes(image)
    return _stack(image, *(a * first + b * second + c * third for a, b, c in matrix))


def _to_linear(rgb: ArrayT) -> ArrayT:
    """Decode sRGB's gamma (IEC 61966-2-1)."""
    # `where` computes the power also for dark values. The clip keeps its gradient finite there.
    power = ((rgb.clip(0.04045) + 0.055) / 1.055) ** 2.4
    linear: ArrayT = _library(rgb).where(rgb > 0.04045, power, rgb / 12.92)
    return linear


def _from_linear(linear: ArrayT) -> ArrayT:
    """Encode linear light with sRGB's gamma (IEC 61966-2-1)."""
    power = 1.055 * linear.clip(0.0031308) ** (1 / 2.4) - 0.055
    rgb: ArrayT = _library(linear).where(linear > 0.0031308, power, 12.92 * linear)
    return rgb
