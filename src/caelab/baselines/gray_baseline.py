"""The simplest colorizations: the gray picture itself, or the same chroma in every pixel."""

import torch
from torch import Tensor

from caelab.color import SPACES, gray_rgb, merge
from caelab.data.device_images import DeviceImages
from caelab.metrics.evaluate import Restore


def gray_copy(luma: Tensor) -> Tensor:
    """Return the gray picture itself.

    Args:
        luma: BT.601 luma ``(N, 1, H, W)``; values outside [0, 1] are clipped.

    Returns:
        RGB ``(N, 3, H, W)`` in [0, 1].

    >>> gray_copy(torch.full((1, 1, 1, 1), 0.5)).flatten().tolist()
    [0.5, 0.5, 0.5]
    """
    return gray_rgb(luma.clamp(0, 1))


@torch.no_grad()
def mean_chroma(pixels: DeviceImages) -> Restore:
    """Return a colorization that gives every pixel the mean chroma of some images.

    Args:
        pixels: Color images ``(N, 3, H, W)``, which should be the training part.

    Returns:
        Function of luma ``(N, 1, H, W)`` that returns RGB ``(N, 3, H, W)`` in [0, 1]. The chroma is
        Cb and Cr of ITU-R BT.601.
    """
    space = SPACES["ycbcr"]
    # Sums are in float64, so that the mean of millions of pixels does not depend on the batches.
    # They are on the CPU, because Apple's GPUs have no float64.
    sums = [
        space.chroma(pixels.batch(rows)).mean((2, 3)).cpu().double().sum(0)
        for rows in pixels.batches(1024)
    ]
    chroma = (torch.stack(sums).sum(0) / len(pixels)).view(1, 2, 1, 1)

    def restore(luma: Tensor) -> Tensor:
        planes = chroma.to(luma).expand(len(luma), 2, *luma.shape[2:])
        return merge(luma.clamp(0, 1), planes, space)

    return restore
