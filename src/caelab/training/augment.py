"""Training images as they might have been taken: mirrored, or a few pixels to the side."""

import torch
import torch.nn.functional as F
from torch import Tensor

from caelab.impair.randomness import uniform

_STREAM = 32
"""Of random numbers; impairments have those below."""


def augment(images: Tensor, keys: Tensor, *, flip: bool, shift: int) -> Tensor:
    """Return each image mirrored with probability ½ and moved by up to ``shift`` pixels, its border mirrored.

    Args:
        images: ``(N, C, H, W)``.
        keys: ``int64 (N,)`` on the same device, from ``impair.image_keys``: all that chance depends on.
        flip: Whether to mirror left and right.
        shift: Pixels; smaller than the image.
    """
    if not flip and not shift:
        return images
    drawn = uniform(keys, 3, _STREAM)
    if flip:
        images = torch.where((drawn[:, 0] > 0.5).view(-1, 1, 1, 1), images.flip(3), images)
    if shift:
        height, width = images.shape[2:]
        padded = F.pad(images, (shift,) * 4, mode="reflect").permute(0, 2, 3, 1)
        offsets = (drawn[:, 1:] * (2 * shift + 1)).ceil().long() - 1  # drawn is in (0, 1]
        rows = offsets[:, :1] + torch.arange(height, device=images.device)
        columns = offsets[:, 1:] + torch.arange(width, device=images.device)
        image = torch.arange(len(images), device=images.device)
        images = padded[image[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return images
