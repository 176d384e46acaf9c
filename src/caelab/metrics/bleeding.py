"""Whether colors run over edges: chroma differences of neighboring pixels, where the luma has an
edge and where not.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from caelab.color import SPACES

EDGE = 0.1
"""Difference in luma of two neighboring pixels from which on there is an edge between them."""

FLAT = 0.02
"""Difference in luma up to which there is none."""


@dataclass(frozen=True, kw_only=True)
class Neighbors:
    """Pairs of neighboring pixels of one kind.

    Attributes:
        share: Of all pairs.
        chroma_mse: Mean squared error of Cb and Cr at their pixels; NaN where there are none.
        contrast_kept: How much of the true difference in chroma the estimate has, Σ estimated·true
            / Σ true² over the differences of Cb and Cr: 1 where colors change as in the truth, 0
            where one color runs over both pixels; NaN where there is no difference to keep.
    """

    share: float
    chroma_mse: float
    contrast_kept: float


@dataclass(frozen=True, kw_only=True)
class Bleeding:
    """Pairs over an edge of the luma, and pairs without."""

    edges: Neighbors
    flat: Neighbors


def bleeding(estimate: Tensor, target: Tensor) -> Bleeding:
    """Compare RGB images in [0, 1], ``(N, 3, H, W)`` both; the edges are those of the target's
    luma.
    """
    planes, guess = (SPACES["ycbcr"].from_rgb(images).double() for images in (target, estimate))
    error = (guess - planes)[:, 1:].square().mean(1, keepdim=True)
    steps, errors, along, true = [], [], [], []
    for axis in (2, 3):
        differences, guessed = planes.diff(dim=axis), guess.diff(dim=axis)
        count = error.shape[axis]
        steps.append(differences[:, 0].abs().flatten())
        errors.append(
            ((error.narrow(axis, 0, count - 1) + error.narrow(axis, 1, count - 1)) / 2).flatten()
        )
        along.append((guessed * differences)[:, 1:].sum(1).flatten())
        true.append(differences[:, 1:].square().sum(1).flatten())
    step = torch.cat(steps)

    def over(chosen: Tensor) -> Neighbors:
        return Neighbors(
            share=float(chosen.double().mean()),
            chroma_mse=float(torch.cat(errors)[chosen].mean()),
            contrast_kept=float(torch.cat(along)[chosen].sum() / torch.cat(true)[chosen].sum()),
        )

    return Bleeding(edges=over(step >= EDGE), flat=over(step <= FLAT))
