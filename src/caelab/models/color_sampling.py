"""Samples of a distribution over colors by pixel that are consistent over the image.

If each pixel were drawn independently, the colors would be noise, because the distributions do not
say how neighbors are related. Therefore one smooth random field chooses the quantile of every
pixel's distribution (a Gaussian copula):

smooth field z ``(N, 2, H, W)`` ──► u = Φ(z), uniform ──► quantile of the first channel, then
                                     of the second given the first

Every pixel keeps its own distribution exactly. The field is smooth over position *and* luma, so
that it changes at edges: an object has one color, and its background another.
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
"""Stream of random numbers; degradations and augmentation use streams of smaller numbers."""


def smooth_field(luma: Tensor, keys: Tensor) -> Tensor:
    """Return two independent Gaussian fields, with mean 0 and variance 1 in every pixel.

    The covariance of two pixels at a distance d whose luma differs by l is about exp(−d²/2r² −
    l²/2s²), where r and s are the two reaches: a sum of waves of random directions and lengths with
    Gaussian amplitudes (random Fourier features, Rahimi and Recht 2007).

    Args:
        luma: ``(N, 1, H, W)`` in [0, 1].
        keys: Random keys of the images, ``int64 (N,)``, see ``caelab.randomness.image_keys``.

    Returns:
        ``(N, 2, H, W)``.
    """
    count, _, height, width = luma.shape
    reach = max(height, width) * SIDE_REACH
    rows, columns = (torch.arange(side).to(luma) / reach for side in (height, width))
    # Row, column and luma of a pixel are a point in a space in which the field is smooth.
    positions = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
        rows[:, None], columns, luma.squeeze(1) / LUMA_REACH
    )
    drawn = normal(keys, _WAVES * (3 + 4), _STREAM).to(luma)
    waves = drawn[:, : 3 * _WAVES].view(-1, 3, _WAVES)
    amplitudes = drawn[:, 3 * _WAVES :].view(-1, 2 * _WAVES, 2)
    phases = torch.stack(positions, dim=-1).flatten(1, 2) @ waves
    # As cos² + sin² = 1, the variance is exactly 1, not only on average over the waves.
    field = torch.cat([phases.cos(), phases.sin()], dim=2) @ amplitudes / math.sqrt(_WAVES)
    return field.view(count, height, width, 2).movedim(-1, 1)


def colors_at(probabilities: Tensor, cells: Tensor, quantiles: Tensor) -> Tensor:
    """Return the colors at quantiles of distributions that are even within each square cell.

    The first channel is the quantile of its own distribution, the second that of its distribution
    given the first (Rosenblatt 1952). Uniform, independent quantiles give colors of the
    distribution, and small changes of the quantiles give small changes of the colors, except for
    jumps over empty cells.

    Args:
        probabilities: Distributions, ``(P, Q)``.
        cells: Centers of the cells, whole numbers, sorted by the first channel, then the second,
            ``(Q, 2)``.
        quantiles: ``(P, 2)`` in (0, 1).

    Returns:
        Colors in cells, ``(P, 2)``.
    """
    # In float32, differences of large cumulative sums would be mostly rounding errors. On the CPU,
    # as Apple's GPUs have no float64.
    device = cells.device
    probabilities, cells, quantiles = probabilities.cpu(), cells.cpu(), quantiles.cpu()
    sums = probabilities.double().cumsum(1)
    sums = sums / sums[:, -1:]
    # Cells are sorted by the first channel, so the cumulative sums at the ends of its rows are the
    # cumulative distribution of that channel alone.
    last_in_row = torch.cat([cells[:, 0].diff() != 0, cells.new_ones(1, dtype=torch.bool)])
    first, second = quantiles.double().T.contiguous().unsqueeze(2)

    _, low, high = _interval(sums[:, last_in_row].contiguous(), first)
    # The second quantile counts within the row that the first one has chosen.
    in_row = low + second * (high - low)
    cell, left, right = _interval(sums, in_row)
    offsets = torch.cat([(first - low) / (high - low), (in_row - left) / (right - left)], dim=1)
    return (cells[cell.squeeze(1)] + (offsets.clamp(0, 1) - 0.5).to(cells)).to(device)


def _interval(sums: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the first of the sums ``(P, K)`` that exceeds a value ``(P, 1)``.

    Returns:
        Its index, the sum before it and the sum itself, each ``(P, 1)``.
    """
    index = torch.searchsorted(sums, values, right=True).clamp(max=sums.shape[1] - 1)
    before = sums.gather(1, (index - 1).clamp(min=0))
    return index, torch.where(index > 0, before, 0), sums.gather(1, index)
