"""Every metric of an estimate against the true image, by name: one value per image.

``METRICS`` holds each metric with its unit, direction and source, for evaluation, comparison and
reports.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from kornia.metrics import ssim as kornia_ssim
from skimage.color import deltaE_ciede2000
from torch import Tensor

from caelab.color import SPACES
from caelab.metrics.summary import psnr

SSIM_WINDOW = 11
"""Side of the SSIM's Gaussian window in pixels."""


def squared_error(estimate: Tensor, target: Tensor) -> Tensor:
    """Return each image's mean squared error over pixels and channels.

    Args:
        estimate: Images ``(N, C, H, W)`` in [0, 1].
        target: The true images, of the same shape.

    Returns:
        Errors ``(N,)`` in [0, 1], lower is better.

    >>> squared_error(torch.full((1, 3, 2, 2), 0.5), torch.zeros(1, 3, 2, 2))
    tensor([0.2500])
    """
    return (estimate - target).square().flatten(1).mean(1)


def absolute_error(estimate: Tensor, target: Tensor) -> Tensor:
    """Return each image's mean absolute error over pixels and channels, in percent of the range.

    Args:
        estimate: Images ``(N, C, H, W)`` in [0, 1].
        target: The true images, of the same shape.

    Returns:
        Errors ``(N,)`` in [0, 100] %, lower is better.

    >>> absolute_error(torch.full((1, 3, 2, 2), 0.5), torch.zeros(1, 3, 2, 2))
    tensor([50.])
    """
    return (estimate - target).abs().flatten(1).mean(1) * 100


def ssim(estimate: Tensor, target: Tensor) -> Tensor:
    """Return each image's structural similarity, averaged over channels (Wang et al. 2004).

    The window is a Gaussian of 11 pixels, σ = 1.5, wholly inside the image; K₁ = 0.01, K₂ = 0.03.
    scikit-image computes the same with ``gaussian_weights=True, use_sample_covariance=False``.

    Args:
        estimate: Images ``(N, C, H, W)`` in [0, 1].
        target: The true images, of the same shape.

    Returns:
        Similarities ``(N,)``, at most 1, higher is better; NaN if a side has fewer than 11 pixels.

    >>> image = torch.rand(1, 3, 16, 16)
    >>> round(float(ssim(image, image)), 4)
    1.0
    """
    # A smaller image contains no whole window. Kornia fails for some of these sizes, and returns
    # NaN for one.
    if min(target.shape[2:]) < SSIM_WINDOW:
        return target.new_full((len(target),), math.nan)
    return kornia_ssim(estimate, target, SSIM_WINDOW, padding="valid").flatten(1).mean(1)


def chroma_squared_error(estimate_ycbcr: Tensor, target_ycbcr: Tensor) -> Tensor:
    """Return each image's mean squared error over the pixels of Cb and Cr (BT.601, full range).

    Args:
        estimate_ycbcr: Images ``(N, 3, H, W)`` in YCbCr, Cb and Cr within ±0.5.
        target_ycbcr: The true images, of the same shape.

    Returns:
        Errors ``(N,)``, lower is better; the luma does not count.

    >>> chroma_squared_error(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5))
    tensor([0.2500])
    """
    return squared_error(estimate_ycbcr[:, 1:], target_ycbcr[:, 1:])


def ciede2000(estimate_lab: Tensor, target_lab: Tensor) -> Tensor:
    """Return each image's mean color difference ΔE₀₀ over pixels (CIE 2001).

    Args:
        estimate_lab: Images ``(N, 3, H, W)`` in CIELAB, L in [0, 100].
        target_lab: The true images, of the same shape.

    Returns:
        Differences ``(N,)`` in ΔE, lower is better; about 1 is just noticeable.

    >>> lab = torch.tensor([50.0, 2.5, 0.0]).view(1, 3, 1, 1)
    >>> round(float(ciede2000(lab, lab + 1)), 2)
    1.83
    """
    estimate, target = (
        # scikit-image's function is the reference here; `training.color_difference` is the one that
        # has a gradient.
        lab.detach().movedim(1, -1).cpu().numpy()
        for lab in (estimate_lab, target_lab)
    )
    difference = deltaE_ciede2000(estimate, target)  # type: ignore[no-untyped-call]
    return torch.from_numpy(difference).flatten(1).mean(1)


def color_accuracy(estimate_lab: Tensor, target_lab: Tensor, *, tolerance: float) -> Tensor:
    """Return each image's share of pixels close to the truth in each of L, a and b (ε-accuracy).

    The channels are rounded to whole numbers first; the range of L is 100, that of a and b 220, as
    in the code of Nazeri et al. (2018, arXiv 1803.05400).

    Args:
        estimate_lab: Images ``(N, 3, H, W)`` in CIELAB, L in [0, 100].
        target_lab: The true images, of the same shape.
        tolerance: Largest difference that counts as close, in percent of a channel's range.

    Returns:
        Shares ``(N,)`` in [0, 100] %, higher is better.

    >>> color_accuracy(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2), tolerance=2).item()
    100.0
    """
    # Rounding moves the limit by up to 1. It is kept, because the paper's numbers are made this
    # way.
    difference = (estimate_lab.round() - target_lab.round()).abs()
    limit = difference.new_tensor([1.0, 2.2, 2.2]).mul_(tolerance).view(1, 3, 1, 1)
    return (difference <= limit).all(1).flatten(1).float().mean(1) * 100


def colorfulness(rgb: Tensor) -> Tensor:
    """Return the colorfulness M⁽³⁾ of images (Hasler and Süsstrunk 2003), on 0–255 as usual.

    √(σ²_rg + σ²_yb) + 0.3 √(μ²_rg + μ²_yb) with rg = R − G and yb = (R + G)/2 − B.

    Args:
        rgb: Images ``(N, 3, H, W)`` in [0, 1].

    Returns:
        Colorfulness ``(N,)``, 0 for gray; 33 is called "moderately colorful".

    >>> colorfulness(torch.full((1, 3, 2, 2), 0.5))
    tensor([0.])
    """
    red, green, blue = (255 * rgb).flatten(2).unbind(1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue])
    spread = opponents.var(2, correction=0).sum(0).sqrt()
    center = opponents.mean(2).square().sum(0).sqrt()
    return spread + 0.3 * center


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of an estimate against the true image.

    Attributes:
        title: Name in tables.
        function: Map of estimate and target, both ``(N, C, H, W)``, to values ``(N,)``.
        space: Color space of the function's arguments: ``"rgb"`` in [0, 1], or a space of
            ``caelab.color`` that 3-channel images are converted to.
        color: True for metrics of color images only.
        unit: Unit; ``""`` for a pure number.
        better: Whether lower or higher is better, or a value nearer to the true image's own.
        definition: Definition in one line.
        source: Paper or standard that defines the metric; ``""`` for common knowledge.
    """

    title: str
    function: Callable[[Tensor, Tensor], Tensor]
    space: Literal["rgb", "ycbcr", "lab"] = "rgb"
    color: bool = False
    unit: str = ""
    better: Literal["lower", "higher", "nearer"]
    definition: str
    source: str = ""

    @property
    def heading(self) -> str:
        """The title with the unit, for the head of a table's column."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


METRICS = {
    "mse": Metric(
        title="MSE",
        function=squared_error,
        better="lower",
        definition="mean squared error over pixels and channels on [0, 1]",
    ),
    "psnr": Metric(
        title="PSNR",
        function=lambda estimate, target: torch.from_numpy(
            psnr(squared_error(estimate, target).cpu().numpy())
        ),
        unit="dB",
        better="higher",
        definition="peak signal-to-noise ratio, −10·log10 of an image's MSE",
    ),
    "ssim": Metric(
        title="SSIM",
        function=ssim,
        better="higher",
        definition="structural similarity, Gaussian window of 11 pixels, σ 1.5",
        source="Wang et al. 2004",
    ),
    "mae": Metric(
        title="mean absolute error",
        function=absolute_error,
        unit="%",
        better="lower",
        definition="mean absolute error over pixels and channels, in percent of the range",
    ),
    "chroma_mse": Metric(
        title="chroma MSE",
        function=chroma_squared_error,
        space="ycbcr",
        color=True,
        better="lower",
        definition="mean squared error over pixels, Cb and Cr (full range)",
        source="ITU-R BT.601",
    ),
    "ciede2000": Metric(
        title="CIEDE2000",
        function=ciede2000,
        space="lab",
        color=True,
        unit="ΔE",
        better="lower",
        definition="mean CIEDE2000 color difference over pixels",
        source="CIE 2001",
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
            source="Nazeri et al. 2018",
        )
        for tolerance in (2, 5)
    },
    "colorfulness": Metric(
        title="colorfulness",
        function=lambda estimate, _: colorfulness(estimate),
        color=True,
        better="nearer",
        definition="colorfulness M⁽³⁾ of the estimate, on 0–255",
        source="Hasler and Süsstrunk 2003",
    ),
}
"""The metrics by name."""


@torch.no_grad()
def measure(
    estimate: Tensor, target: Tensor, names: Iterable[str] = METRICS
) -> dict[str, np.ndarray]:
    """Return the metrics of each image.

    Args:
        estimate: Images ``(N, 1 or 3, H, W)``, clipped to [0, 1].
        target: The true images, of the same shape and on the same device.
        names: Names in ``METRICS``; metrics of color are left out for images of one channel.

    Returns:
        ``float64 (N,)`` by name, in the metric's unit.

    >>> image = torch.rand(2, 3, 16, 16)
    >>> measure(image, image, ["mse"])
    {'mse': array([0., 0.])}
    """
    metrics = {
        name: METRICS[name] for name in names if target.shape[1] == 3 or not METRICS[name].color
    }
    pairs = {"rgb": (estimate, target)}
    # Each space is converted once, although several metrics use it.
    for space in {metric.space for metric in metrics.values()} - {"rgb"}:
        pairs[space] = (SPACES[space].from_rgb(estimate), SPACES[space].from_rgb(target))
    return {
        name: metric.function(*pairs[metric.space]).cpu().double().numpy()
        for name, metric in metrics.items()
    }
