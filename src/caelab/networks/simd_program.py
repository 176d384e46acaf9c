"""A built network → the tensors and operations that ``simd.c`` walks through."""

import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from caelab.networks.modules import (
    ActivationLayer,
    Convolution,
    ParametricLayer,
    TransposedConvolution,
    UpConvolution,
)

ALIGNMENT = 16
"""Floats by which places in memory are aligned: a vector of the widest kind."""

ACTIVATIONS = {"none": 0, "relu": 1, "leaky": 2}
CONVOLUTION, TRANSPOSED, MAXIMUM, AVERAGE, NEAREST, SHUFFLE, UNSHUFFLE = range(7)
"""The kinds of operations, numbered as in ``simd.c``."""

WIDEST_MAXIMUM = 7
"""Side of the largest maximum pooling: the place of the maximum is kept in a byte, with a flag."""

LARGEST_TENSOR = 2**31
"""Floats of a group's tensor, within which places are counted by 32 bits."""

Affine = tuple[Tensor, Tensor]
"""Scale and shift by channel, each ``(C,)``."""


class CTensor(ctypes.Structure):
    """``Tensor`` of ``simd.c``."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("channels", "height", "width", "border", "kept")),
        *((name, ctypes.c_int64) for name in ("value", "gradient")),
    )


class COperation(ctypes.Structure):
    """``Operation`` of ``simd.c``."""

    _fields_ = (
        *(
            (name, ctypes.c_int32)
            for name in ("kind", "kernel", "stride", "dilation", "padding", "activation", "side")
        ),
        *(
            (name, ctypes.c_int64)
            for name in ("summed", "places", "forward", "back", "sums", "bias_sums")
        ),
    )


class CProgram(ctypes.Structure):
    """``Program`` of ``simd.c``."""

    _fields_ = (
        ("count", ctypes.c_int32),
        ("tape", ctypes.c_int64),
        ("tensors", ctypes.c_void_p),
        ("operations", ctypes.c_void_p),
        *(
            (name, ctypes.c_void_p)
            for name in ("input_scale", "input_shift", "output_scale", "output_shift")
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A layer, as ``simd.c`` knows it.

    Attributes:
        kind: Which of the constants above.
        layer: The layer with the weights, or ``None``.
        kernel: Side of the kernel, of the pool, or of the square that is shuffled.
        side: Of the layer's own kernel, where its taps are added up to those of a transposed
            convolution; else 0.
    """

    kind: int
    kernel: int
    layer: ParametricLayer | None = None
    stride: int = 1
    dilation: int = 1
    padding: int = 0
    activation: str = "none"
    side: int = 0


@dataclass
class _Memory:
    """Places are given out one after the other."""

    size: int = 0

    def take(self, floats: int) -> int:
        place = self.size
        self.size += -(-floats // ALIGNMENT) * ALIGNMENT
        return place


Shape = tuple[int, int, int]
"""(C, H, W)."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A network whose layers are operations, one after the other.

    Attributes:
        operations: The layers.
        shapes: Of the tensors between them, from the network's input to its answer: one more.
    """

    operations: tuple[Operation, ...]
    shapes: tuple[Shape, ...]

    def steps(self) -> Iterator[tuple[Operation, Shape, Shape]]:
        """Yield each operation with the shape before it and the shape behind it."""
        return zip(self.operations, self.shapes, self.shapes[1:], strict=False)

    @property
    def mean_width(self) -> float:
        """The channels of the layers with weights, the geometric mean of a layer's two sides.

        Each layer counts as its multiplications do.
        """
        total = weighted = 0.0
        for operation, source, result in self.steps():
            if operation.layer is not None:
                small = source if operation.kind == TRANSPOSED else result
                products = operation.kernel**2 * source[0] * result[0] * small[1] * small[2]
                total += products
                weighted += products * math.sqrt(source[0] * result[0])
        return weighted / total if total else 0.0

    @property
    def most_taps(self) -> int:
        """How many products are added up at most into one number, there or back."""
        return max(
            operation.kernel**2 * max(source[0], result[0]) if operation.layer is not None else 0
            for operation, source, result in self.steps()
        )


def chain_of(network: nn.Module, shape: Shape) -> Chain | None:
    """Return a network or a half of one, given images of this shape, as a chain.

    ``None`` if a layer is of no kind that there is.
    """
    operations = []
    for layer in _layers(network):
        if (operation := _operation(layer)) is None:
            return None
        operations.append(operation)
    if not operations:
        return None
    x = torch.zeros(1, *shape)
    shapes = [shape]
    with torch.no_grad():
        for layer in _layers(network):
            x = layer(x)
            shapes.append((x.shape[1], x.shape[2], x.shape[3]))
    return Chain(operations=tuple(operations), shapes=tuple(shapes))


def _layers(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers one after the other; a bracket is one of them."""
    for half in [network] if isinstance(network, nn.Sequential) else network.children():
        yield from half.children()


def _operation(layer: nn.Module) -> Operation | None:
    if isinstance(layer, ParametricLayer):
        activation = "none" if layer.defers else layer.activation
        if layer.norm is not None or activation not in ACTIVATIONS:
            return None
        weighted = partial(Operation, layer=layer, activation=activation)
        match layer:
            case Convolution(stride=stride, dilation=dilation, padding=(before, _)):
                kernel = layer.weight.shape[2]
                return weighted(
                    kind=CONVOLUTION,
                    kernel=kernel,
                    stride=stride,
                    dilation=dilation,
                    padding=before,
                )
            case TransposedConvolution(stride=stride, padding=padding):
                return weighted(
                    kind=TRANSPOSED, kernel=layer.weight.shape[2], stride=stride, padding=padding
                )
            case UpConvolution(kernel=side, factor=factor):
                kernel, padding = side + factor - 1, side // 2
                return weighted(
                    kind=TRANSPOSED, kernel=kernel, stride=factor, padding=padding, side=side
                )
        return None
    return _weightless(layer) if isinstance(layer, ActivationLayer) else None


def _weightless(layer: ActivationLayer) -> Operation | None:
    if layer.activation != "none" and not isinstance(layer.function, nn.MaxPool2d):
        return None
    match layer.function:
        case nn.MaxPool2d(kernel_size=int(side)) if (
            side <= WIDEST_MAXIMUM and layer.activation in ACTIVATIONS
        ):
            return Operation(kind=MAXIMUM, kernel=side, activation=layer.activation)
        case nn.AvgPool2d(kernel_size=int(side)):
            return Operation(kind=AVERAGE, kernel=side)
        case nn.Upsample(mode="nearest", scale_factor=float(side)):
            return Operation(kind=NEAREST, kernel=int(side))
        case nn.PixelShuffle(upscale_factor=int(side)):
            return Operation(kind=SHUFFLE, kernel=side)
        case nn.PixelUnshuffle(downscale_factor=int(side)):
            return Operation(kind=UNSHUFFLE, kernel=side)
    return None


@dataclass(frozen=True, kw_only=True)
class Program:
    """What ``simd.c`` is given.

    Attributes:
        chain: The network.
        scratch: Floats that are worked in.
        structure: The same for C.
        owned: What the structure points to.
    """

    chain: Chain
    scratch: int
    structure: CProgram = field(repr=False)
    owned: tuple[object, ...] = field(repr=False)

    @property
    def tape(self) -> int:
        """Floats that a group of images leaves for the way back."""
        return int(self.structure.tape)

    @property
    def address(self) -> int:
        """Where the C structure is."""
        return ctypes.addressof(self.structure)


def make_program(
    chain: Chain,
    *,
    lanes: int,
    input_affine: Affine | None = None,
    output_affine: Affine | None = None,
) -> Program | None:
    """Lay everything out in memory, for vectors of ``lanes`` numbers; ``None`` if a tensor is too
    large.

    Args:
        chain: The network.
        lanes: Numbers in a vector.
        input_affine: By what each channel that the network is given is multiplied first, and what is added
            to it, ``(C,)``.
        output_affine: The same for what the network answers, last.
    """
    tape, scratch = _Memory(), _Memory()
    operations, shapes = chain.operations, chain.shapes
    tensors = (CTensor * len(shapes))()
    for place, ((channels, height, width), border) in enumerate(
        zip(shapes, _borders(chain), strict=True)
    ):
        before = operations[place - 1] if place else None
        behind = operations[place] if place < len(operations) else None
        # What a layer with weights was given, and what an activation gave, is needed on the way
        # back.
        kept = (behind is not None and behind.layer is not None) or (
            before is not None and before.layer is not None and before.activation != "none"
        )
        size = channels * (height + 2 * border) * (width + 2 * border) * lanes
        if size >= LARGEST_TENSOR:
            return None
        value = (tape if kept else scratch).take(size)
        tensors[place] = CTensor(channels, height, width, border, kept, value, scratch.take(size))
    coded = (COperation * len(operations))()
    for place, (operation, source, result) in enumerate(chain.steps()):
        maxima = (
            tape.take(result[0] * result[1] * result[2] * lanes // 4)
            if operation.kind == MAXIMUM
            else 0
        )
        weights = operation.kernel**2 * source[0] * result[0] if operation.layer is not None else 0
        coded[place] = COperation(
            operation.kind,
            operation.kernel,
            operation.stride,
            operation.dilation,
            operation.padding,
            ACTIVATIONS[operation.activation],
            operation.side,
            scratch.take(weights if operation.side else 0),
            maxima,
            scratch.take(weights),
            scratch.take(weights),
            scratch.take(weights * lanes),
            scratch.take(result[0] * lanes if weights else 0),
        )
    affine = [*_floats(input_affine, shapes[0][0]), *_floats(output_affine, shapes[-1][0])]
    structure = CProgram(
        len(operations),
        tape.size,
        ctypes.addressof(tensors),
        ctypes.addressof(coded),
        *(ctypes.addressof(floats) for floats in affine),
    )
    return Program(
        chain=chain, scratch=scratch.size, structure=structure, owned=(tensors, coded, *affine)
    )


def _floats(affine: Affine | None, channels: int) -> list[ctypes.Array[ctypes.c_float]]:
    """Return scale and shift for C; 1 and 0 where there are none."""
    scale, shift = affine or (torch.ones(channels), torch.zeros(channels))
    return [(ctypes.c_float * channels)(*each.tolist()) for each in (scale, shift)]


def _borders(chain: Chain) -> list[int]:
    """Return how many zeros each tensor needs around it, for reading and for its gradient's being
    read.
    """
    shapes = chain.shapes
    borders = [0] * len(shapes)
    for place, operation in enumerate(chain.operations):
        if operation.layer is None:
            continue
        big, small = (place + 1, place) if operation.kind == TRANSPOSED else (place, place + 1)
        for axis in (1, 2):
            for tensor, first, last in _reach(operation, shapes[big][axis], shapes[small][axis]):
                reader = big if tensor == "big" else small
                borders[reader] = max(borders[reader], -first, last - (shapes[reader][axis] - 1))
    return borders


def _reach(operation: Operation, big: int, small: int) -> Iterator[tuple[str, int, int]]:
    """Yield the first and the last position that is read along one axis of the big and of the small
    tensor.
    """
    taps = [tap * operation.dilation - operation.padding for tap in range(operation.kernel)]
    yield "big", taps[0], (small - 1) * operation.stride + taps[-1]
    for phase in range(operation.stride):
        rows = -(-(big - phase) // operation.stride)
        for tap in taps:
            if (phase - tap) % operation.stride == 0:
                start = (phase - tap) // operation.stride
                yield "small", start, start + rows - 1
