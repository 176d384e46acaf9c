"""Random changes of training images: flip, translation, scale, rotation and brightness."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from caelab.randomness import uniform
from caelab.training.config import AugmentationConfig

_STREAM = 32
"""Number of the stream of random numbers; degradations use the numbers below it."""


def augment(images: Tensor, keys: Tensor, config: AugmentationConfig) -> Tensor:
    """Flip, translate, scale, rotate and brighten or darken each image at random.

    Offsets and angles are uniformly distributed. For a jitter j, the factor of the scale and the
    exponent of the pixel values lie between 1 / (1 + j) and 1 + j, and their logarithms are
    uniformly distributed. Scaling and rotation about the center share one bicubic interpolation.
    Outside its border, an image is mirrored.

    Args:
        images: Clean images, ``(N, C, H, W)`` in [0, 1].
        keys: Random keys of the images, which differ in each epoch, ``int64 (N,)`` on the images'
            device; see :func:`caelab.randomness.image_keys`.
        config: Largest change of each kind; 0 or false switches a kind off. ``translate`` must be
            smaller than the height and the width.

    Returns:
        The changed images, ``(N, C, H, W)`` in [0, 1].

    >>> import numpy as np
    >>> from caelab.randomness import image_keys
    >>> images, keys = torch.rand(8, 3, 32, 32), image_keys(np.arange(8), 0, 1)
    >>> augment(images, keys, AugmentationConfig(flip=True, rotate=10.0)).shape
    torch.Size([8, 3, 32, 32])
    """
    if config == AugmentationConfig():
        return images  # saves drawing random numbers
    # Each change has its own columns of random numbers, so that switching one change on does not
    # alter the numbers of the others.
    drawn = uniform(keys, 6, _STREAM)
    if config.flip:
        images = torch.where((drawn[:, 0] > 0.5).view(-1, 1, 1, 1), images.flip(3), images)
    if config.translate:
        # The random numbers are in (0, 1], so rounding up makes all offsets equally probable.
        offsets = (drawn[:, 1:3] * (2 * config.translate + 1)).ceil().long() - 1
        images = _translate(images, offsets, config.translate)
    if config.scale_jitter or config.rotate:
        angles = (2 * drawn[:, 4] - 1) * math.radians(config.rotate)
        images = _scale_and_rotate(images, _jitter(drawn[:, 3], config.scale_jitter), angles)
    if config.gamma_jitter:
        images = images.pow(_jitter(drawn[:, 5], config.gamma_jitter).view(-1, 1, 1, 1))
    return images


def _jitter(drawn: Tensor, width: float) -> Tensor:
    """Map random numbers in (0, 1] to factors between 1 / (1 + width) and 1 + width."""
    return torch.exp((2 * drawn - 1) * math.log1p(width))


def _translate(images: Tensor, offsets: Tensor, largest: int) -> Tensor:
    """Pad images with ``largest`` mirrored pixels, then crop each at its own offset ``(N, 2)``."""
    count, _, height, width = images.shape
    # A black border would be an edge that no clean image has, so the border mirrors the image.
    padded = F.pad(images, (largest,) * 4, mode="reflect").permute(0, 2, 3, 1)
    rows = offsets[:, :1] + torch.arange(height, device=images.device)
    columns = offsets[:, 1:] + torch.arange(width, device=images.device)
    index = torch.arange(count, device=images.device)[:, None, None]
    return padded[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _scale_and_rotate(images: Tensor, factors: Tensor, angles: Tensor) -> Tensor:
    """Enlarge images by factors ``(N,)`` and rotate them by angles ``(N,)``, in radians."""
    height, width = images.shape[2:]
    # The matrices map output coordinates to input coordinates, so they are divided by the factors.
    sine, cosine = angles.sin() / factors, angles.cos() / factors
    maps = images.new_zeros(len(images), 2, 3)
    maps[:, 0, 0] = maps[:, 1, 1] = cosine
    # affine_grid measures rows in half heights and columns in half widths, which can differ.
    maps[:, 0, 1] = -sine * height / width
    maps[:, 1, 0] = sine * width / height
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(
        images, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    ).clamp(0, 1)
