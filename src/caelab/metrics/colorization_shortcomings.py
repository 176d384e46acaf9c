"""Measure what a colorizer does badly.

The functions measure how pale the colors are, which classes and hues have large errors, how far
colors cross edges, how much brightness and contrast matter, and how much color gray pictures get.
Chroma is Cb and Cr of ITU-R BT.601, full range.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caelab.color import SPACES
from caelab.data.device_images import DeviceImages
from caelab.degrade.degradation import Degradation
from caelab.metrics.evaluate import Restore, estimates
from caelab.metrics.statistics import Interval, mean_interval

COLORLESS = 0.01
"""Root mean square of Cb and Cr below which an image counts as gray."""

SHIFTS = ((1.0, 0.0), (0.8, 0.0), (1.2, 0.0), (1.0, -0.1), (1.0, 0.1))
"""Changes of images as pairs (scale, offset): scale · image + offset; the first changes nothing."""

SECTORS = (
    "pink", "red", "orange", "yellow", "yellow-green", "green",
    "turquoise", "cyan", "sky blue", "blue", "violet", "magenta",
)  # fmt: skip
"""Names of the 30° sectors of CIELAB's hue circle; the first is centered at 0°."""

MIN_CHROMA = 10.0
"""Smallest CIELAB chroma, √(a² + b²), of a pixel whose hue is measured."""

EDGE = 0.1
"""Smallest difference in luma, on [0, 1], between neighboring pixels at an edge."""

FLAT = 0.02
"""Largest difference in luma, on [0, 1], between neighboring pixels of a flat area."""


@dataclass(frozen=True, kw_only=True)
class ColorfulnessKept:
    """Colorfulness of the estimated images relative to the true images.

    Attributes:
        ratio: Mean colorfulness of the estimated images divided by that of the true images.
        quartiles: Quartiles over images of each image's own ratio.
        n: Number of true images with any color; the other images have no ratio.
    """

    ratio: float
    quartiles: tuple[float, float, float]
    n: int


@dataclass(frozen=True, kw_only=True)
class ClassError:
    """The mean error of the images of one class, with its interval over images."""

    name: str
    error: Interval


@dataclass(frozen=True, kw_only=True)
class ShiftedError:
    """The error after a change of brightness or contrast.

    Attributes:
        scale: Factor by which the clean image is multiplied.
        offset: Number that is then added to the clean image; the result is clipped to [0, 1].
        chroma_mse: Chroma MSE of the estimate, compared with the changed clean image.
        relative: Chroma MSE divided by the chroma MSE of a gray copy; at 1 the estimate is no
            better than a gray image.
    """

    scale: float
    offset: float
    chroma_mse: float
    relative: float


@dataclass(frozen=True, kw_only=True)
class InventedColor:
    """Color that a colorizer gives to gray images.

    Attributes:
        chroma: Mean over the gray images of the root mean square of the estimate's Cb and Cr.
        colorfulness_share: ``chroma`` divided by the mean root mean square of Cb and Cr of all true
            images.
        n: Number of gray images.
        of: Number of all images.
    """

    chroma: float
    colorfulness_share: float
    n: int
    of: int


@dataclass(frozen=True, kw_only=True)
class ChromaError:
    """The chroma error of a kind of pixels, or of pairs of neighboring pixels.

    Attributes:
        name: Name of the kind, such as a hue.
        share: Share of all pixels, or of all pairs.
        chroma_mse: Mean squared error of Cb and Cr at these pixels; NaN if there are none.
        kept: Share of the true chroma that the estimate keeps, Σ estimate·truth / Σ truth² over Cb
            and Cr. It is 1 for the true color, 0 for gray, negative for the opposite color, and NaN
            if the truth has no chroma. For pairs, the chroma is the difference of the two pixels.
    """

    name: str
    share: float
    chroma_mse: float
    kept: float

    @classmethod
    def of(
        cls, name: str, mask: Tensor, errors: Tensor, guess: Tensor, truth: Tensor
    ) -> "ChromaError":
        """Return the error of the pixels or pairs at which a mask is true.

        Args:
            name: Name of the kind.
            mask: Booleans ``(M,)`` over pixels or pairs.
            errors: Squared errors ``(M,)``.
            guess: Estimated chroma of pixels, or differences in chroma of pairs, ``(2, M)``.
            truth: True chroma or differences, ``(2, M)``.
        """
        guess, truth = guess[:, mask], truth[:, mask]
        # A ratio of lengths would also be 1 for an estimate with the right chroma and a wrong hue.
        return cls(
            name=name,
            share=float(mask.double().mean()),
            chroma_mse=float(errors[mask].mean()),
            kept=float((guess * truth).sum() / truth.square().sum()),
        )


@dataclass(frozen=True, kw_only=True)
class Bleeding:
    """Chroma errors of pairs of neighboring pixels.

    Attributes:
        edges: Error of the pairs at edges of the luma.
        flat: Error of the pairs in areas of flat luma.
    """

    edges: ChromaError
    flat: ChromaError


def colorfulness_kept(estimated: np.ndarray, true: np.ndarray) -> ColorfulnessKept:
    """Compare the colorfulness of estimated and true images, ``(N,)`` each; NaN without any color.

    >>> colorfulness_kept(np.array([10.0, 30.0]), np.array([20.0, 40.0])).quartiles
    (0.5625, 0.625, 0.6875)
    """
    # A gray image has no ratio: the division by 0 would make the quartiles NaN.
    colored = true > 0
    if not colored.any():
        return ColorfulnessKept(ratio=math.nan, quartiles=(math.nan,) * 3, n=0)
    quarters = (0.25, 0.5, 0.75)
    first, second, third = np.quantile(estimated[colored] / true[colored], quarters).tolist()
    return ColorfulnessKept(
        # A ratio of means, because nearly gray images would dominate the mean of ratios.
        ratio=float(estimated.mean() / true.mean()),
        quartiles=(first, second, third),
        n=int(colored.sum()),
    )


def errors_by_class(
    errors: np.ndarray, labels: np.ndarray, classes: Sequence[str]
) -> tuple[ClassError, ...]:
    """Return the mean error of each class that has images, the largest first.

    Args:
        errors: Error of each image, ``(N,)``.
        labels: Index of each image's class, ``(N,)``.
        classes: Names of the classes.
    """
    found = [
        ClassError(name=name, error=mean_interval(errors[labels == index]))
        for index, name in enumerate(classes)
        if (labels == index).any()
    ]
    return tuple(sorted(found, key=lambda each: -each.error.estimate))


def shifted_errors(
    restore: Restore, pixels: DeviceImages, degradation: Degradation
) -> tuple[ShiftedError, ...]:
    """Return the chroma error after each change of brightness or contrast in ``SHIFTS``.

    Args:
        restore: The colorizer.
        pixels: Clean images ``(N, 3, H, W)``, which are changed first, then degraded.
        degradation: The degradation that makes the images gray.
    """

    def measure_shift(scale: float, offset: float) -> ShiftedError:
        def adjust(images: Tensor) -> Tensor:
            return (images * scale + offset).clamp(0, 1)

        batches = estimates(restore, pixels, degradation=degradation, adjust=adjust)
        chroma = [_chroma(each.estimate, each.target) for each in batches]
        guess, truth = map(torch.cat, zip(*chroma, strict=True))
        # A darker image has less chroma, so every colorizer has a smaller error on it. Only the
        # ratio to the error of a gray copy can be compared between changes.
        error, gray = float((guess - truth).square().mean()), float(truth.square().mean())
        relative = error / gray if gray > 0 else math.nan
        return ShiftedError(scale=scale, offset=offset, chroma_mse=error, relative=relative)

    return tuple(measure_shift(*shift) for shift in SHIFTS)


def invented_color(estimate: Tensor, target: Tensor) -> InventedColor:
    """Return how much color the estimates give to images without color.

    Args:
        estimate: RGB images ``(N, 3, H, W)`` in [0, 1].
        target: The true images, of the same shape.

    Returns:
        The color that gray images get; its numbers are NaN if every true image has color.
    """
    guess, truth = (
        chroma.square().flatten(1).mean(1).sqrt() for chroma in _chroma(estimate, target)
    )
    gray = truth < COLORLESS
    chroma = float(guess[gray].mean())
    return InventedColor(
        chroma=chroma,
        colorfulness_share=chroma / float(truth.mean()),
        n=int(gray.sum()),
        of=len(truth),
    )


def hue_errors(estimate: Tensor, target: Tensor) -> tuple[ChromaError, ...]:
    """Return the chroma error of each true hue; nearly gray pixels belong to no hue.

    Args:
        estimate: RGB images ``(N, 3, H, W)`` in [0, 1].
        target: The true images, of the same shape.

    Returns:
        One error for each hue, in the order of ``SECTORS``.
    """
    _, a, b = SPACES["lab"].from_rgb(target).unbind(1)
    width = 2 * math.pi / len(SECTORS)
    sector = torch.atan2(b, a).div(width).round().long() % len(SECTORS)
    # The hue of a nearly gray pixel is mostly noise, so the pixel gets an index without a name.
    sector[torch.hypot(a, b) < MIN_CHROMA] = len(SECTORS)
    guess, truth = (chroma.transpose(0, 1).flatten(1) for chroma in _chroma(estimate, target))
    errors = (guess - truth).square().mean(0)
    return tuple(
        ChromaError.of(name, (sector == index).flatten(), errors, guess, truth)
        for index, name in enumerate(SECTORS)
    )


def bleeding(estimate: Tensor, target: Tensor) -> Bleeding:
    """Measure the chroma errors of neighboring pixels at edges of the luma, and in flat areas.

    Args:
        estimate: RGB images ``(N, 3, H, W)`` in [0, 1].
        target: The true images, of the same shape. Their luma defines the edges.
    """
    guess, truth = (SPACES["ycbcr"].from_rgb(images).double() for images in (estimate, target))
    error = (guess - truth)[:, 1:].square().mean(1)
    # One row per channel: vertical pairs of pixels first, then horizontal pairs.
    guess_steps, true_steps = (
        torch.cat([planes.diff(dim=axis).transpose(0, 1).flatten(1) for axis in (2, 3)], dim=1)
        for planes in (guess, truth)
    )
    # The error of a pair is the mean of its two pixels' errors.
    errors = torch.cat([F.avg_pool2d(error, pair, stride=1).flatten() for pair in ((2, 1), (1, 2))])

    step = true_steps[0].abs()
    edges, flat = (
        ChromaError.of(name, mask, errors, guess_steps[1:], true_steps[1:])
        for name, mask in (("edges", step >= EDGE), ("flat", step <= FLAT))
    )
    return Bleeding(edges=edges, flat=flat)


def _chroma(*images: Tensor) -> tuple[Tensor, ...]:
    """Return Cb and Cr of each batch of RGB images, ``float64 (N, 2, H, W)`` each."""
    return tuple(SPACES["ycbcr"].chroma(each).double() for each in images)
