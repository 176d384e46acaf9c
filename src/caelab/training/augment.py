"""Training images as they might have been taken: mirrored, a few pixels to the side, from nearer or farther."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from caelab.impair.randomness import uniform

_STREAM = 32
"""Of random numbers; impairments have those below."""


def augment(images: Tensor, keys: Tensor, *, flip: bool, shift: int, zoom: float = 0.0) -> Tensor:
    """Return each image mirrored with probability ½, moved and zoomed, mirrored beyond its border.

    Args:
        images: ``(N, C, H, W)`` in [0, 1].
        keys: ``int64 (N,)`` on the same device, from ``impair.image_keys``: all that chance depends on.
        flip: Whether to mirror left and right.
        shift: Whole pixels by which it is moved at most; smaller than the image.
        zoom: It is enlarged about its middle by a factor between 1 / (1 + zoom) and 1 + zoom, all of them equally
            likely on a logarithmic scale; bicubic, clipped to [0, 1].
    """
    if not flip and not shift and not zoom:
        return images
    drawn = uniform(keys, 4, _STREAM)
    if flip:
        images = torch.where((drawn[:, 0] > 0.5).view(-1, 1, 1, 1), images.flip(3), images)
    if shift:
        height, width = images.shape[2:]
        padded = F.pad(images, (shift,) * 4, mode="reflect").permute(0, 2, 3, 1)
        offsets = (drawn[:, 1:3] * (2 * shift + 1)).ceil().long() - 1  # drawn is in (0, 1]
        rows = offsets[:, :1] + torch.arange(height, device=images.device)
        columns = offsets[:, 1:] + torch.arange(width, device=images.device)
        image = torch.arange(len(images), device=images.device)
        images = padded[image[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if zoom:
        images = _enlarge(images, torch.exp((2 * drawn[:, 3] - 1) * math.log1p(zoom)))
    return images


def _enlarge(images: Tensor, factors: Tensor) -> Tensor:
    """Enlarge each image about its middle by its own factor ``(N,)``."""
    maps = images.new_zeros(len(images), 2, 3)
    maps[:, 0, 0] = maps[:, 1, 1] = 1 / factors
    places = F.affine_grid(maps, list(images.shape), align_corners=False)
    enlarged = F.grid_sample(images, places, mode="bicubic", padding_mode="reflection", align_corners=False)
    return enlarged.clamp(0, 1)
