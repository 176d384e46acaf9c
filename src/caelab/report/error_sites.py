"""Where in the images the error is: at which pixels and frequencies, on edges or in flat areas."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from caelab.degrade.kinds import gray
from caelab.metrics.evaluate import Estimate

BANDS = 8
"""Number of equally wide bands of frequency from 0 to half a cycle per pixel. The last band
includes the higher frequencies that exist in diagonal directions."""

GROUPS = 10
"""Number of equally large groups into which pixels are sorted by steepness, the length of the
luminance's gradient."""


@dataclass(frozen=True, kw_only=True)
class ErrorSites:
    """Where in the images the mean squared error is.

    Attributes:
        by_pixel: Mean squared error of each pixel over images and channels, ``(H, W)``.
        border: Error of the outermost ring of pixels as a multiple of the other pixels' error.
        frequencies: Upper limits of the frequency bands in cycles per pixel, ``(B,)``.
        error_power: Mean squared error in each band, ``(B,)``; the sum of the bands is the mean
            squared error of the images.
        image_power: Mean square of the images in each band, after their mean color was subtracted,
            ``(B,)``.
        by_steepness: Mean squared error of each tenth of all pixels, from the least steep to the
            steepest, ``(10,)``.
        n: Number of images.
    """

    by_pixel: np.ndarray
    border: float
    frequencies: np.ndarray
    error_power: np.ndarray
    image_power: np.ndarray
    by_steepness: np.ndarray
    n: int

    @property
    def lost(self) -> np.ndarray:
        """Error power over image power in each band, the share that is lost, ``(B,)``."""
        share: np.ndarray = self.error_power / np.maximum(self.image_power, 1e-12)
        return share

    @property
    def steep_share(self) -> float:
        """Share of the squared error that is on the steepest tenth of the pixels."""
        return float(self.by_steepness[-1] / self.by_steepness.sum())


def find_error_sites(made: Iterable[Estimate]) -> ErrorSites:
    """Measure where in the images the errors are.

    Args:
        made: Batches of estimates with the true images, all of the same height and width.

    Raises:
        ValueError: There is no estimate.
    """
    count = 0
    by_pixel = error_power = image_power = torch.zeros(())
    steepness, errors = [], []
    for one in made:
        error = one.estimate - one.target
        squared = error.square().mean(1)  # (N, H, W)
        by_pixel = by_pixel + squared.sum(0)
        error_power = error_power + _power(error)
        # The mean color is subtracted, because it would dominate the lowest band.
        image_power = image_power + _power(one.target - one.target.mean((2, 3), keepdim=True))
        # The gradient consists of central differences, at the border of one-sided differences.
        down, across = torch.gradient(gray(one.target)[:, 0], dim=(1, 2))
        steepness.append(torch.hypot(down, across).flatten())
        errors.append(squared.flatten())
        count += len(error)
    if not count:
        raise ValueError("there is no estimate to measure")
    pixels = (by_pixel / count).numpy()
    inner = pixels[1:-1, 1:-1]
    outer = (pixels.sum() - inner.sum()) / (pixels.size - inner.size)
    # A band is a ring around frequency 0 in the plane of the two-dimensional transform.
    radius = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, pixels.shape), indexing="ij"))
    ends = np.arange(1, BANDS + 1) / (2 * BANDS)
    # Without the 1e-9, rounding could move a frequency on the edge of a band into the next band.
    bands = np.minimum(np.searchsorted(ends, radius - 1e-9), BANDS - 1).ravel()
    by_band = [
        np.bincount(bands, (power / count).numpy().ravel(), minlength=BANDS)
        for power in (error_power, image_power)
    ]
    order = np.argsort(torch.cat(steepness).numpy(), kind="stable")
    tenths = np.array_split(torch.cat(errors).numpy()[order], GROUPS)
    return ErrorSites(
        by_pixel=pixels,
        border=float(outer / max(float(inner.mean()), 1e-12)) if inner.size else 1.0,
        frequencies=ends,
        error_power=by_band[0],
        image_power=by_band[1],
        by_steepness=np.array([float(tenth.mean(dtype=np.float64)) for tenth in tenths]),
        n=count,
    )


def _power(images: Tensor) -> Tensor:
    """Return the power of each frequency, summed over images ``(N, C, H, W)``, as ``(H, W)``.

    The sum over all frequencies is the sum of the images' mean squares.
    """
    size = images.shape[2] * images.shape[3]
    # In double precision, so that the bands add up to the mean squared error.
    power: Tensor = torch.fft.fft2(images.double()).abs().square() / size**2
    return power.mean(1).sum(0)
