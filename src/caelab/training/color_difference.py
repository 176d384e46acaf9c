"""The color difference CIEDE2000 as a loss with a finite gradient for all colors, even gray."""

import math

import torch
from torch import Tensor

from caelab.color import rgb_to_lab

NOTICEABLE = 1.0
"""Color difference ΔE₀₀ that is just visible. For smaller values the loss is nearly quadratic."""

_TINY = 1e-8
"""Number added under square roots and to divisors, so that the gradient is finite even for gray.
Because of this number, the chroma of gray is 0.0001 instead of 0."""


def color_difference(estimate: Tensor, target: Tensor) -> Tensor:
    """Return the mean over pixels of √(ΔE₀₀² + 1) − 1, a scalar.

    ΔE₀₀ is the CIEDE2000 difference between a pixel's estimated and true color.

    Args:
        estimate: Estimated images, sRGB in [0, 1], ``(N, 3, H, W)``.
        target: True images, sRGB in [0, 1], ``(N, 3, H, W)``. Exchanging ``estimate`` and
            ``target`` does not change the result.

    >>> color_difference(torch.full((1, 3, 1, 1), 0.5), torch.full((1, 3, 1, 1), 0.5)) < 1e-3
    tensor(True)
    """
    # √(ΔE² + 1) − 1 is about ΔE²/2 for small differences, about ΔE − 1 for large ones, and smooth
    # at 0.
    squared = squared_ciede2000(rgb_to_lab(estimate), rgb_to_lab(target))
    return ((squared.clamp(min=0) + NOTICEABLE**2).sqrt() - NOTICEABLE).mean()


def fourth_of_pixels(images: Tensor, step: int) -> Tensor:
    """Return a quarter of the pixels: every second pixel of every second row.

    Four consecutive steps together cover all pixels. Neighboring pixels are so similar that the
    mean color difference over a quarter of the pixels is nearly the mean over all pixels. Computing
    the mean over a quarter takes a quarter of the time.

    Args:
        images: Images, or outputs of a network, ``(N, C, H, W)``.
        step: Index of the training step; ``step % 4`` chooses the quarter.
    """
    row, column = divmod(step % 4, 2)
    return images[:, :, row % images.shape[2] :: 2, column % images.shape[3] :: 2]


def squared_ciede2000(estimate: Tensor, target: Tensor) -> Tensor:
    """Return ΔE₀₀² of each pixel, ``(N, H, W)`` (Sharma et al. 2005, equations 2–22).

    Rounding can make a result slightly negative. The gradient is finite for all colors, also for
    gray and for equal colors. The gradient treats the correction G for nearly gray colors and the
    terms S_L, T and R_T as constants.

    Args:
        estimate: Estimated colors in CIELAB, ``(N, 3, H, W)``.
        target: True colors in CIELAB, ``(N, 3, H, W)``.
    """
    lightness, a, b = estimate.unbind(1)
    other_lightness, other_a, other_b = target.unbind(1)
    with torch.no_grad():
        # The standard's factor 1 + G increases the chroma of nearly gray colors.
        stretch = 1 + 0.5 * (1 - _vividness((_chroma(a, b) + _chroma(other_a, other_b)) / 2))
    a, other_a = stretch * a, stretch * other_a
    chroma, other_chroma = _chroma(a, b), _chroma(other_a, other_b)
    mean_chroma = (chroma + other_chroma) / 2
    with torch.no_grad():
        # The mean hue is the direction of the sum of both colors' unit vectors. The mean of the two
        # angles, which the standard takes, would need special cases around 360°.
        hue = torch.atan2(b / chroma + other_b / other_chroma, a / chroma + other_a / other_chroma)
        hue_weight, rotation = _hue_weight(hue), _rotation(hue, mean_chroma)
        # S_L: differences in lightness count less for very dark and very light colors.
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
    """Return √(a² + b²), but at least 0.0001."""
    return (a.square() + b.square() + _TINY).sqrt()


def _vividness(chroma: Tensor) -> Tensor:
    """Return √(C⁷ / (C⁷ + 25⁷)) of a chroma C: 0 for gray, nearly 1 for a chroma above 50."""
    power = (chroma / 25) ** 7
    return (power / (power + 1)).sqrt()


def _hue_difference(
    a: Tensor, b: Tensor, other_a: Tensor, other_b: Tensor, product: Tensor
) -> Tensor:
    """Return the hue difference 2 √(C C′) sin(Δh / 2) of two colors (equation 11).

    C and C′ are the chroma of the colors, ``product`` is C C′, and Δh is the angle between the two
    vectors (a, b). Gray has no hue angle, so the square of the result is computed without angles,
    from the dot product and the cross product of the vectors:

        2 (C C′ − dot) = 2 cross² / (C C′ + dot)

    If Δh is acute, the left side would lose digits, so the right side is used. Otherwise the right
    side would lose digits, so the left side is used.
    """
    inner, outer = a * other_a + b * other_b, other_a * b - other_b * a
    near = inner > 0
    acute = outer * (2 / (product + torch.where(near, inner, 0) + _TINY)).sqrt()
    obtuse = (2 * (product - torch.where(near, 0, inner)) + _TINY).sqrt()
    return torch.where(near, acute, torch.where(outer < 0, -obtuse, obtuse))


def _hue_weight(hue: Tensor) -> Tensor:
    """Return the weight T (equation 15) for a mean hue in radians."""
    return (
        1
        - 0.17 * (hue - math.radians(30)).cos()
        + 0.24 * (2 * hue).cos()
        + 0.32 * (3 * hue + math.radians(6)).cos()
        - 0.20 * (4 * hue - math.radians(63)).cos()
    )


def _rotation(hue: Tensor, mean_chroma: Tensor) -> Tensor:
    """Return the term R_T (equation 21), which corrects differences between blue colors."""
    degrees = hue.rad2deg().remainder(360)
    angle = (60 * (-((degrees - 275) / 25).square()).exp()).deg2rad()
    return -2 * _vividness(mean_chroma) * angle.sin()
