"""What a colorizer does badly, measured: pale colors, classes, input of another brightness, gray
pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from caelab.color import SPACES, gray_rgb, luminance
from caelab.data.pixels import Pixels
from caelab.degrade.apply import degrade
from caelab.degrade.degradation import Degradation
from caelab.metrics.color_difference import chroma_squared_error
from caelab.metrics.image_errors import EVALUATION_SEED, Restore
from caelab.metrics.statistics import Interval, mean_interval
from caelab.randomness import image_keys

COLORLESS = 0.01
"""Root of the mean square of Cb and Cr, below which an image is taken for a gray one."""

SHIFTS = ((1.0, 0.0), (0.8, 0.0), (1.2, 0.0), (1.0, -0.1), (1.0, 0.1))
"""Factors on an image and what is then added to it; the first changes nothing."""


@dataclass(frozen=True, kw_only=True)
class ColorfulnessKept:
    """Colorfulness of the estimates over that of the truth.

    Attributes:
        ratio: Of the means over images.
        quartiles: Of the images' own ratios: a quarter, half and three quarters of them lie below.
        n: Images with any color; the others have no ratio.
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
    """What a change of brightness or contrast does.

    Attributes:
        scale: Factor on the clean image, its chroma too.
        offset: Added then; the result is clipped.
        chroma_mse: Against the image that was changed in the same way.
        relative: The same, divided by the error of the gray copy: 1 is no better than no color at
            all.
    """

    scale: float
    offset: float
    chroma_mse: float
    relative: float


@dataclass(frozen=True, kw_only=True)
class InventedColor:
    """Color given to images that have none.

    Attributes:
        chroma: Mean over these images of the root mean square of the estimate's Cb and Cr.
        colorfulness_share: ``chroma`` over the same of all images' truth.
        n: Gray images, of ``of``.
        of: All images.
    """

    chroma: float
    colorfulness_share: float
    n: int
    of: int


def colorfulness_kept(estimated: np.ndarray, true: np.ndarray) -> ColorfulnessKept:
    """Compare the colorfulness of images, ``(N,)`` both; NaN where no image has any."""
    colored = true > 0
    if not colored.any():
        return ColorfulnessKept(ratio=float("nan"), quartiles=(float("nan"),) * 3, n=0)
    first, second, third = np.quantile(estimated[colored] / true[colored], [0.25, 0.5, 0.75])
    return ColorfulnessKept(
        ratio=float(estimated.mean() / true.mean()),
        quartiles=(float(first), float(second), float(third)),
        n=int(colored.sum()),
    )


def errors_by_class(
    errors: np.ndarray, labels: np.ndarray, classes: Sequence[str]
) -> tuple[ClassError, ...]:
    """Return the mean error of each class that has images, the largest first; ``(N,)`` both."""
    present = [
        (name, errors[labels == index])
        for index, name in enumerate(classes)
        if (labels == index).any()
    ]
    found = [ClassError(name=name, error=mean_interval(chosen)) for name, chosen in present]
    return tuple(sorted(found, key=lambda each: -each.error.estimate))


@torch.no_grad()
def shifted_errors(
    restore: Restore, pixels: Pixels, degradation: Degradation
) -> tuple[ShiftedError, ...]:
    """Return the error for each of ``SHIFTS``: images are changed, made gray and given; see
    ``ShiftedError``.
    """
    found = []
    for scale, offset in SHIFTS:
        totals = np.zeros(2)
        for chosen in pixels.batches(256):
            target = (pixels.batch(chosen) * scale + offset).clamp(0, 1)
            keys = image_keys(pixels.rows[chosen], EVALUATION_SEED).to(pixels.device)
            guesses = (restore(degrade(target, degradation, keys)), gray_rgb(luminance(target)))
            truth = SPACES["ycbcr"].from_rgb(target)
            totals += [
                float(chroma_squared_error(SPACES["ycbcr"].from_rgb(each), truth).sum())
                for each in guesses
            ]
        error, gray = totals / len(pixels)
        relative = error / gray if gray > 0 else float("nan")
        found.append(
            ShiftedError(
                scale=scale, offset=offset, chroma_mse=float(error), relative=float(relative)
            )
        )
    return tuple(found)


def invented_color(estimate: torch.Tensor, target: torch.Tensor) -> InventedColor:
    """Return how much color images got that had none, RGB ``(N, 3, H, W)`` both; NaN where all had
    some.
    """
    guess, truth = (
        SPACES["ycbcr"].chroma(images).double().square().flatten(1).mean(1).sqrt()
        for images in (estimate, target)
    )
    gray = truth < COLORLESS
    chroma = float(guess[gray].mean())
    return InventedColor(
        chroma=chroma,
        colorfulness_share=chroma / float(truth.mean()),
        n=int(gray.sum()),
        of=len(truth),
    )
