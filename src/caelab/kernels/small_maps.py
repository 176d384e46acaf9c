"""Convolution of maps of a few pixels a side, whose weights' gradient libraries are slow at."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_PIXELS = 36
"""Height × width up to which the product is faster, in bfloat16 (measured: 8×8 is even, 4×4 2.5 to
5 times)."""


def suits(x: Tensor, weight: Tensor) -> bool:
    """Tell whether :func:`convolve` is faster than ``F.conv2d``: half precision, on a CPU, with a
    gradient to come.
    """
    trained = torch.is_grad_enabled() and weight.requires_grad
    small = x.shape[2] * x.shape[3] <= MOST_PIXELS and weight.shape[-1] > 1
    return (
        small
        and trained
        and x.device.type == "cpu"
        and _dtype(x) in (torch.bfloat16, torch.float16)
    )


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Return ``F.conv2d(x, weight, bias, padding=padding)``, and let its gradient be found faster.

    The weights' gradient of small maps is one product of matrices, (N·H'·W', C')ᵀ · (N·H'·W',
    K²·C): each output pixel's gradient by the patch that it was computed from. oneDNN goes through
    the pixels of an image, which are too few to fill its matrix units.

    Args:
        x: ``(N, C, H, W)``.
        weight: ``(C', C, K, K)``.
        bias: ``(C',)`` or ``None``.
        padding: Zeros around the input.
    """
    dtype = _dtype(x)
    bias = None if bias is None else bias.to(dtype)
    y: Tensor = _SmallConvolution.apply(x.to(dtype), weight.to(dtype), bias, padding)  # type: ignore[no-untyped-call]
    return y


def _dtype(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


class _SmallConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.biased = padding, bias is not None
        return F.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        by_x, _, _ = torch.ops.aten.convolution_backward(
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
        by_bias = gradient.sum((0, 2, 3)) if ctx.biased else None
        return by_x, weight_gradient(x, gradient, weight.shape[-1], ctx.padding), by_bias, None


def weight_gradient(x: Tensor, gradient: Tensor, kernel: int, padding: int) -> Tensor:
    """Return a convolution's gradient by its weights, ``(C', C, K, K)``, as one product.

    Args:
        x: What was convolved, ``(N, C, H, W)``.
        gradient: By the output, ``(N, C', H', W')``.
        kernel: K.
        padding: Zeros around the input.
    """
    count, channels, _, _ = x.shape
    _, outputs, height, width = gradient.shape
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding)).contiguous()
    image, row, pixel, _ = padded.stride()
    # A patch's row of K pixels with all channels is one run of numbers.
    patches = padded.as_strided(
        (count, height, width, kernel, kernel * channels), (image, row, pixel, row, 1)
    )
    rows = gradient.permute(0, 2, 3, 1).reshape(-1, outputs)
    product = rows.T @ patches.reshape(-1, kernel * kernel * channels)
    return product.view(outputs, kernel, kernel, channels).permute(0, 3, 1, 2)
