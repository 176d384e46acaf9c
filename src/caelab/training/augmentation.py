"""Random changes of training images: flip, translation, scale, rotation and brightness."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from caelab.randomness import uniform
from caelab.training.config import AugmentationConfig

_STREAM = 32
"""Stream of random numbers; degradations use streams of smaller numbers."""


def augment(images: Tensor, keys: Tensor, config: AugmentationConfig) -> Tensor:
    """Change training images at random; beyond its border an image is mirrored.

    All probabilities are uniform; factors of scale and brightness are uniform on a logarithmic
    scale between 1 / (1 + j) and 1 + j for a jitter of j.

    Args:
        images: Clean images, ``(N, C, H, W)`` in [0, 1].
        keys: Keys of the images in this epoch, ``int64 (N,)`` on the same device; see
            :func:`caelab.randomness.image_keys`.
        config: Which changes are made, and the largest of each. ``translate`` must be smaller than
            the images. Scale and rotation about the center are one bicubic interpolation.

    Returns:
        ``(N, C, H, W)`` in [0, 1].

    >>> import numpy as np
    >>> from caelab.randomness import image_keys
    >>> images, keys = torch.rand(8, 3, 32, 32), image_keys(np.arange(8), 0, 1)
    >>> augment(images, keys, AugmentationConfig(flip=True, rotate=10.0)).shape
    torch.Size([8, 3, 32, 32])
    """
    if config == AugmentationConfig():
        return images  # without drawing random numbers
    # Each change has its own columns of random numbers, so that switching one change on does not
    # alter the numbers of the others.
    drawn = uniform(keys, 6, _STREAM)
    if config.flip:
        images = torch.where((drawn[:, 0] > 0.5).view(-1, 1, 1, 1), images.flip(3), images)
    if config.translate:
        # The ceiling, because the numbers are in (0, 1].
        offsets = (drawn[:, 1:3] * (2 * config.translate + 1)).ceil().long() - 1
        images = _translate(images, offsets, config.translate)
    if config.scale_jitter or config.rotate:
        angles = (2 * drawn[:, 4] - 1) * math.radians(config.rotate)
        images = _scale_and_rotate(images, _jitter(drawn[:, 3], config.scale_jitter), angles)
    if config.gamma_jitter:
        images = images.pow(_jitter(drawn[:, 5], config.gamma_jitter).view(-1, 1, 1, 1))
    return images


def _jitter(drawn: Tensor, width: float) -> Tensor:
    """Return factors between 1 / (1 + width) and 1 + width from numbers in (0, 1]."""
    return torch.exp((2 * drawn - 1) * math.log1p(width))


def _translate(images: Tensor, offsets: Tensor, largest: int) -> Tensor:
    """Cut each image, at its own offset ``(N, 2)``, out of the image with a mirrored border."""
    count, _, height, width = images.shape
    # Mirrored, because a black border would be an edge that no clean image has.
    padded = F.pad(images, (largest,) * 4, mode="reflect").permute(0, 2, 3, 1)
    rows = offsets[:, :1] + torch.arange(height, device=images.device)
    columns = offsets[:, 1:] + torch.arange(width, device=images.device)
    index = torch.arange(count, device=images.device)[:, None, None]
    return padded[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _scale_and_rotate(images: Tensor, factors: Tensor, angles: Tensor) -> Tensor:
    """Enlarge and rotate images about their centers, by factors and radians ``(N,)``."""
    height, width = images.shape[2:]
    # Divided, because the map leads from coordinates of the output to those of the input.
    sine, cosine = angles.sin() / factors, angles.cos() / factors
    maps = images.new_zeros(len(images), 2, 3)
    maps[:, 0, 0] = maps[:, 1, 1] = cosine
    # affine_grid's coordinates are in half sides, which differ where images are no squares.
    maps[:, 0, 1] = -sine * height / width
    maps[:, 1, 0] = sine * width / height
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(
        images, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    ).clamp(0, 1)
