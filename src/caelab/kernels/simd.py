"""Run small convolutional networks forward and backward in ``simd.c``, one image per vector lane.

A network is given as plain numbers: a chain of operations and the shapes of the tensors between
them. ``caelab.networks.simd_network`` turns layers into operations.
"""

import ctypes
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from caelab.device import in_parallel
from caelab.kernels.compiler import CLibrary, c_struct

LIBRARY = CLibrary(
    "simd.c",
    {
        "lanes": "i",
        "lay_out": "lp",
        "forward": "-pplppppi",
        "backward": "-pplpppp",
        "mse_gradient": "dpplppppp",
    },
)

ACTIVATIONS = {"none": 0, "relu": 1, "leaky": 2}
CONVOLUTION, TRANSPOSED, MAXIMUM, AVERAGE, NEAREST, SHUFFLE, UNSHUFFLE = range(7)
"""The kinds of operations. Their numbers, and the numbers of the activations, are those of
``simd.c``."""

MAX_WINDOW = 7
"""Largest side of a window of max pooling: a byte must hold the position of the maximum and a
flag."""

Shape = tuple[int, int, int]
"""Shape (C, H, W) of a tensor for one image."""

Affine = tuple[Tensor, Tensor]
"""Scale and shift of every channel, ``(C,)`` each."""

Weights = list[Tensor | None]
"""Weight and bias of each operation, in order; ``None`` where an operation has none."""

# Python sets the fields on the first line of each structure, and the pointers. C sets the other
# fields: borders, positions in memory and the size of the tape.
_Tensor = c_struct(
    "i channels height width",
    "i border kept",
    "l value gradient",
)
_Operation = c_struct(
    "i kind kernel stride dilation padding activation side",
    "l summed indices forward backward sums bias_sums",
)
_Program = c_struct(
    "i count",
    "l tape",
    "p tensors operations input_scale input_shift output_scale output_shift",
)


class Operation(NamedTuple):
    """One layer for ``simd.c``, whose structure ``Operation`` begins with the same fields.

    Attributes:
        kind: Kind of the operation, such as ``CONVOLUTION``.
        kernel: Side of the kernel or of the pooling window; the factor of upsampling or shuffling.
        stride: Distance in pixels between neighboring windows.
        dilation: Distance in pixels between neighboring elements of the kernel.
        padding: Number of zeros around the input; for ``TRANSPOSED``, number of pixels that are cut
            off around the output.
        activation: A value of ``ACTIVATIONS``.
        side: Only for ``up conv``, which C computes as a transposed convolution whose larger kernel
            has sums of the layer's weights: side of the layer's own kernel. Otherwise 0.
    """

    kind: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: int = 0
    activation: int = 0
    side: int = 0


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Operations that run one after the other.

    Attributes:
        operations: The operations, in order.
        shapes: Shapes of the input, of each tensor between two operations, and of the output.
    """

    operations: tuple[Operation, ...]
    shapes: tuple[Shape, ...]

    @property
    def mean_width(self) -> float:
        """Mean number of channels of convolutions and transposed convolutions; 0 without any.

        The number of channels of an operation is the geometric mean of its input and output
        channels. Operations with more multiplications count more in the mean.
        """
        total = weighted = 0.0
        steps = zip(self.operations, self.shapes, self.shapes[1:], strict=False)
        for operation, before, after in steps:
            if operation.kind in (CONVOLUTION, TRANSPOSED):
                # Both kinds multiply each element of the kernel by each pixel of the smaller image.
                _, height, width = before if operation.kind == TRANSPOSED else after
                products = operation.kernel**2 * before[0] * after[0] * height * width
                total += products
                weighted += products * math.sqrt(before[0] * after[0])
        return weighted / total if total else 0.0


class _Buffers:
    """Blocks of memory that are reused.

    The borders of tensors are zero in new memory and are never written, so a used block is as good
    as a new one. Several threads may borrow and return blocks at the same time.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[Tensor]] = {}

    def borrow(self, floats: int) -> Tensor:
        """Return a block of shape (floats,), in which all borders are zero."""
        try:
            # There is no check before the pop, because another thread could take the last block
            # between the check and the pop.
            return self._free.setdefault(floats, []).pop()
        except IndexError:
            return torch.zeros(floats)

    def give_back(self, block: Tensor) -> None:
        self._free[len(block)].append(block)

    @contextmanager
    def borrowed(self, floats: int) -> Iterator[Tensor]:
        block = self.borrow(floats)
        yield block
        self.give_back(block)


class SimdProgram:
    """A chain, laid out in memory for ``simd.c``. Several threads may run it at once.

    Args:
        chain: The operations and the shapes of their tensors.
        library: The compiled ``simd.c``.
        weights: Weight and bias of each operation. They are not copied, so that training can change
            them.
        input_affine: Scale and shift of each input channel, applied first, ``(C,)`` each.
        output_affine: Scale and shift of each output channel, applied last, ``(C',)`` each.

    Raises:
        ValueError: A tensor or a kernel is too large.
    """

    def __init__(
        self,
        chain: Chain,
        library: ctypes.CDLL,
        weights: Weights,
        *,
        input_affine: Affine | None = None,
        output_affine: Affine | None = None,
    ) -> None:
        self.chain, self._functions, self.weights = chain, library, weights
        self.lanes = library.lanes()
        affines = [
            torch.stack(affine or (torch.ones(channels), torch.zeros(channels)))
            for affine, (channels, _, _) in (
                (input_affine, chain.shapes[0]),
                (output_affine, chain.shapes[-1]),
            )
        ]
        arrays = (
            (_Tensor * len(chain.shapes))(*chain.shapes),
            (_Operation * len(chain.operations))(*chain.operations),
        )
        # C stores only the addresses of the arrays, so Python must keep the arrays alive.
        self._kept = arrays, affines
        self._program = _Program(
            len(chain.operations),
            0,
            *map(ctypes.addressof, arrays),
            *(row.data_ptr() for affine in affines for row in affine),
        )
        self.scratch = library.lay_out(self._program)
        if self.scratch < 0:
            raise ValueError("a tensor or a kernel is larger than `simd.c` can index")
        self.tape = self._program.tape
        self.tapes, self.scratches = _Buffers(), _Buffers()

    def __call__(self, x: Tensor) -> Tensor:
        """Run the chain forward; the backward pass gives gradients of the weights, not of ``x``.

        If no gradient is recorded, the images are divided among PyTorch's threads. Otherwise the
        calling thread computes all of them.

        Args:
            x: ``float32 (N, C, H, W)``.

        Returns:
            ``float32 (N, C', H', W')``, channels last in memory.
        """
        # In training, each thread already computes a share of the batch (see `BatchGradient`), and
        # more threads would only compete with these threads.
        if torch.is_grad_enabled():
            y: Tensor = _Pass.apply(  # type: ignore[no-untyped-call]
                self, x.detach(), *self.weights
            )
            return y
        images, weights = _to_nhwc(x), _contiguous(self.weights)
        outputs = self.empty_outputs(len(x))
        # A vector holds one number of each of `lanes` images: with fewer images, a thread would
        # leave lanes unused.
        shares = max(1, min(torch.get_num_threads(), -(-len(x) // self.lanes)))
        # Each thread writes its own rows of the array of outputs.
        parts = zip(images.tensor_split(shares), outputs.tensor_split(shares), strict=True)
        in_parallel(self.forward, [(inputs, weights, results) for inputs, results in parts])
        return outputs.permute(0, 3, 1, 2)

    def forward(
        self, images: Tensor, weights: Weights, outputs: Tensor, tape: Tensor | None = None
    ) -> None:
        """Run the chain forward on the calling thread.

        Args:
            images: ``float32 (N, H, W, C)``, contiguous.
            weights: Weight and bias of each operation, all contiguous.
            outputs: Memory for the outputs, ``float32 (N, H', W', C')``, contiguous.
            tape: Memory for the tensors that the backward pass needs; ``None`` if there is no
                backward pass.
        """
        if tape is not None:
            self.call("forward", images, images, weights, tape, outputs, 1)
            return
        with self.tapes.borrowed(self.tape) as memory:
            self.call("forward", images, images, weights, memory, outputs, 0)

    @property
    def keeps_shape(self) -> bool:
        """True if the output has the shape of the input."""
        return self.chain.shapes[0] == self.chain.shapes[-1]

    def mse_gradient(self, images: Tensor, rows: Tensor) -> tuple[float, tuple[Tensor, ...]]:
        """Return the mean squared error between images and their outputs, and its gradient.

        One call of C computes both from the bytes of the images. The output must have the shape of
        the input.

        Args:
            images: ``uint8 (M, H·W·C)``, where 255 stands for 1.
            rows: Indices of the N images to use, ``int64 (N,)``.

        Returns:
            The error, and the gradients of the weights that are not ``None``.
        """
        weights = _contiguous(self.weights)
        gradients = _each(torch.empty_like, weights)
        with self.tapes.borrowed(self.tape) as tape:
            # C returns the sum of the squared errors in double precision; the mean is taken below.
            total = self.call("mse_gradient", rows, images, rows, weights, tape, gradients)
        found = tuple(each for each in gradients if each is not None)
        return total / (len(rows) * images.shape[1]), found

    def call(self, function: str, batch: Tensor, *arguments: Tensor | Weights | int) -> Any:
        """Call a function of ``simd.c`` for as many images as the batch has.

        Args:
            function: Name of the function.
            batch: Any tensor whose shape begins with the number of images.
            arguments: Arguments of the function after the number of images.
        """
        with self.scratches.borrowed(self.scratch) as scratch:
            return getattr(self._functions, function)(
                self._program, scratch, len(batch), *arguments
            )

    def empty_outputs(self, count: int) -> Tensor:
        """Return memory for the outputs of ``count`` images, ``float32 (N, H', W', C')``."""
        channels, height, width = self.chain.shapes[-1]
        return torch.empty(count, height, width, channels)


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, program: SimdProgram, x: Tensor, *weights: Tensor | None) -> Tensor:
        groups = -(-len(x) // program.lanes)
        # The backward pass must see the weights of this forward pass, at addresses that stay valid.
        ctx.program, ctx.weights = program, _contiguous(list(weights))
        ctx.tape = program.tapes.borrow(groups * program.tape)
        outputs = program.empty_outputs(len(x))
        program.forward(_to_nhwc(x), ctx.weights, outputs, ctx.tape)
        return outputs.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, gradients = _to_nhwc(gradient), _each(torch.empty_like, ctx.weights)
        ctx.program.call("backward", rows, rows, ctx.weights, ctx.tape, gradients)
        # The gradient can be taken only once, so this tape is not needed again, and the next step
        # may use its memory.
        ctx.program.tapes.give_back(ctx.tape)
        ctx.tape = None
        return (None, None, *gradients)


def _to_nhwc(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).contiguous()


def _contiguous(weights: Weights) -> Weights:
    return _each(lambda weight: weight.detach().contiguous(), weights)


def _each(function: Callable[[Tensor], Tensor], weights: Weights) -> Weights:
    return [None if weight is None else function(weight) for weight in weights]
