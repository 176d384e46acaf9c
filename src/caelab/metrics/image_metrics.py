"""Metrics that compare estimated images with the true images; each gives one value per image.

``METRICS`` contains the metrics by name, with unit, direction and source.
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
"""Side of the Gaussian window of the SSIM, in pixels."""


def squared_error(estimate: Tensor, target: Tensor) -> Tensor:
    """Return each image's mean squared error over pixels and channels.

    Args:
        estimate: Estimated images ``(N, C, H, W)`` in [0, 1].
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
        estimate: Estimated images ``(N, C, H, W)`` in [0, 1].
        target: The true images, of the same shape.

    Returns:
        Errors ``(N,)`` in [0, 100] %, lower is better.

    >>> absolute_error(torch.full((1, 3, 2, 2), 0.5), torch.zeros(1, 3, 2, 2))
    tensor([50.])
    """
    return (estimate - target).abs().flatten(1).mean(1) * 100


def ssim(estimate: Tensor, target: Tensor) -> Tensor:
    """Return each image's structural similarity, averaged over channels (Wang et al. 2004).

    The window is a Gaussian of 11×11 pixels with σ = 1.5, always inside the image; K₁ is 0.01, and
    K₂ is 0.03. scikit-image computes the same with ``gaussian_weights=True`` and
    ``use_sample_covariance=False``.

    Args:
        estimate: Estimated images ``(N, C, H, W)`` in [0, 1].
        target: The true images, of the same shape.

    Returns:
        Similarities ``(N,)``, at most 1, higher is better; NaN if a side has fewer than 11 pixels.

    >>> image = torch.rand(1, 3, 16, 16)
    >>> round(float(ssim(image, image)), 4)
    1.0
    """
    # A smaller image does not contain a whole window. For such images, Kornia raises an error or
    # returns NaN, depending on the size.
    if min(target.shape[2:]) < SSIM_WINDOW:
        return target.new_full((len(target),), math.nan)
    return kornia_ssim(estimate, target, SSIM_WINDOW, padding="valid").flatten(1).mean(1)


def chroma_squared_error(estimate_ycbcr: Tensor, target_ycbcr: Tensor) -> Tensor:
    """Return each image's mean squared error over the pixels of Cb and Cr (BT.601, full range).

    Args:
        estimate_ycbcr: Estimated images ``(N, 3, H, W)`` in YCbCr, with Cb and Cr in [−0.5, 0.5].
        target_ycbcr: The true images, of the same shape.

    Returns:
        Errors ``(N,)``, lower is better. The luma is not compared.

    >>> chroma_squared_error(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5))
    tensor([0.2500])
    """
    return squared_error(estimate_ycbcr[:, 1:], target_ycbcr[:, 1:])


def ciede2000(estimate_lab: Tensor, target_lab: Tensor) -> Tensor:
    """Return each image's mean color difference ΔE₀₀ over pixels (CIE 2001).

    Args:
        estimate_lab: Estimated images ``(N, 3, H, W)`` in CIELAB, with L in [0, 100].
        target_lab: The true images, of the same shape.

    Returns:
        Differences ``(N,)`` in ΔE, lower is better; about 1 is just noticeable.

    >>> lab = torch.tensor([50.0, 2.5, 0.0]).view(1, 3, 1, 1)
    >>> round(float(ciede2000(lab, lab + 1)), 2)
    1.83
    """
    estimate, target = (
        # scikit-image's function is the reference, but has no gradient. Training uses
        # `training.color_difference` instead.
        lab.detach().movedim(1, -1).cpu().numpy()
        for lab in (estimate_lab, target_lab)
    )
    difference = deltaE_ciede2000(estimate, target)  # type: ignore[no-untyped-call]
    return torch.from_numpy(difference).flatten(1).mean(1)


def color_accuracy(estimate_lab: Tensor, target_lab: Tensor, *, tolerance: float) -> Tensor:
    """Return each image's share of pixels whose L, a and b are all close to the truth (ε-accuracy).

    L, a and b are first rounded to whole numbers. The range of L is taken as 100, the ranges of a
    and b as 220. Both are as in the code of Nazeri et al. (2018, arXiv 1803.05400).

    Args:
        estimate_lab: Estimated images ``(N, 3, H, W)`` in CIELAB, with L in [0, 100].
        target_lab: The true images, of the same shape.
        tolerance: Largest difference that counts as close, in percent of a channel's range.

    Returns:
        Shares ``(N,)`` in [0, 100] %, higher is better.

    >>> color_accuracy(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2), tolerance=2).item()
    100.0
    """
    # Rounding changes a difference by up to 1. It is kept, because the paper's numbers are computed
    # with rounding.
    difference = (estimate_lab.round() - target_lab.round()).abs()
    limit = difference.new_tensor([1.0, 2.2, 2.2]).mul_(tolerance).view(1, 3, 1, 1)
    return (difference <= limit).all(1).flatten(1).float().mean(1) * 100


def colorfulness(rgb: Tensor) -> Tensor:
    """Return the colorfulness M⁽³⁾ of images (Hasler and Süsstrunk 2003).

    M⁽³⁾ is √(σ²_rg + σ²_yb) + 0.3 √(μ²_rg + μ²_yb) with rg = R − G and yb = (R + G)/2 − B, where μ
    is the mean and σ the standard deviation over pixels. R, G and B are scaled to 0–255, as usual.

    Args:
        rgb: Images ``(N, 3, H, W)`` in [0, 1].

    Returns:
        Colorfulness ``(N,)``, 0 for gray. The paper calls 33 "moderately colorful".

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
    """A metric that compares an estimated image with the true image.

    Attributes:
        title: Name of the metric in tables.
        function: Function of the estimated and the true images, ``(N, C, H, W)`` each, that returns
            values ``(N,)``.
        space: Color space of the function's arguments: ``"rgb"`` in [0, 1], or a color space of
            ``caelab.color`` to which the images are converted.
        color: True if the metric needs color images.
        unit: Unit of the values; ``""`` for a pure number.
        better: Which values are better: ``"lower"``, ``"higher"``, or values ``"nearer"`` to the
            value of the true image.
        definition: Definition of the metric in one line.
        source: Paper or standard that defines the metric; ``""`` if it is common knowledge.
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
        """The title with the unit, for the heading of a table's column."""
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
            definition=f"pixels whose rounded L, a and b are each within {tolerance}% of the range",
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
    """Return the values of several metrics for each image.

    Args:
        estimate: Estimated images ``(N, 1 or 3, H, W)``, clipped to [0, 1].
        target: The true images, of the same shape and on the same device.
        names: Names in ``METRICS``, by default all. Metrics that need color images are left out if
            the images have one channel.

    Returns:
        Values ``float64 (N,)`` of each metric by name, in the metric's unit.

    >>> image = torch.rand(2, 3, 16, 16)
    >>> measure(image, image, ["mse"])
    {'mse': array([0., 0.])}
    """
    metrics = {
        name: METRICS[name] for name in names if target.shape[1] == 3 or not METRICS[name].color
    }
    pairs = {"rgb": (estimate, target)}
    # Images are converted to each space only once, although several metrics use it.
    for space in {metric.space for metric in metrics.values()} - {"rgb"}:
        pairs[space] = (SPACES[space].from_rgb(estimate), SPACES[space].from_rgb(target))
    return {
        name: metric.function(*pairs[metric.space]).cpu().double().numpy()
        for name, metric in metrics.items()
    }
