"""A convolution with a kernel of 3×3 by ``winograd.c``, and its gradient."""

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from caelab.kernels.to_nhwc import in_rows
from caelab.kernels.winograd.bindings import Convolution, library

FEWEST_CHANNELS = 8
"""Channels in, and out, from which this is faster than the library's convolution
(``benchmarks.convolutions``)."""

FEWEST_PAIRS = 384
"""Channels in times channels out from which it is: with fewer, the way to the other basis and back
is too much."""

FEWEST_TILES = 16
"""Tiles of all images from which it is: the kernel is taken to the other basis once for all of
them."""

LEAST_GAIN = 1.5
"""Times by which multiplications must become fewer; four, where whole tiles fit."""

SMALLEST_SHARE = 32
"""Tiles that are worth a thread of their own."""


def suits(x: Tensor, weight: Tensor, *, outputs: int, kernel: int, padding: int) -> bool:
    """Tell whether :func:`convolve` can be used, and is faster than ``F.conv2d``.

    Args:
        x: ``(N, C, H, W)``.
        weight: What the kernel is made of; its type and place count.
        outputs: C'.
        kernel: K.
        padding: Zeros around the input.
    """
    count, inputs, *sides = x.shape
    height, width = (side + 2 * padding - 2 for side in sides)
    tiles = -(-height // 4) * -(-width // 4)
    return (
        kernel == 3
        and min(inputs, outputs) >= FEWEST_CHANNELS
        and inputs * outputs >= FEWEST_PAIRS
        and count * tiles >= FEWEST_TILES
        and 9 * height * width >= LEAST_GAIN * 36 * tiles
        and x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.compiler.is_exporting()
        and library() is not None
    )


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Return ``F.conv2d(x, weight, bias, padding=padding)``, up to rounding.

    Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray 2016, "Fast algorithms for
    convolutional neural networks"): 36 multiplications for four by four outputs, not 144. As many
    threads as PyTorch has share the work; their number changes the last bits of the weights'
    gradient, and of nothing else. Errors by rounding are about 3e-6 of the norm where there are 160
    channels, the library's 6e-7.

    Args:
        x: ``float32 (N, C, H, W)`` on the CPU.
        weight: ``float32 (C', C, 3, 3)``.
        bias: ``float32 (C',)`` or ``None``.
        padding: Zeros around the input.

    Returns:
        ``float32 (N, C', H', W')``, channels last in memory.
    """
    y: Tensor = _Winograd.apply(x, weight, bias, padding)  # type: ignore[no-untyped-call]
    return y


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        loops = _loops()
        images, dense = in_rows(x), weight.contiguous()
        bias = None if bias is None else bias.contiguous()
        shape = _shape_of(images, dense, padding)
        kernel = _memory("kernel", loops.kernel_floats(shape))
        loops.kernel(shape, dense.data_ptr(), kernel.data_ptr())
        answer = torch.empty(len(x), shape.out_height, shape.out_width, shape.outputs)
        given = (
            images.data_ptr(),
            kernel.data_ptr(),
            None if bias is None else bias.data_ptr(),
            answer.data_ptr(),
        )

        def share(part: range) -> None:
            scratch = _memory("scratch", loops.scratch_floats(shape))
            loops.convolve(shape, part.start, part.stop, *given, scratch.data_ptr())

        _at_once(share, _parts(len(x) * loops.tiles(shape), SMALLEST_SHARE))
        ctx.save_for_backward(images, dense)
        ctx.shape, ctx.biased = shape, bias is not None
        return answer.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        images, weight = ctx.saved_tensors
        by_x, by_weight, by_bias, _ = ctx.needs_input_grad
        rows = in_rows(gradient)
        return (
            _by_images(ctx.shape, images, weight, rows) if by_x else None,
            _by_weight(ctx.shape, images, weight, rows) if by_weight else None,
            rows.sum((0, 1, 2)) if by_bias and ctx.biased else None,
            None,
        )


def _by_images(shape: Convolution, images: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    loops = _loops()
    tiles = loops.tiles(shape)
    kernel = _memory("kernel", loops.kernel_floats(shape))
    loops.kernel_transposed(shape, weight.data_ptr(), kernel.data_ptr())
    by_images = torch.zeros_like(images)
    given = (gradient.data_ptr(), kernel.data_ptr(), by_images.data_ptr())

    def share(part: range) -> None:
        scratch = _memory("scratch", loops.scratch_floats(shape))
        loops.by_images(shape, part.start * tiles, part.stop * tiles, *given, scratch.data_ptr())

    # Tiles of an image overlap, so no two threads are given the same one.
    _at_once(share, _parts(len(images), -(-SMALLEST_SHARE // tiles)))
    return by_images.permute(0, 3, 1, 2)


def _by_weight(shape: Convolution, images: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    loops = _loops()
    parts = _parts(len(images) * loops.tiles(shape), SMALLEST_SHARE)
    floats = loops.kernel_floats(shape)
    sums = _memory("sums", len(parts) * floats).view(len(parts), floats)
    given = (images.data_ptr(), gradient.data_ptr())

    def share(part: range) -> None:
        mine, scratch = sums[parts.index(part)], _memory("scratch", loops.scratch_floats(shape))
        loops.by_kernel(shape, part.start, part.stop, *given, mine.data_ptr(), scratch.data_ptr())

    _at_once(share, parts)
    total = sums[0] if len(parts) == 1 else sums.sum(0)
    by_weight = torch.empty_like(weight)
    loops.kernel_gradient(shape, total.data_ptr(), by_weight.data_ptr())
    return by_weight


def _loops() -> ctypes.CDLL:
    loops = library()
    assert loops is not None
    return loops


def _shape_of(images: Tensor, weight: Tensor, padding: int) -> Convolution:
    _, height, width, channels = images.shape
    return Convolution(
        height,
        width,
        channels,
        padding,
        height + 2 * padding - 2,
        width + 2 * padding - 2,
        weight.shape[0],
    )


def _parts(count: int, smallest: int) -> list[range]:
    """Share ``count`` out to as many threads as PyTorch has, but no fewer than ``smallest`` to
    any.
    """
    shares = max(1, min(torch.get_num_threads(), count // smallest))
    bounds = [count * share // shares for share in range(shares + 1)]
    return [range(first, last) for first, last in pairwise(bounds)]


def _at_once(work: Callable[[range], None], parts: list[range]) -> None:
    """Do each part's work, the last one's on the calling thread."""
    others = [_threads().submit(work, part) for part in parts[:-1]]
    work(parts[-1])
    for other in others:
        other.result()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "winograd")


_own = threading.local()


def _memory(use: str, floats: int) -> Tensor:
    """Return memory that is the calling thread's alone, with whatever is in it; the same one for
    the same use.
    """
    memory: Tensor | None = getattr(_own, use, None)
    if memory is None or len(memory) < floats:
        memory = torch.empty(floats)
        setattr(_own, use, memory)
    return memory[:floats]
