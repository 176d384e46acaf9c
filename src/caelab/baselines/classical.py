"""Classical restoration methods, by degradation.

Every method has at most one parameter, which is chosen on validation images. Its other settings are
fixed here. A method knows the degradation: the standard deviation of the noise, the kernel of the
blur, or the missing pixels.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import restoration
from torch import Tensor

from caelab.baselines.cache import cached_arrays
from caelab.data.device_images import DeviceImages
from caelab.data.image_set import evenly_spaced
from caelab.degrade.degradation import Degradation
from caelab.degrade.kinds import MISSING, blur, downscale
from caelab.metrics.evaluate import Restore, measure_restored
from caelab.progress import progress

Picture = NDArray[np.float64]
"""One image ``(H, W, C)``."""

VALIDATION_IMAGES = 40
"""Number of validation images of 32×32 pixels on which parameters are chosen."""

MEASURED_IMAGES = 500
"""Number of images of 32×32 pixels that a method is measured on. More images would take too long,
because most methods take milliseconds for each image."""


@dataclass(frozen=True, kw_only=True)
class ClassicalMethod:
    """A method that needs no training.

    Attributes:
        function: Function of degraded images ``(N, C, H, W)`` and the parameter's value that
            returns restored images in [0, 1].
        parameter: Name of the parameter; ``""`` if there is none.
        grid: Values of the parameter to choose from, ascending; a single value if there is nothing
            to choose.
    """

    function: Callable[[Tensor, float], Tensor]
    parameter: str = ""
    grid: tuple[float, ...] = (0.0,)

    def restore(self, value: float) -> Restore:
        """Return a function of images that applies the method with a value of its parameter."""
        return lambda images: self.function(images, value)

    def label(self, name: str, value: float) -> str:
        """Return the method's name with the value of its parameter."""
        return f"{name}, {self.parameter} {value:g}" if self.parameter else name


def classical_methods(degradation: Degradation) -> dict[str, ClassicalMethod]:
    """Return the methods for a degradation by name.

    There are methods for each single built-in degradation except ``gray``, and for ``blur+noise``.
    For any other degradation the result is empty.
    """
    strengths = {step.name: step.strength or 0.0 for step in degradation.steps}
    match tuple(strengths):
        case ("noise",):
            return _denoising(strengths["noise"])
        case ("blur",) | ("blur", "noise"):
            return _deblurring(strengths["blur"])
        case ("mask",):
            return {"biharmonic inpainting": ClassicalMethod(function=_each_image(_inpaint))}
        case ("downscale",):
            return _upscaling(int(strengths["downscale"]))
        case ("jpeg",):
            return {"total variation": _total_variation((0.003, 0.006, 0.01, 0.015, 0.022, 0.035))}
        case _:
            return {}


def measured_positions(pixels: DeviceImages, count: int = MEASURED_IMAGES) -> NDArray[np.int64]:
    """Return evenly spaced positions of images that classical methods are measured on.

    Args:
        pixels: All images.
        count: Number of positions for images of 32×32 pixels. For larger images there are fewer, in
            proportion to their pixels, but at least 8.

    Returns:
        Positions ``int64 (N,)``, ascending.
    """
    size = pixels.shape[1] * pixels.shape[2]
    return evenly_spaced(min(count, max(8, count * 32 * 32 // size)), len(pixels))


def measure_classical(
    validation: DeviceImages, measured: DeviceImages, degradation: Degradation
) -> dict[str, dict[str, np.ndarray]]:
    """Return the metrics of each method for a degradation, from the cache where possible.

    Args:
        validation: Images by which the parameters are chosen: the highest mean PSNR wins.
        measured: Images that the methods are measured on, those at ``measured_positions``.
        degradation: The degradation of the images.

    Returns:
        Metrics of each method, ``float64 (N,)`` by the metric's name. The key of a method is its
        name with the chosen parameter, such as ``"total variation, weight 0.08"``.
    """
    methods = classical_methods(degradation)
    validation_sample, measured_sample = (
        part.at(measured_positions(part, count))
        for part, count in ((validation, VALIDATION_IMAGES), (measured, MEASURED_IMAGES))
    )

    def measure(method: ClassicalMethod) -> dict[str, np.ndarray]:
        value = choose_parameter(method, validation_sample, degradation)
        measures = measure_restored(method.restore(value), measured_sample, degradation)
        return {"parameter": np.array(value), **measures}

    measures = {}
    with progress("classical methods", len(methods), unit="methods") as bar:
        for name, method in methods.items():
            inputs = (name, method.grid, validation_sample, measured_sample, degradation)
            arrays = cached_arrays("classical", *inputs, compute=partial(measure, method))
            measures[method.label(name, float(arrays.pop("parameter")))] = arrays
            bar()
    return measures


def choose_parameter(
    method: ClassicalMethod, pixels: DeviceImages, degradation: Degradation
) -> float:
    """Return the value of the method's parameter with the highest mean PSNR.

    Args:
        method: The method.
        pixels: Images that the choice is made on, which should be validation images.
        degradation: The degradation of the images.
    """
    # With a single value there is nothing to measure, which saves 40 ms for each inpainted image.
    if len(method.grid) == 1:
        return method.grid[0]
    ratios = [
        measure_restored(method.restore(value), pixels, degradation)["psnr"].mean()
        for value in method.grid
    ]
    return method.grid[int(np.argmax(ratios))]


def _each_image(function: Callable[[Picture, float], Picture]) -> Callable[[Tensor, float], Tensor]:
    """Return a function of images ``(N, C, H, W)`` that applies ``function`` to each and clips."""

    def restore(images: Tensor, value: float) -> Tensor:
        pictures = images.detach().cpu().double().permute(0, 2, 3, 1).numpy()
        # Some of scikit-image's functions drop the axis of a single channel.
        restored = np.stack([function(each, value).reshape(each.shape) for each in pictures])
        restored = restored.clip(0, 1)
        return torch.from_numpy(restored).to(images).permute(0, 3, 1, 2)

    return restore


# Noise


def _denoising(deviation: float) -> dict[str, ClassicalMethod]:
    """Return the methods for noise of a standard deviation σ; their parameters are shares of σ."""
    return {
        "total variation": _total_variation(
            tuple(deviation * share for share in (0.5, 0.65, 0.8, 1.0, 1.25))
        ),
        "non-local means": ClassicalMethod(
            function=_each_image(
                lambda picture, share: restoration.denoise_nl_means(
                    picture, patch_size=3, patch_distance=6, h=share * deviation, channel_axis=-1
                )
            ),
            parameter="h/σ",
            grid=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        ),
        "wavelets": ClassicalMethod(
            function=_each_image(lambda picture, share: _wavelets(picture, share * deviation)),
            parameter="share of σ",
            grid=(0.85, 1.0, 1.15, 1.3),
        ),
        "bilateral": ClassicalMethod(
            function=_each_image(_bilateral),
            parameter="color deviation",
            grid=tuple(deviation * share for share in (0.3, 0.45, 0.6, 0.8, 1.0)),
        ),
    }


def _total_variation(weights: tuple[float, ...]) -> ClassicalMethod:
    """Return total-variation denoising over all channels together (Chambolle 2004)."""
    function = _each_image(
        lambda picture, weight: restoration.denoise_tv_chambolle(  # type: ignore[no-untyped-call]
            picture, weight=weight, max_num_iter=60, channel_axis=-1
        )
    )
    return ClassicalMethod(function=function, parameter="weight", grid=weights)


_SHIFTS = ((0, 0), (1, 2), (2, 1), (3, 3))
"""Shifts of an image in pixels, down and right, over which wavelet denoising is averaged."""


def _wavelets(picture: Picture, deviation: float) -> Picture:
    """Shrink the Haar wavelet coefficients of luma and chroma (BayesShrink, Chang et al. 2000)."""
    # Haar wavelets leave visible edges of their blocks. The mean over shifted images (Coifman and
    # Donoho 1995) removes these edges. The four shifts put blocks of 2 and of 4 pixels at four
    # different positions.
    restored = np.zeros_like(picture)
    for down, right in _SHIFTS:
        shifted = np.roll(picture, (down, right), (0, 1))
        denoised = restoration.denoise_wavelet(
            shifted, sigma=deviation, convert2ycbcr=picture.shape[2] == 3, channel_axis=-1
        )
        restored += np.roll(denoised, (-down, -right), (0, 1)) / len(_SHIFTS)
    return restored


def _bilateral(picture: Picture, deviation: float) -> Picture:
    """Filter bilaterally with a spatial deviation of one pixel (Tomasi and Manduchi 1998)."""
    lowest = picture.min()  # the filter sees differences only, but refuses negative values
    with warnings.catch_warnings():
        # scikit-image warns about unusual numbers of channels, but works with any number.
        warnings.simplefilter("ignore")
        smooth: Picture = lowest + restoration.denoise_bilateral(
            picture - lowest,
            sigma_color=deviation,
            sigma_spatial=1,
            mode="symmetric",
            channel_axis=-1,
        )
    return smooth


# Blur


def _deblurring(deviation: float) -> dict[str, ClassicalMethod]:
    """Return the methods for a blur of a standard deviation in pixels."""
    return {
        "Wiener": ClassicalMethod(
            function=_each_image(partial(_wiener, deviation=deviation)),
            parameter="balance",
            grid=(1e-12, 1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
        ),
        "Richardson–Lucy": ClassicalMethod(
            function=partial(_richardson_lucy, deviation=deviation),
            parameter="iterations",
            grid=(5, 10, 20, 40, 80, 160),
        ),
    }


def _wiener(picture: Picture, balance: float, *, deviation: float) -> Picture:
    """Invert the blur with a penalty of ``balance`` on the Laplacian (Hunt 1973)."""
    # The filter assumes that the image continues periodically. The image with its mirror images
    # does so for a blur that mirrors at the border, so the inverse is exact up to the border.
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


def _richardson_lucy(images: Tensor, iterations: float, *, deviation: float) -> Tensor:
    """Deblur by maximum likelihood for Poisson noise (Richardson 1972, Lucy 1974)."""
    # The function of scikit-image assumes a black border, and takes a hundred times as long. The
    # algorithm needs the adjoint of the blur. With mirrored borders the blur is its own adjoint.
    positive = images.clamp(min=0)
    estimate = torch.full_like(images, 0.5)
    for _ in range(int(iterations)):
        estimate = estimate * blur(positive / blur(estimate, deviation).clamp(min=1e-6), deviation)
    return estimate.clamp(0, 1)


# Missing pixels


def _inpaint(picture: Picture, _: float) -> Picture:
    """Fill missing pixels by the smoothest surface through the known ones (Damelin, Hoang 2018)."""
    missing = picture[..., 0] == MISSING
    if missing.all():
        return np.full_like(picture, 0.5)
    filled: Picture = restoration.inpaint_biharmonic(picture.clip(0, 1), missing, channel_axis=-1)
    return filled


# Lost resolution


def _upscaling(factor: int) -> dict[str, ClassicalMethod]:
    """Return the methods for images whose resolution was lowered by a factor."""
    return {
        "Lanczos": ClassicalMethod(function=partial(_lanczos, factor=factor)),
        "back-projection": ClassicalMethod(
            function=partial(_back_project, factor=factor),
            parameter="iterations",
            grid=(1, 2, 4, 8, 16, 32),
        ),
    }


def _lanczos(images: Tensor, _: float, *, factor: int) -> Tensor:
    """Enlarge the small image by a Lanczos kernel of 3 lobes instead of a bicubic kernel."""
    bicubic, lanczos = (
        [_interpolation(size, -(-size // factor), resampling) for size in images.shape[2:]]
        for resampling in (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
    )
    # `downscale` enlarged a small image by bicubic interpolation, which is a linear map of its rows
    # and columns. The pseudoinverse of this map recovers the small image where nothing was clipped.
    for rows, columns in (map(torch.linalg.pinv, bicubic), lanczos):
        images = (rows.to(images) @ images @ columns.T.to(images)).clamp(0, 1)
    return images


def _back_project(images: Tensor, iterations: float, *, factor: int) -> Tensor:
    """Make an image whose downscaled version is the input (Irani and Peleg 1991)."""
    estimate = images
    for _ in range(int(iterations)):
        estimate = (estimate + images - downscale(estimate, factor)).clamp(0, 1)
    return estimate


def _interpolation(size: int, count: int, resampling: Image.Resampling) -> Tensor:
    """Return the matrix ``float64 (size, count)`` that enlarges a line of ``count`` pixels."""
    # A column of the identity is a line with one bright pixel. Interpolation is linear, so enlarged
    # lines are the columns of its matrix. Pillow does not round pictures of floats.
    picture = Image.fromarray(np.eye(count, dtype=np.float32)).resize((count, size), resampling)
    return torch.from_numpy(np.asarray(picture, np.float64))
