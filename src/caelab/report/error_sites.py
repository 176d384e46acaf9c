"""Where the error sits: at which pixels, at which frequencies, on edges or in flat places."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from caelab.degrade.kinds import gray
from caelab.metrics.evaluate import Estimate

BANDS = 8
"""Equal rings of frequency from 0 to half a cycle a pixel; what lies in the corners beyond goes to
the last."""

GROUPS = 10
"""Equally many pixels each, by the steepness of the luminance."""


@dataclass(frozen=True, kw_only=True)
class ErrorSites:
    """Where the mean squared error of images sits.

    Attributes:
        by_pixel: Mean squared error ``(H, W)``.
        border: That of the outermost ring of pixels, over that of the others.
        frequencies: Upper ends of the bands, in cycles a pixel, ``(B,)``.
        error_power: The part of the mean squared error in each band, ``(B,)``; they add up to it.
        image_power: The images' own power in each band about their mean colour, ``(B,)``.
        by_steepness: Mean squared error of the tenths of all pixels, from the flattest to the
            steepest, ``(10,)``.
        n: Images.
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
        """The share of the images' power in each band that the error amounts to, ``(B,)``."""
        share: np.ndarray = self.error_power / np.maximum(self.image_power, 1e-12)
        return share

    @property
    def steep_share(self) -> float:
        """The share of the error on the steepest tenth of the pixels."""
        return float(self.by_steepness[-1] / self.by_steepness.sum())


def find_error_sites(made: Iterable[Estimate]) -> ErrorSites:
    """Gather where the errors of estimates sit."""
    count, by_pixel, error_power, image_power = 0, None, None, None
    steepness, errors = [], []
    for one in made:
        error = one.estimate - one.target
        squared = error.square().mean(1)  # (N, H, W)
        total, error_sum, image_sum = squared.sum(0), _power(error), _power(_centred(one.target))
        by_pixel = total if by_pixel is None else by_pixel + total
        error_power = error_sum if error_power is None else error_power + error_sum
        image_power = image_sum if image_power is None else image_power + image_sum
        steepness.append(_steepness(one.target).flatten())
        errors.append(squared.flatten())
        count += len(error)
    if by_pixel is None or error_power is None or image_power is None:
        raise ValueError("there is no estimate to look at")
    pixels = (by_pixel / count).numpy()
    ends, bands = _bands(pixels.shape)
    order = np.argsort(torch.cat(steepness).numpy(), kind="stable")
    tenths = np.array_split(torch.cat(errors).numpy()[order], GROUPS)

    def by_band(power: Tensor) -> np.ndarray:
        return np.bincount(bands.ravel(), (power / count).numpy().ravel(), minlength=BANDS)

    inner = pixels[1:-1, 1:-1]
    outer = (pixels.sum() - inner.sum()) / (pixels.size - inner.size)
    return ErrorSites(
        by_pixel=pixels,
        border=float(outer / max(float(inner.mean()), 1e-12)) if inner.size else 1.0,
        frequencies=ends,
        error_power=by_band(error_power),
        image_power=by_band(image_power),
        by_steepness=np.array([float(tenth.mean(dtype=np.float64)) for tenth in tenths]),
        n=count,
    )


def _power(images: Tensor) -> Tensor:
    """Sum over images of the power of each frequency, ``(H, W)``; its sum over frequencies is the
    mean square.
    """
    size = images.shape[2] * images.shape[3]
    power: Tensor = torch.fft.fft2(images.double()).abs().square() / size**2
    return power.mean(1).sum(0)


def _centred(images: Tensor) -> Tensor:
    return images - images.mean((2, 3), keepdim=True)


def _steepness(images: Tensor) -> Tensor:
    """Length of the luminance's gradient, ``(N, H, W)``: central differences, one-sided at the
    border.
    """
    down, across = torch.gradient(gray(images)[:, 0], dim=(1, 2))
    return torch.hypot(down, across)


def _bands(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    height, width = shape
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    ends = np.arange(1, BANDS + 1) / (2 * BANDS)
    return ends, np.minimum(np.searchsorted(ends, radius - 1e-9), BANDS - 1)
