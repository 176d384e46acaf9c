"""Turn a network into a program for ``caelab.kernels.simd``, which is faster for narrow layers."""

from collections.abc import Sequence

import torch
from torch import nn

from caelab.kernels import simd
from caelab.kernels.simd import ACTIVATIONS, Affine, Chain, Operation, Shape, SimdProgram
from caelab.networks.modules import (
    ActivationLayer,
    Convolution,
    ParametricLayer,
    TransposedConvolution,
    UpConvolution,
)

MAX_MEAN_WIDTH = 48
"""Mean number of channels up to which ``simd.c`` is faster than PyTorch
(docs/benchmarks/tried.md)."""

_WEIGHTLESS: dict[type[nn.Module], tuple[int, str]] = {
    nn.MaxPool2d: (simd.MAXIMUM, "kernel_size"),
    nn.AvgPool2d: (simd.AVERAGE, "kernel_size"),
    nn.Upsample: (simd.NEAREST, "scale_factor"),
    nn.PixelShuffle: (simd.SHUFFLE, "upscale_factor"),
    nn.PixelUnshuffle: (simd.UNSHUFFLE, "downscale_factor"),
}
"""Module without weights → its kind of operation in ``simd.c``, and the module's attribute that has
the side of the window, or the factor."""


def make_simd_program(
    layers: Sequence[nn.Module],
    shape: Shape,
    *,
    input_affine: Affine | None = None,
    output_affine: Affine | None = None,
) -> SimdProgram | None:
    """Return a program that runs ``layers`` in ``simd.c``; ``None`` if PyTorch must or is faster.

    Args:
        layers: Layers of a network or of a part of it; a bracket counts as one layer. The program
            uses their parameters without a copy.
        shape: Shape (C, H, W) of the images.
        input_affine: Scale and shift of each input channel, applied first, ``(C,)`` each.
        output_affine: Scale and shift of each output channel, applied last, ``(C',)`` each.
    """
    parameters = [each for layer in layers for each in layer.parameters()]
    if any(each.device.type != "cpu" or each.dtype != torch.float32 for each in parameters):
        return None
    chain = chain_of(layers, shape)
    if (
        chain is None
        or chain.mean_width > MAX_MEAN_WIDTH
        # This comes last, because the first access compiles the C code.
        or (library := simd.LIBRARY.loaded) is None
    ):
        return None
    # A layer without weights has neither a weight nor a bias.
    weights = [getattr(layer, name, None) for layer in layers for name in ("weight", "bias")]
    # Only the library knows whether its integers can index tensors of this size.
    try:
        return SimdProgram(
            chain, library, weights, input_affine=input_affine, output_affine=output_affine
        )
    except ValueError:
        return None


def chain_of(layers: Sequence[nn.Module], shape: Shape) -> Chain | None:
    """Return ``layers`` as a chain of operations, for images of ``shape`` (C, H, W).

    Return ``None`` if there are no layers, or if ``simd.c`` cannot compute one of them.
    """
    operations: list[Operation] = []
    shapes = [shape]
    # Each layer computes an image of zeros, so that no formula has to agree with its output shape.
    x = torch.zeros(1, *shape)
    for layer in layers:
        if (operation := _operation(layer)) is None:
            return None
        operations.append(operation)
        with torch.no_grad():
            x = layer(x)
        shapes.append((x.shape[1], x.shape[2], x.shape[3]))
    return Chain(operations=tuple(operations), shapes=tuple(shapes)) if operations else None


def _operation(layer: nn.Module) -> Operation | None:
    activation = ACTIVATIONS.get(getattr(layer, "activation", ""))
    if activation is None:
        return None
    match layer:
        case ParametricLayer(norm=nn.BatchNorm2d()):
            return None
        case Convolution(stride=stride, dilation=dilation, padding=(before, _)):
            side = layer.weight.shape[2]
            return Operation(simd.CONVOLUTION, side, stride, dilation, before, activation)
        case TransposedConvolution(stride=stride, padding=padding):
            side = layer.weight.shape[2]
            return Operation(simd.TRANSPOSED, side, stride, 1, padding, activation)
        case UpConvolution(kernel=side, factor=factor):
            # The layer equals one transposed convolution with a larger kernel, whose elements are
            # sums of the layer's weights: see `UpConvolution`.
            larger_side, padding = side + factor - 1, side // 2
            return Operation(simd.TRANSPOSED, larger_side, factor, 1, padding, activation, side)
        case ActivationLayer(function=function) if type(function) in _WEIGHTLESS:
            kind, name = _WEIGHTLESS[type(function)]
            side = int(getattr(function, name))
            # After pooling or upsampling, `simd.c` applies an activation only to a maximum, to
            # which `build` moves the activation of the layer before it.
            if kind == simd.MAXIMUM:
                known = side <= simd.MAX_WINDOW
            else:
                known = not activation and getattr(function, "mode", "nearest") == "nearest"
            return Operation(kind, side, activation=activation) if known else None
    return None
