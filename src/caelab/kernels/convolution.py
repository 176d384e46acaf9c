"""Convolutions of stride 1, each computed in the fastest of three ways.

- PyTorch's convolution is the usual way.
- Winograd's minimal filtering in ``winograd.c`` needs a quarter of the multiplications. It is used
  for 3×3 kernels and many channels in float32.
- For feature maps of a few pixels in half precision, PyTorch convolves, and the gradient of the
  weights is computed as one product of matrices.
"""

import threading
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input

from caelab.device import in_parallel
from caelab.kernels.compiler import CLibrary, c_struct

LIBRARY = CLibrary(
    "winograd.c",
    {
        "tiles": "lp",
        "kernel_floats": "lp",
        "scratch_floats": "lp",
        "kernel": "-ppp",
        "kernel_transposed": "-ppp",
        "kernel_gradient": "-ppp",
        "convolve": "-pllppppp",
        "input_gradient": "-pllpppp",
        "kernel_sums": "-pllpppp",
    },
)

Convolution = c_struct("l height width channels padding out_height out_width outputs")
"""The structure ``Convolution`` of ``winograd.c``: the shapes of an input and an output."""

MIN_CHANNELS = 8
"""Smallest number of input channels, and of output channels, with which Winograd's way is faster
than PyTorch's (``benchmarks.convolutions``)."""

MIN_CHANNEL_PAIRS = 384
"""Smallest product of input and output channels with which Winograd's way is faster. Below it, the
transformations cost more time than they save."""

MIN_TILES = 16
"""Smallest number of tiles, in all images together, with which Winograd's way is faster. With fewer
tiles, transforming the kernel takes more time than the tiles save."""

MIN_GAIN = 1.5
"""Winograd's way is used only if the usual way needs at least this many times as many
multiplications. It needs 4 times as many if tiles of 4×4 pixels fill the output exactly, and fewer
otherwise."""

MIN_SHARE = 32
"""Smallest number of tiles for which another thread makes the work faster."""

MAX_PIXELS = 36
"""Largest height × width of a feature map for which :func:`weight_gradient` is faster in bfloat16.
Measured: at 8×8 pixels it takes as long as PyTorch, and at 4×4 it is 2.5 to 5 times as fast."""


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Return ``F.conv2d(x, weight, bias, padding=padding)``, computed in the fastest way.

    Args:
        x: ``(N, C, H, W)``.
        weight: ``(C', C, K, K)``.
        bias: ``(C',)`` or ``None``.
        padding: Zeros around the input.

    Returns:
        ``(N, C', H', W')``.
    """
    cast = torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu") if cast else x.dtype
    if (
        x.shape[2] * x.shape[3] <= MAX_PIXELS
        and weight.shape[-1] > 1
        and torch.is_grad_enabled()
        and weight.requires_grad
        and x.device.type == "cpu"
        and dtype in (torch.bfloat16, torch.float16)
    ):
        # Autocast casts only the arguments of PyTorch's own operations.
        bias = None if bias is None else bias.to(dtype)
        x, weight = x.to(dtype), weight.to(dtype)
        y: Tensor = _SmallMaps.apply(x, weight, bias, padding)  # type: ignore[no-untyped-call]
        return y
    if winograd_is_faster(x, weight, padding):
        return convolve_winograd(x, weight, bias, padding)
    return F.conv2d(x, weight, bias, padding=padding)


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
        x_gradient = conv2d_input(  # type: ignore[no-untyped-call]
            x.shape, weight, gradient, padding=ctx.padding
        )
        bias_gradient = gradient.sum((0, 2, 3)) if ctx.biased else None
        kernel = weight.shape[-1]
        return x_gradient, weight_gradient(x, gradient, kernel, ctx.padding), bias_gradient, None


def weight_gradient(x: Tensor, gradient: Tensor, kernel: int, padding: int) -> Tensor:
    """Return the gradient of a convolution's weights as one product of matrices.

    The product is (N·H'·W', C')ᵀ · (N·H'·W', K²·C): each output pixel's gradient times the patch
    that the pixel was computed from. oneDNN multiplies image by image, and a small map has too few
    pixels to fill the processor's matrix units.

    Args:
        x: The convolution's input, ``(N, C, H, W)``.
        gradient: Gradient of the convolution's output, ``(N, C', H', W')``.
        kernel: Side K of the kernel.
        padding: Zeros around the input.

    Returns:
        ``(C', C, K, K)``.
    """
    count, channels, _, _ = x.shape
    _, outputs, height, width = gradient.shape
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding)).contiguous()
    image, row, pixel, _ = padded.stride()
    # K neighboring pixels of a row, with all their channels, are contiguous in memory.
    patches = padded.as_strided(
        (count, height, width, kernel, kernel * channels), (image, row, pixel, row, 1)
    )
    rows = gradient.permute(0, 2, 3, 1).reshape(-1, outputs)
    product = rows.T @ patches.reshape(-1, kernel * kernel * channels)
    return product.view(outputs, kernel, kernel, channels).permute(0, 3, 1, 2)


def winograd_is_faster(x: Tensor, weight: Tensor, padding: int) -> bool:
    """Return whether :func:`convolve_winograd` can be used, and is faster than ``F.conv2d``.

    Args:
        x: ``(N, C, H, W)``.
        weight: ``(C', C, K, K)``.
        padding: Zeros around the input.
    """
    count, inputs, *sides = x.shape
    outputs, kernel = len(weight), weight.shape[-1]
    height, width = (side + 2 * padding - 2 for side in sides)
    tiles = -(-height // 4) * -(-width // 4)
    return (
        kernel == 3
        and min(inputs, outputs) >= MIN_CHANNELS
        and inputs * outputs >= MIN_CHANNEL_PAIRS
        and count * tiles >= MIN_TILES
        and 9 * height * width >= MIN_GAIN * 36 * tiles
        and x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.compiler.is_exporting()
        # This comes last, because the first access compiles the C code.
        and LIBRARY.loaded is not None
    )


def convolve_winograd(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Return ``F.conv2d(x, weight, bias, padding=padding)``, computed by Winograd's filtering.

    Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray 2016, "Fast algorithms for
    convolutional neural networks", arXiv 1509.09308) takes 36 multiplications for 4×4 outputs
    instead of 144. The work is divided among as many threads as PyTorch uses. The number of threads
    changes only the last bits of the weights' gradient. With 160 channels, the norm of the rounding
    errors is about 3e-6 of the output's norm; in PyTorch's convolution it is 6e-7.

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
        # C receives only addresses, so the tensors must be contiguous and stay alive in Python.
        images, weight = _to_nhwc(x), weight.contiguous()
        bias = None if bias is None else bias.contiguous()
        count, height, width, channels = images.shape
        sides = (height + 2 * padding - 2, width + 2 * padding - 2)
        shapes = Convolution(height, width, channels, padding, *sides, len(weight))
        output = torch.empty(count, *sides, len(weight))
        kernel = _transformed("kernel", shapes, weight)
        _run("convolve", shapes, _parts(_tiles(shapes) * count), images, kernel, bias, output)
        ctx.save_for_backward(images, weight)
        ctx.shapes, ctx.biased = shapes, bias is not None
        return output.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        images, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        rows = _to_nhwc(gradient)
        return (
            _input_gradient(ctx.shapes, images, weight, rows) if needs_x else None,
            _weight_gradient(ctx.shapes, images, weight, rows) if needs_weight else None,
            rows.sum((0, 1, 2)) if needs_bias and ctx.biased else None,
            None,
        )


def _input_gradient(shapes: Any, images: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    tiles = _tiles(shapes)
    found = torch.zeros_like(images)
    kernel = _transformed("kernel_transposed", shapes, weight)
    # Tiles of an image overlap, so each image belongs to only one thread.
    parts = [
        range(part.start * tiles, part.stop * tiles)
        for part in _parts(len(images), -(-MIN_SHARE // tiles))
    ]
    _run("input_gradient", shapes, parts, gradient, kernel, found)
    return found.permute(0, 3, 1, 2)


def _weight_gradient(shapes: Any, images: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    parts = _parts(len(images) * _tiles(shapes))
    floats = LIBRARY.functions.kernel_floats(shapes)
    # Each thread adds to its own sums, because shared sums would need locks. The sums of all
    # threads are then added in a fixed order, so that the bits of the result depend only on the
    # number of threads.
    sums = _memory("sums", len(parts) * floats).view(len(parts), floats)
    _run("kernel_sums", shapes, parts, images, gradient, own=sums)
    total = sums[0] if len(parts) == 1 else sums.sum(0)
    found = torch.empty_like(weight)
    LIBRARY.functions.kernel_gradient(shapes, total, found)
    return found


def _to_nhwc(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).contiguous()


def _tiles(shapes: Any) -> int:
    return int(LIBRARY.functions.tiles(shapes))


def _transformed(function: str, shapes: Any, weight: Tensor) -> Tensor:
    """Return ``weight`` as ``function`` of ``winograd.c`` transforms it."""
    kernel = _memory("kernel", LIBRARY.functions.kernel_floats(shapes))
    getattr(LIBRARY.functions, function)(shapes, weight, kernel)
    return kernel


def _parts(count: int, smallest: int = MIN_SHARE) -> list[range]:
    """Divide ``count`` items among PyTorch's threads; each thread gets at least ``smallest``."""
    shares = max(1, min(torch.get_num_threads(), count // smallest))
    bounds = [count * share // shares for share in range(shares + 1)]
    return [range(first, last) for first, last in pairwise(bounds)]


def _run(
    function: str,
    shapes: Any,
    parts: list[range],
    *arguments: Tensor | None,
    own: Tensor | None = None,
) -> None:
    """Call a function of ``winograd.c`` for every part, each on a thread of its own.

    Args:
        function: Name of the function.
        shapes: First argument of the function.
        parts: Ranges of tiles, counted over all images; one call for each.
        arguments: Further arguments of the function, the same in every call.
        own: A tensor with one row for each part; the call for a part gets its row after
            ``arguments``.
    """

    def run(part: range, *row: Tensor) -> None:
        scratch = _memory("scratch", LIBRARY.functions.scratch_floats(shapes))
        getattr(LIBRARY.functions, function)(
            shapes, part.start, part.stop, *arguments, *row, scratch
        )

    in_parallel(run, list(zip(parts, *([] if own is None else [own]), strict=True)))


_own = threading.local()


def _memory(use: str, floats: int) -> Tensor:
    """Return memory with arbitrary content; the calling thread reuses it for the same ``use``."""
    # New memory of this size would come from the operating system, and its first use would cost
    # page faults.
    memory: Tensor | None = getattr(_own, use, None)
    if memory is None or len(memory) < floats:
        memory = torch.empty(floats)
        setattr(_own, use, memory)
    return memory[:floats]
