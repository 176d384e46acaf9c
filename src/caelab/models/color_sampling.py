"""Draw a color for each pixel from its distribution, so that neighboring pixels get similar colors.

If each pixel were drawn independently, the colors would be noise, because the distribution of a
pixel does not say how its color is related to the colors of its neighbors. Therefore one smooth
random field chooses the quantile of every pixel's distribution (a Gaussian copula):

smooth field z ``(N, 2, H, W)`` ──► u = Φ(z), uniform ──► quantile of the first channel, then
                                     quantile of the second channel given the first channel

The color of each pixel still has exactly the pixel's distribution. The field is smooth over
position *and* luma, so it changes at edges: an object and its background can get different colors.
"""

import math

import torch
from torch import Tensor

from caelab.randomness import normal

SIDE_REACH = 0.25
"""Distance over which the field stays similar, as a share of the image's longer side."""

LUMA_REACH = 0.2
"""Difference in luma over which the field stays similar, on a range of 1."""

_WAVES = 32
"""Number of waves summed into the random field."""

_STREAM = 33
"""Number of the stream of random numbers; degradations and augmentation use numbers below it."""


def smooth_field(luma: Tensor, keys: Tensor) -> Tensor:
    """Return two independent Gaussian fields, with mean 0 and variance 1 in every pixel.

    For two pixels at a distance d whose luma differs by l, the covariance of a field is about
    exp(−d²/2r² − l²/2s²). Here r is ``SIDE_REACH`` times the longer side, and s is ``LUMA_REACH``.
    Each field is a sum of waves with random directions, random lengths and Gaussian amplitudes
    (random Fourier features, Rahimi and Recht 2007).

    Args:
        luma: Luma of the images, ``(N, 1, H, W)`` in [0, 1].
        keys: Random keys of the images, ``int64 (N,)``; see ``caelab.randomness.image_keys``.

    Returns:
        The two fields of each image, ``(N, 2, H, W)``.
    """
    count, _, height, width = luma.shape
    reach = max(height, width) * SIDE_REACH
    rows, columns = (torch.arange(side).to(luma) / reach for side in (height, width))
    # Row, column and luma are the coordinates of a pixel in a space in which the field is smooth.
    positions = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
        rows[:, None], columns, luma.squeeze(1) / LUMA_REACH
    )
    drawn = normal(keys, _WAVES * (3 + 4), _STREAM).to(luma)
    waves = drawn[:, : 3 * _WAVES].view(-1, 3, _WAVES)
    amplitudes = drawn[:, 3 * _WAVES :].view(-1, 2 * _WAVES, 2)
    phases = torch.stack(positions, dim=-1).flatten(1, 2) @ waves
    # Because cos² + sin² = 1, the variance is exactly 1 for any waves.
    field = torch.cat([phases.cos(), phases.sin()], dim=2) @ amplitudes / math.sqrt(_WAVES)
    return field.view(count, height, width, 2).movedim(-1, 1)


def colors_at(probabilities: Tensor, cells: Tensor, quantiles: Tensor) -> Tensor:
    """Return the colors at given quantiles of distributions over cells, uniform within each cell.

    The first quantile chooses the first channel from its marginal distribution. The second quantile
    chooses the second channel from its distribution given the first channel (Rosenblatt 1952). If
    the quantiles are uniform and independent, the colors have the given distribution. A small
    change of a quantile usually changes the color little, except where empty cells are skipped.

    Args:
        probabilities: Probabilities of the Q cells, one distribution per row, ``(P, Q)``.
        cells: Centers of the cells, whole numbers, sorted by the first channel, then by the second,
            ``(Q, 2)``.
        quantiles: Quantiles of the first and the second channel, ``(P, 2)`` in (0, 1).

    Returns:
        Colors ``(P, 2)``, in the unit of ``cells``.
    """
    # In float32, small differences of cumulative sums would be mostly rounding errors. The CPU
    # computes them, because Apple's GPUs have no float64.
    device = cells.device
    probabilities, cells, quantiles = probabilities.cpu(), cells.cpu(), quantiles.cpu()
    sums = probabilities.double().cumsum(1)
    sums = sums / sums[:, -1:]
    # A row contains the cells with the same first channel. The cumulative sums at the ends of rows
    # are the cumulative distribution of the first channel.
    last_in_row = torch.cat([cells[:, 0].diff() != 0, cells.new_ones(1, dtype=torch.bool)])
    first, second = quantiles.double().T.contiguous().unsqueeze(2)

    _, low, high = _interval(sums[:, last_in_row].contiguous(), first)
    # The second quantile is taken within the row that the first quantile has chosen.
    in_row = low + second * (high - low)
    cell, left, right = _interval(sums, in_row)
    offsets = torch.cat([(first - low) / (high - low), (in_row - left) / (right - left)], dim=1)
    return (cells[cell.squeeze(1)] + (offsets.clamp(0, 1) - 0.5).to(cells)).to(device)


def _interval(sums: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the first sum above ``values`` ``(P, 1)`` in each row of cumulative ``sums`` ``(P, K)``.

    Returns:
        Index of the found sum, the sum before it (0 for the first), and the sum itself, each
        ``(P, 1)``.
    """
    index = torch.searchsorted(sums, values, right=True).clamp(max=sums.shape[1] - 1)
    before = sums.gather(1, (index - 1).clamp(min=0))
    return index, torch.where(index > 0, before, 0), sums.gather(1, index)
