"""What images were restored with before there were networks, degradation by degradation.

Every method has at most one parameter, chosen on validation images (``classical_choice``); what
else it could be told is said where it is fixed. Methods get to know the degradation itself: the
deviation of the noise, the kernel of the blur, the pixels that are missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from skimage import restoration
from torch import Tensor

from caelab.degrade.degradation import Degradation
from caelab.degrade.kinds import MISSING, blur, downscale
from caelab.metrics.evaluate import Restore

Picture = NDArray[np.float64]
"""One image, ``(H, W, C)``."""


@dataclass(frozen=True, kw_only=True)
class ClassicalMethod:
    """A method that needs no training.

    Attributes:
        make: From a value of the parameter to the method itself.
        parameter: What the parameter is called; ``""`` where there is none.
        grid: The values to choose from, smallest first; one value where there is nothing to choose.
    """

    make: Callable[[float], Restore]
    parameter: str = ""
    grid: tuple[float, ...] = (0.0,)

    def label(self, name: str, value: float) -> str:
        """Return the method's name with the value of its parameter."""
        return f"{name}, {self.parameter} {value:g}" if self.parameter else name


def classical_methods(degradation: Degradation) -> dict[str, ClassicalMethod]:
    """Return the methods for a degradation, by name; none for ``gray``.

    Of degradations of several steps there are methods for a blur and then noise.
    """
    strengths = {step.name: step.strength or 0.0 for step in degradation.steps}
    match tuple(strengths):
        case ("noise",):
            return _denoising(strengths["noise"])
        case ("blur",) | ("blur", "noise"):
            return _deblurring(strengths["blur"])
        case ("mask",):
            return {"biharmonic inpainting": ClassicalMethod(make=lambda _: _by_image(_inpaint))}
        case ("downscale",):
            return _upscaling(int(strengths["downscale"]))
        case ("jpeg",):
            return {"total variation": _total_variation((0.003, 0.006, 0.01, 0.015, 0.022, 0.035))}
    return {}


def _by_image(function: Callable[[Picture], Picture]) -> Restore:
    """Return the method that does ``function`` to each image, ``(N, C, H, W)`` → the same, clipped
    to [0, 1].
    """

    def restore(given: Tensor) -> Tensor:
        pictures = given.detach().double().permute(0, 2, 3, 1).cpu().numpy()
        restored = np.stack([function(picture) for picture in pictures]).clip(0, 1)
        return torch.from_numpy(restored).to(given).permute(0, 3, 1, 2)

    return restore


# Noise


def _denoising(deviation: float) -> dict[str, ClassicalMethod]:
    def nonlocal_means(share: float) -> Restore:
        return _by_image(
            partial(
                restoration.denoise_nl_means,
                patch_size=3,
                patch_distance=6,
                h=share * deviation,
                channel_axis=-1,
            )
        )

    return {
        "total variation": _total_variation(
            tuple(deviation * share for share in (0.5, 0.65, 0.8, 1.0, 1.25))
        ),
        "non-local means": ClassicalMethod(
            make=nonlocal_means, parameter="h/σ", grid=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
        ),
        "wavelets": ClassicalMethod(
            make=lambda share: _by_image(partial(_wavelets, deviation=share * deviation)),
            parameter="share of σ",
            grid=(0.85, 1.0, 1.15, 1.3),
        ),
        "bilateral": _bilateral(tuple(deviation * share for share in (0.3, 0.45, 0.6, 0.8, 1.0))),
    }


_SHIFTS = ((0, 0), (1, 2), (2, 1), (3, 3))


def _wavelets(picture: Picture, *, deviation: float) -> Picture:
    """Shrink Haar wavelets of the luma and of two chroma planes (BayesShrink, Chang et al. 2000).

    Averaged over shifts of the image (Coifman and Donoho 1995): four, that differ both ways at
    every small scale.
    """
    restored = np.zeros_like(picture)
    for down, right in _SHIFTS:
        shifted = np.roll(picture, (down, right), (0, 1))
        denoised = restoration.denoise_wavelet(
            shifted, sigma=deviation, convert2ycbcr=picture.shape[2] == 3, channel_axis=-1
        )
        restored += np.roll(denoised, (-down, -right), (0, 1)) / len(_SHIFTS)
    return restored


def _total_variation(weights: tuple[float, ...]) -> ClassicalMethod:
    """Chambolle 2004, over all channels together."""

    def make(weight: float) -> Restore:
        return _by_image(
            partial(
                restoration.denoise_tv_chambolle, weight=weight, max_num_iter=60, channel_axis=-1
            )
        )

    return ClassicalMethod(make=make, parameter="weight", grid=weights)


def _bilateral(deviations: tuple[float, ...]) -> ClassicalMethod:
    """Tomasi and Manduchi 1998, a spatial deviation of one pixel."""

    def make(deviation: float) -> Restore:
        def restore(picture: Picture) -> Picture:
            lowest = (
                picture.min()
            )  # only differences count, but scikit-image takes no negative numbers
            smooth: Picture = lowest + restoration.denoise_bilateral(
                picture - lowest,
                sigma_color=deviation,
                sigma_spatial=1,
                mode="symmetric",
                channel_axis=-1,
            )
            return smooth

        return _by_image(restore)

    return ClassicalMethod(make=make, parameter="color deviation", grid=deviations)


# Blur


def _deblurring(deviation: float) -> dict[str, ClassicalMethod]:
    return {
        "Wiener": ClassicalMethod(
            make=lambda balance: _by_image(partial(_wiener, deviation=deviation, balance=balance)),
            parameter="balance",
            grid=(1e-12, 1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
        ),
        "Richardson–Lucy": ClassicalMethod(
            make=lambda iterations: partial(
                _richardson_lucy, deviation=deviation, iterations=int(iterations)
            ),
            parameter="iterations",
            grid=(5, 10, 20, 40, 80, 160),
        ),
    }


def _wiener(picture: Picture, *, deviation: float, balance: float) -> Picture:
    """Invert the blur with a penalty of ``balance`` on the Laplacian (Hunt 1973), exact at the
    border.

    A blur that mirrors the image at its border is a circular one of the image with its mirror
    images.
    """
    height, width, _ = picture.shape
    mirrored = np.pad(picture, ((0, height), (0, width), (0, 0)), mode="symmetric")
    point = torch.zeros(1, 1, 2 * height, 2 * width, dtype=torch.float64)
    point[..., height, width] = 1
    kernel = blur(point, deviation)[0, 0].numpy()
    planes = [
        restoration.wiener(plane, kernel, balance, clip=False)  # type: ignore[no-untyped-call]
        for plane in mirrored.transpose(2, 0, 1)
    ]
    return np.stack(planes, axis=-1)[:height, :width]


def _richardson_lucy(given: Tensor, *, deviation: float, iterations: int) -> Tensor:
    """Richardson 1972, Lucy 1974. The blur with its mirrored border is symmetric, hence its own
    adjoint.

    scikit-image's has a black border, and takes a hundred times as long for one image after the
    other.
    """
    positive = given.clamp(min=0)
    estimate = torch.full_like(given, 0.5)
    for _ in range(iterations):
        estimate = estimate * blur(positive / blur(estimate, deviation).clamp(min=1e-6), deviation)
    return estimate.clamp(0, 1)


# Missing pixels


def _inpaint(picture: Picture) -> Picture:
    """Continue what is there by the smoothest surface (Damelin and Hoang 2018)."""
    missing = picture[..., 0] == MISSING
    if missing.all():
        return np.full_like(picture, 0.5)
    filled: Picture = restoration.inpaint_biharmonic(picture.clip(0, 1), missing, channel_axis=-1)
    return filled


# Lost resolution


def _upscaling(factor: int) -> dict[str, ClassicalMethod]:
    return {
        "Lanczos": ClassicalMethod(make=lambda _: partial(_lanczos, factor=factor)),
        "back-projection": ClassicalMethod(
            make=lambda iterations: partial(
                _back_project, factor=factor, iterations=int(iterations)
            ),
            parameter="iterations",
            grid=(1, 2, 4, 8, 16, 32),
        ),
    }


def _lanczos(given: Tensor, *, factor: int) -> Tensor:
    """Interpolate the small image that was enlarged by Lanczos' kernel of 3 lobes instead
    (Pillow's).
    """
    height, width = given.shape[2:]
    small = _small(given, factor)
    rows, columns = (
        _interpolation(size, count, "lanczos").to(given)
        for size, count in zip((height, width), small.shape[2:], strict=True)
    )
    return (rows @ small @ columns.T).clamp(0, 1)


def _back_project(given: Tensor, *, factor: int, iterations: int) -> Tensor:
    """Make the image one that becomes what is given when it is downscaled (Irani and Peleg
    1991).
    """
    estimate = given
    for _ in range(iterations):
        estimate = (estimate + given - downscale(estimate, factor)).clamp(0, 1)
    return estimate


def _small(given: Tensor, factor: int) -> Tensor:
    """Return the small image that ``degrade.kinds.downscale`` enlarged, as far as it was not
    clipped.
    """
    height, width = given.shape[2:]
    rows, columns = (
        torch.linalg.pinv(_interpolation(size, -(-size // factor), "bicubic")).to(given)
        for size in (height, width)
    )
    small: Tensor = (rows @ given @ columns.T).clamp(0, 1)
    return small


def _interpolation(size: int, count: int, method: str) -> Tensor:
    """Return the linear map that makes ``count`` pixels of a line ``size`` pixels, ``float64 (size,
    count)``.
    """
    unit = torch.eye(count, dtype=torch.float64)
    if method == "bicubic":
        enlarged: Tensor = F.interpolate(
            unit[None, None], size=(size, count), mode="bicubic", antialias=True
        )
        return enlarged[0, 0]
    picture = Image.fromarray(unit.float().numpy()).resize((count, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(picture, np.float64))
