"""The color difference CIEDE2000 as a loss, which is differentiable everywhere, also for gray."""

import math

import torch
from torch import Tensor

from caelab.color import rgb_to_lab

NOTICEABLE = 1.0
"""Color difference ΔE₀₀ below which the loss is about quadratic: it is hardly visible."""

_TINY = 1e-8
"""Added under roots and to divisors, so that gray has a gradient, too. It gives gray a chroma of
0.0001."""


def color_difference(estimate: Tensor, target: Tensor) -> Tensor:
    """Return the mean over pixels of √(ΔE₀₀² + 1) − 1, a scalar.

    Args:
        estimate: sRGB in [0, 1], ``(N, 3, H, W)``.
        target: sRGB in [0, 1], ``(N, 3, H, W)``. Exchanging the two changes nothing.

    >>> color_difference(torch.full((1, 3, 1, 1), 0.5), torch.full((1, 3, 1, 1), 0.5)) < 1e-3
    tensor(True)
    """
    # √(ΔE² + 1) − 1 is about ΔE²/2 for small differences and ΔE − 1 for large ones, and smooth at
    # 0.
    squared = squared_ciede2000(rgb_to_lab(estimate), rgb_to_lab(target))
    return ((squared.clamp(min=0) + NOTICEABLE**2).sqrt() - NOTICEABLE).mean()


def fourth_of_pixels(images: Tensor, step: int) -> Tensor:
    """Return every second pixel of every second row; in four steps these are all pixels.

    Neighbors are so similar that the mean over these pixels is nearly the mean over all, in a
    quarter of the time.

    Args:
        images: Shape (N, C, H, W).
        step: Index of the step, which chooses among the four sets of pixels.
    """
    row, column = divmod(step % 4, 2)
    return images[:, :, row % images.shape[2] :: 2, column % images.shape[3] :: 2]


def squared_ciede2000(estimate: Tensor, target: Tensor) -> Tensor:
    """Return ΔE₀₀² of each pixel, ``(N, H, W)`` (Sharma et al. 2005, equations 2–22).

    Rounding can make it slightly negative. The gradient is finite for all colors, equal ones and
    gray included. It treats the correction for gray (G) and the weights that depend on lightness
    and mean hue (S_L, T, R_T) as constants.

    Args:
        estimate: CIELAB, ``(N, 3, H, W)``.
        target: CIELAB, ``(N, 3, H, W)``.
    """
    lightness, a, b = estimate.unbind(1)
    other_lightness, other_a, other_b = target.unbind(1)
    with torch.no_grad():
        # 1 + G of the standard, which increases the chroma of nearly gray colors.
        stretch = 1 + 0.5 * (1 - _vividness((_chroma(a, b) + _chroma(other_a, other_b)) / 2))
    a, other_a = stretch * a, stretch * other_a
    chroma, other_chroma = _chroma(a, b), _chroma(other_a, other_b)
    mean_chroma = (chroma + other_chroma) / 2
    with torch.no_grad():
        # The direction of the sum of both unit vectors is the mean hue. The standard needs cases
        # for angles beyond 360° instead.
        hue = torch.atan2(b / chroma + other_b / other_chroma, a / chroma + other_a / other_chroma)
        hue_weight, rotation = _hue_weight(hue), _rotation(hue, mean_chroma)
        # S_L: differences count less for very dark and very light colors.
        middle = ((lightness + other_lightness) / 2 - 50).square()
        lightness_weight = 1 + 0.015 * middle / (20 + middle).sqrt()

    by_lightness = (lightness - other_lightness) / lightness_weight
    by_chroma = (chroma - other_chroma) / (1 + 0.045 * mean_chroma)
    by_hue = _hue_difference(a, b, other_a, other_b, chroma * other_chroma) / (
        1 + 0.015 * mean_chroma * hue_weight
    )
    return (
        by_lightness.square() + by_chroma.square() + by_hue.square() + rotation * by_chroma * by_hue
    )


def _chroma(a: Tensor, b: Tensor) -> Tensor:
    return (a.square() + b.square() + _TINY).sqrt()


def _vividness(chroma: Tensor) -> Tensor:
    """Return 0 for gray and nearly 1 from a chroma of 50 on: √(C⁷ / (C⁷ + 25⁷))."""
    power = (chroma / 25) ** 7
    return (power / (power + 1)).sqrt()


def _hue_difference(
    a: Tensor, b: Tensor, other_a: Tensor, other_b: Tensor, product: Tensor
) -> Tensor:
    """Return 2 √(C C′) sin(Δh / 2) (equation 11), without the hue angle, which gray does not have.

    The dot and the cross product of the vectors (a, b) determine it: 4 C C′ sin²(Δh / 2) is
    2 (C C′ − dot). For an acute Δh the subtraction would lose digits, so the result is
    computed as 2 cross² / (C C′ + dot).
    """
    inner, outer = a * other_a + b * other_b, other_a * b - other_b * a
    # Each formula loses digits where the other one is exact, so the angle decides between them.
    near = inner > 0
    acute = outer * (2 / (product + torch.where(near, inner, 0) + _TINY)).sqrt()
    obtuse = (2 * (product - torch.where(near, 0, inner)) + _TINY).sqrt()
    return torch.where(near, acute, torch.where(outer < 0, -obtuse, obtuse))


def _hue_weight(hue: Tensor) -> Tensor:
    """Return T (equation 15) of a mean hue in radians."""
    return (
        1
        - 0.17 * (hue - math.radians(30)).cos()
        + 0.24 * (2 * hue).cos()
        + 0.32 * (3 * hue + math.radians(6)).cos()
        - 0.20 * (4 * hue - math.radians(63)).cos()
    )


def _rotation(hue: Tensor, mean_chroma: Tensor) -> Tensor:
    """Return R_T (equation 21), which corrects blue."""
    degrees = hue.rad2deg().remainder(360)
    angle = (60 * (-((degrees - 275) / 25).square()).exp()).deg2rad()
    return -2 * _vividness(mean_chroma) * angle.sin()
