"""What colorization is compared with: answers that look at no more of the picture than its luma."""

import torch
from torch import Tensor

from caelab.color import ColorSpace, gray_rgb, merge
from caelab.data.pixels import Pixels


def gray_copy(luma: Tensor) -> Tensor:
    """Return the gray picture itself as RGB: ``(N, 1, H, W)`` in [0, 1] → ``(N, 3, H, W)``."""
    return gray_rgb(luma)


def mean_chroma(luma: Tensor, chroma: Tensor, space: ColorSpace) -> Tensor:
    """Return the same chroma ``(2,)`` on every pixel of a luma, clipped: ``(N, 1, H, W)`` → ``(N,
    3, H, W)``.
    """
    planes = chroma.to(luma).view(1, 2, 1, 1).expand(len(luma), 2, *luma.shape[2:])
    return merge(luma, planes, space)


@torch.no_grad()
def average_chroma(pixels: Pixels, space: ColorSpace) -> Tensor:
    """Return the mean of the chroma planes over all pixels of images, which should be the training
    part: ``(2,)``.
    """
    totals = [
        space.chroma(pixels.batch(chosen)).double().mean((2, 3)).sum(0)
        for chosen in pixels.batches(1024)
    ]
    return torch.stack(totals).sum(0) / len(pixels)
