"""How close an estimate is to the truth: every metric, by name, one value per image."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from kornia.metrics import ssim as kornia_ssim
from torch import Tensor

from caelab.color import SPACES
from caelab.metrics.color_difference import (
    chroma_squared_error,
    ciede2000,
    color_accuracy,
    colorfulness,
)
from caelab.metrics.image_errors import squared_error

SSIM_WINDOW = 11


def peak_ratio(estimate: Tensor, target: Tensor) -> Tensor:
    """Return each image's peak signal-to-noise ratio in dB, −10·log10 of its MSE; infinite where
    that is 0.
    """
    return -10 * squared_error(estimate, target).log10()


def absolute_error(estimate: Tensor, target: Tensor) -> Tensor:
    """Return each image's mean absolute error over pixels and channels, in percent of the range."""
    return (estimate - target).abs().flatten(1).mean(1) * 100


def ssim(estimate: Tensor, target: Tensor) -> Tensor:
    """Return each image's structural similarity, at most 1, averaged over channels (Wang et al.
    2004).

    Gaussian window of 11 pixels, σ = 1.5, K = 0.01 and 0.03, windows wholly inside the image: what
    scikit-image gives with ``gaussian_weights=True, use_sample_covariance=False``. NaN where a side
    has fewer than 11 pixels.
    """
    if min(target.shape[2:]) < SSIM_WINDOW:
        return target.new_full((len(target),), math.nan)
    return kornia_ssim(estimate, target, SSIM_WINDOW, padding="valid").flatten(1).mean(1)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of an estimate against its target.

    Attributes:
        title: What a table calls it.
        function: ``(estimate, target)``, ``(N, C, H, W)`` both, → ``(N,)``.
        space: What the function takes: ``"rgb"`` in [0, 1], or a space of ``caelab.color``, to
            which 3-channel images are converted.
        color: Whether it has a meaning for color images only.
        unit: ``""`` for a pure number.
        better: Whether lower or higher is better, or what is nearer to the value of the truth
            itself.
        definition: In one line.
    """

    title: str
    function: Callable[[Tensor, Tensor], Tensor]
    space: Literal["rgb", "ycbcr", "lab"] = "rgb"
    color: bool = False
    unit: str = ""
    better: Literal["lower", "higher", "nearer"]
    definition: str


METRICS = {
    "mse": Metric(
        title="MSE",
        function=squared_error,
        better="lower",
        definition="mean squared error over pixels and channels on [0, 1]",
    ),
    "psnr": Metric(
        title="PSNR",
        function=peak_ratio,
        unit="dB",
        better="higher",
        definition="−10·log10 of an image's MSE",
    ),
    "ssim": Metric(
        title="SSIM",
        function=ssim,
        better="higher",
        definition="structural similarity, Gaussian window of 11 pixels, σ 1.5",
    ),
    "mae": Metric(
        title="mean absolute error",
        function=absolute_error,
        unit="%",
        better="lower",
        definition="mean absolute error over pixels and channels, of the range",
    ),
    "chroma_mse": Metric(
        title="chroma MSE",
        function=chroma_squared_error,
        space="ycbcr",
        color=True,
        better="lower",
        definition="mean squared error over pixels, Cb and Cr (BT.601, full range)",
    ),
    "ciede2000": Metric(
        title="CIEDE2000",
        function=ciede2000,
        space="lab",
        color=True,
        unit="ΔE",
        better="lower",
        definition="mean CIEDE2000 color difference over pixels",
    ),
    **{
        f"accuracy{tolerance}": Metric(
            title=f"pixels within {tolerance}%",
            function=partial(color_accuracy, tolerance=tolerance),
            space="lab",
            color=True,
            unit="%",
            better="higher",
            definition=f"pixels within {tolerance}% of the range in each of L, a and b, rounded",
        )
        for tolerance in (2, 5)
    },
    "colorfulness": Metric(
        title="colorfulness",
        function=lambda estimate, _: colorfulness(estimate),
        color=True,
        better="nearer",
        definition="Hasler and Süsstrunk's M⁽³⁾ of the estimate, on 0–255",
    ),
}
"""The metrics, by name."""


@torch.no_grad()
def measure(
    estimate: Tensor, target: Tensor, names: Iterable[str] = METRICS
) -> dict[str, np.ndarray]:
    """Return the metrics of each image, ``float64 (N,)`` by name; the truth's own are
    ``measure(target, target)``.

    Args:
        estimate: float ``(N, 1 or 3, H, W)``, clipped to [0, 1].
        target: The truth, of the same shape and device.
        names: In ``METRICS``; those of color are left out where there is one channel.
    """
    chosen = {
        name: METRICS[name] for name in names if target.shape[1] == 3 or not METRICS[name].color
    }
    pairs = {"rgb": (estimate, target)}
    for space in {metric.space for metric in chosen.values()} - {"rgb"}:
        pairs[space] = (SPACES[space].from_rgb(estimate), SPACES[space].from_rgb(target))
    return {
        name: metric.function(*pairs[metric.space]).double().cpu().numpy()
        for name, metric in chosen.items()
    }
