"""A convolution of stride one, by whichever way is the fastest."""

import torch.nn.functional as F
from torch import Tensor

from caelab.kernels import small_maps, winograd


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Return ``F.conv2d(x, weight, bias, padding=padding)``, and let its gradient be found.

    Args:
        x: ``(N, C, H, W)``.
        weight: ``(C', C, K, K)``.
        bias: ``(C',)`` or ``None``.
        padding: Zeros around the input.
    """
    if small_maps.suits(x, weight):
        return small_maps.convolve(x, weight, bias, padding)
    if winograd.suits(x, weight, outputs=len(weight), kernel=weight.shape[-1], padding=padding):
        return winograd.convolve(x, weight, bias, padding)
    return F.conv2d(x, weight, bias, padding=padding)
