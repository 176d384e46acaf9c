"""Which colors a colorizer finds: its chroma by the hue of the truth."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from caelab.color import SPACES

SECTORS = (
    "pink", "red", "orange", "yellow", "yellow-green", "green",
    "turquoise", "cyan", "sky blue", "blue", "violet", "magenta",
)  # fmt: skip
"""Of CIELAB's hue circle, 30° each, the first around 0°."""

LEAST_CHROMA = 10.0
"""Of a pixel that has a hue, in CIELAB: the root of a² + b²."""


@dataclass(frozen=True, kw_only=True)
class HueError:
    """What becomes of the pixels whose true hue lies in one sector.

    Attributes:
        name: Of the sector.
        share: Of all pixels.
        chroma_mse: Mean squared error of Cb and Cr over them; NaN where there are none.
        kept: The part of their chroma that the estimate has in the direction of the truth, 1 where
            it is all there, 0 where it is gray, below 0 for the opposite color: Σ estimate·truth /
            Σ truth² over Cb and Cr.
    """

    name: str
    share: float
    chroma_mse: float
    kept: float


def hue_errors(estimate: Tensor, target: Tensor) -> tuple[HueError, ...]:
    """Return the errors by sector, for RGB images ``(N, 3, H, W)`` in [0, 1]; grayer pixels belong
    to none.
    """
    _, a, b = SPACES["lab"].from_rgb(target).unbind(1)
    width = 2 * math.pi / len(SECTORS)
    sector = torch.atan2(b, a).div(width).round().long() % len(SECTORS)
    sector[torch.hypot(a, b) < LEAST_CHROMA] = len(SECTORS)

    ycbcr = SPACES["ycbcr"]
    guess, truth = (ycbcr.chroma(images).double() for images in (estimate, target))
    per_pixel = {
        "error": (guess - truth).square().mean(1),
        "along": (guess * truth).sum(1),
        "true": truth.square().sum(1),
    }
    counts = torch.bincount(sector.flatten(), minlength=len(SECTORS) + 1).double()
    sums = {
        name: torch.bincount(sector.flatten(), values.flatten(), minlength=len(SECTORS) + 1)
        for name, values in per_pixel.items()
    }
    shares, errors, kept = (
        counts / sector.numel(),
        sums["error"] / counts,
        sums["along"] / sums["true"],
    )
    return tuple(
        HueError(
            name=name,
            share=float(shares[index]),
            chroma_mse=float(errors[index]),
            kept=float(kept[index]),
        )
        for index, name in enumerate(SECTORS)
    )
