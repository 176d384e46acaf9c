"""Does an impairment to images."""

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from caelab.color import luminance
from caelab.degrade.parser import MISSING, Impairment
from caelab.degrade.randomness import normal, uniform


def impair(images: Tensor, impairment: Impairment, keys: Tensor) -> Tensor:
    """Return what a network is given for clean images, of the same size; what it returns may share
    their memory.

    Everything lies in [0, 1] but what ``noise`` and ``mask`` leave; ``downscale`` and ``jpeg`` clip
    what they get.

    Args:
        images: float ``(N, 1 or 3, H, W)`` in [0, 1].
        impairment: What to do; ``impairment.channels`` says how many channels come out.
        keys: ``int64 (N,)`` on the same device, from ``image_keys``: an image's noise and mask
            depend on its key and on nothing else.
    """
    for step in impairment.steps:
        images = _FUNCTIONS[step.name](images, step.strength or 0.0, keys, _STREAMS[step.name])
    return images.contiguous(memory_format=torch.channels_last)  # in which convolutions are fastest


def gray(images: Tensor) -> Tensor:
    """Return the BT.601 luma, ``(N, 1, H, W)``; images that are gray already are left as they
    are.
    """
    return images if images.shape[1] == 1 else luminance(images)


def blur(images: Tensor, deviation: float) -> Tensor:
    """Convolve with a Gaussian cut off at 4 deviations; the image is mirrored at its border,
    outermost pixels twice.
    """
    rows, columns = (
        _blur_matrix(size, deviation, images.dtype, images.device) for size in images.shape[2:]
    )
    return rows @ images @ columns.T


def downscale(images: Tensor, factor: int) -> Tensor:
    """Average squares of ``factor`` pixels and interpolate back (bicubic, Keys' a = −0.5, clipped
    to [0, 1]).

    Where a side is no multiple of the factor, the squares become rectangles of slightly less that
    share pixels.
    """
    height, width = images.shape[2:]
    small = F.adaptive_avg_pool2d(images.clamp(0, 1), (-(-height // factor), -(-width // factor)))
    return F.interpolate(small, size=(height, width), mode="bicubic", antialias=True).clamp(0, 1)


def jpeg(images: Tensor, quality: int) -> Tensor:
    """Write 8-bit JPEGs (libjpeg, 4:2:0) and read them back; colors become multiples of 1/255."""
    pixels = images.detach().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    returned = np.stack([_through_jpeg(image, quality) for image in pixels])
    restored = torch.from_numpy(returned).to(images.device).permute(0, 3, 1, 2)
    return restored.to(images.dtype).div_(255)


def _noise(images: Tensor, deviation: float, keys: Tensor, stream: int) -> Tensor:
    channels, height, width = images.shape[1:]
    drawn = (
        normal(keys, channels * height * width, stream)
        .view(-1, height, width, channels)
        .permute(0, 3, 1, 2)
    )
    return images + drawn.to(images.dtype) * deviation


def _mask(images: Tensor, probability: float, keys: Tensor, stream: int) -> Tensor:
    height, width = images.shape[2:]
    missing = uniform(keys, height * width, stream) <= probability
    return images.masked_fill(missing.view(-1, 1, height, width), MISSING)


_FUNCTIONS: dict[str, Callable[[Tensor, float, Tensor, int], Tensor]] = {
    "gray": lambda images, _, __, ___: gray(images),
    "noise": _noise,
    "blur": lambda images, deviation, _, __: blur(images, deviation),
    "mask": _mask,
    "downscale": lambda images, factor, _, __: downscale(images, int(factor)),
    "jpeg": lambda images, quality, _, __: jpeg(images, int(quality)),
}
"""By the words of ``IMPAIRMENTS``: images, strength, keys and the stream of random numbers →
images."""

_STREAMS = {name: stream for stream, name in enumerate(_FUNCTIONS)}
"""A word draws the same numbers wherever it stands: ``gray+noise0.1`` is ``gray``, and then
``noise0.1``."""


@lru_cache(maxsize=16)
def _blur_matrix(size: int, deviation: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the linear map that blurs a line of ``size`` pixels, ``(size, size)``."""
    return torch.from_numpy(gaussian_filter1d(np.eye(size), deviation, axis=0)).to(device, dtype)


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Return what is left of ``uint8 (H, W, C)``."""
    file = io.BytesIO()
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(
        file, "JPEG", quality=quality
    )
    with Image.open(file) as opened:
        return np.asarray(opened).reshape(image.shape)
