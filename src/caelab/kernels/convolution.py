"""A convolution of stride one, by whichever way is the fastest."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from caelab.kernels import winograd

MAX_PIXELS = 36
"""Height × width of a map up to which :func:`weight_gradient` is faster in bfloat16: measured, 8×8
is even and 4×4 2.5 to 5 times as fast."""


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Return ``F.conv2d(x, weight, bias, padding=padding)``, and let its gradient be found.

    Args:
        x: ``(N, C, H, W)``.
        weight: ``(C', C, K, K)``.
        bias: ``(C',)`` or ``None``.
        padding: Zeros around the input.

    Returns:
        ``(N, C', H', W')``.
    """
    dtype = _dtype(x)
    if (
        x.shape[2] * x.shape[3] <= MAX_PIXELS
        and weight.shape[-1] > 1
        and torch.is_grad_enabled()
        and weight.requires_grad
        and x.device.type == "cpu"
        and dtype in (torch.bfloat16, torch.float16)
    ):
        bias = None if bias is None else bias.to(dtype)
        x, weight = x.to(dtype), weight.to(dtype)
        y: Tensor = _SmallMaps.apply(x, weight, bias, padding)  # type: ignore[no-untyped-call]
        return y
    if winograd.is_faster(x, weight, outputs=len(weight), kernel=weight.shape[-1], padding=padding):
        return winograd.convolve(x, weight, bias, padding)
    return F.conv2d(x, weight, bias, padding=padding)


def _dtype(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


class _SmallMaps(torch.autograd.Function):
    """Convolution of maps of a few pixels a side, with a faster gradient of the weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.biased = padding, bias is not None
        return F.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        x_gradient, _, _ = torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight,
            None,
            [1, 1],
            [ctx.padding] * 2,
            [1, 1],
            False,
            [0, 0],
            1,
            [True, False, False],
        )
        bias_gradient = gradient.sum((0, 2, 3)) if ctx.biased else None
        kernel = weight.shape[-1]
        return x_gradient, weight_gradient(x, gradient, kernel, ctx.padding), bias_gradient, None


def weight_gradient(x: Tensor, gradient: Tensor, kernel: int, padding: int) -> Tensor:
    """Return the gradient of a convolution's weights as one product of matrices.

    It is (N·H'·W', C')ᵀ · (N·H'·W', K²·C): each output pixel's gradient times the patch that the
    pixel was computed from. oneDNN goes through the pixels of one image, which are too few to fill
    its matrix units where maps are small.

    Args:
        x: The convolution's input, ``(N, C, H, W)``.
        gradient: Gradient of its output, ``(N, C', H', W')``.
        kernel: Side K of the kernel.
        padding: Zeros around the input.

    Returns:
        ``(C', C, K, K)``.
    """
    count, channels, _, _ = x.shape
    _, outputs, height, width = gradient.shape
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding)).contiguous()
    image, row, pixel, _ = padded.stride()
    # A patch's row of K pixels with all channels is one run of numbers in memory.
    patches = padded.as_strided(
        (count, height, width, kernel, kernel * channels), (image, row, pixel, row, 1)
    )
    rows = gradient.permute(0, 2, 3, 1).reshape(-1, outputs)
    product = rows.T @ patches.reshape(-1, kernel * kernel * channels)
    return product.view(outputs, kernel, kernel, channels).permute(0, 3, 1, 2)
