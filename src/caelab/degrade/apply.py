"""Apply a degradation to images."""

import torch
from torch import Tensor

from caelab.degrade.degradation import Degradation
from caelab.errors import InputError


def degrade(images: Tensor, degradation: Degradation, keys: Tensor) -> Tensor:
    """Return the degraded input of a network for clean images.

    The result of an image depends only on the image, its key and the degradation. It is the same in
    every batch and, up to rounding, on every device. A step draws the same random numbers at every
    position, so ``gray+noise0.1`` gives the same result as ``gray`` followed by ``noise0.1``.

    Args:
        images: Clean images, ``(N, 1 or 3, H, W)`` in [0, 1], floating point. They are not changed,
            but the result may share their memory.
        degradation: The steps, done from left to right.
        keys: Seeds of the images' random numbers, ``int64 (N,)`` on the same device; see
            :func:`caelab.randomness.image_keys`.

    Returns:
        Degraded images ``(N, degradation.channels(C), H, W)``, channels last in memory. They are in
        [0, 1] unless a step such as ``noise`` or ``mask`` leaves that range.

    >>> import numpy as np
    >>> from caelab.degrade.degradation import parse_degradation
    >>> from caelab.randomness import image_keys
    >>> images, keys = torch.rand(2, 3, 32, 32), image_keys(np.array([7, 8]), seed=0)
    >>> degrade(images, parse_degradation("gray+noise0.1"), keys).shape
    torch.Size([2, 1, 32, 32])

    Raises:
        InputError: A step of a user's own kind returned another shape than its ``channels`` says.
    """
    for step in degradation.steps:
        kind = step.kind
        count, channels, *size = images.shape
        images = kind.apply(images, step.strength or 0.0, kind.random_numbers(keys))
        promised = (count, kind.channels(channels), *size)
        if images.shape != promised:
            raise InputError(
                f"the degradation {step} returned images of shape {tuple(images.shape)} instead of"
                f" {promised}: correct `apply` or `channels` of {type(kind).__qualname__}."
            )
    return images.contiguous(memory_format=torch.channels_last)  # fastest for convolutions
