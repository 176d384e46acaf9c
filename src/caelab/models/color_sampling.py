"""Several plausible colors: samples of a distribution by pixel that hang together over the image.

Drawn pixel by pixel on its own, colors would be confetti: the distributions say nothing about
neighbours. So one smooth random field decides for all pixels which quantile of their distribution
is taken (a Gaussian copula):

smooth field z (N, 2, H, W) ──► u = Φ(z), uniform ──► quantile of the first plane, then of the second given the first

Every pixel keeps its own distribution exactly. The field is smooth over the image *and* over its
luma, so that it turns at edges: a thing has one color, and its background another.
"""

import math

import torch
from torch import Tensor

from caelab.randomness import normal

REACH_OF_SIDE = 0.25
"""Distance over which the field stays alike, as a share of the image's longer side."""

REACH_OF_LUMA = 0.2
"""Difference in luma over which the field stays alike, of a range of 1."""

_WAVES = 32
"""Of which the field is the sum."""

_STREAM = 33
"""Of random numbers; degradations and augmentation have those below."""


def smooth_field(luma: Tensor, keys: Tensor) -> Tensor:
    """Return two independent Gaussian fields, ``(N, 2, H, W)``, in every pixel of mean 0 and
    variance 1 exactly.

    The covariance of two pixels at a distance d, their luma differing by l, is about exp(−d²/2r² −
    l²/2s²) with r and s the two reaches: waves of random directions and lengths, of random Gaussian
    amplitudes (Rahimi and Recht 2007).

    Args:
        luma: ``(N, 1, H, W)`` in [0, 1].
        keys: ``int64 (N,)``, all that chance depends on, from ``randomness.image_keys``.
    """
    count, _, height, width = luma.shape
    rows, columns = (
        torch.arange(side).to(luma) / (max(height, width) * REACH_OF_SIDE)
        for side in (height, width)
    )
    places = [
        rows.view(1, height, 1).expand(count, height, width),
        columns.view(1, 1, width).expand(count, height, width),
        luma.squeeze(1) / REACH_OF_LUMA,
    ]
    drawn = normal(keys, _WAVES * (3 + 4), _STREAM).to(luma)
    waves, amplitudes = (
        drawn[:, : 3 * _WAVES].view(-1, 3, _WAVES),
        drawn[:, 3 * _WAVES :].view(-1, 2 * _WAVES, 2),
    )
    phases = torch.stack(places, dim=-1).flatten(1, 2) @ waves
    field = torch.cat([phases.cos(), phases.sin()], dim=2) @ amplitudes / math.sqrt(_WAVES)
    return field.view(count, height, width, 2).movedim(-1, 1)


def colors_at(probabilities: Tensor, cells: Tensor, quantiles: Tensor) -> Tensor:
    """Return the colors at quantiles of distributions over square cells, each filled evenly: ``(P,
    2)``.

    The first plane is the quantile of its own distribution, the second that of its distribution
    given the first (Rosenblatt 1952): where the quantiles are uniform and independent, the colors
    have the distribution; where they change a little, so do the colors, but for jumps over cells
    that are empty.

    Args:
        probabilities: ``(P, Q)``.
        cells: Centres, ``(Q, 2)``, whole numbers, in the order of the first plane and then the
            second.
        quantiles: ``(P, 2)`` in (0, 1).
    """
    # In double precision: far from the first cells, differences of sums of float32 would be mostly
    # rounding.
    sums = probabilities.double().cumsum(1)
    sums = sums / sums[:, -1:]
    last_in_row = torch.cat([cells[:, 0].diff() != 0, cells.new_ones(1, dtype=torch.bool)])
    first, second = quantiles.double().T.contiguous().unsqueeze(2)

    _, low, high = _interval(sums[:, last_in_row].contiguous(), first)
    in_row = low + second * (high - low)
    cell, left, right = _interval(sums, in_row)
    offsets = torch.cat([(first - low) / (high - low), (in_row - left) / (right - left)], dim=1)
    return cells[cell.squeeze(1)] + (offsets.clamp(0, 1) - 0.5).to(cells)


def _interval(sums: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the first index at which sums ``(P, K)`` exceed a value ``(P, 1)``, the sum before it,
    and its own.
    """
    index = torch.searchsorted(sums, values, right=True).clamp(max=sums.shape[1] - 1)
    before = sums.gather(1, (index - 1).clamp(min=0))
    return index, torch.where(index > 0, before, 0), sums.gather(1, index)
