"""A network as a program for ``caelab.kernels.simd``, which is faster where layers are narrow."""

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
"""The modules without weights that ``simd.c`` knows: kind of operation, name of its side."""


def make_simd_program(
    layers: Sequence[nn.Module],
    shape: Shape,
    *,
    input_affine: Affine | None = None,
    output_affine: Affine | None = None,
) -> SimdProgram | None:
    """Return layers as a program of ``simd.c``; ``None`` if it cannot or does not run them faster.

    Args:
        layers: Layers of a network or of a part of it; a bracket counts as one layer. Their
            parameters are used, not copied.
        shape: (C, H, W) of the images.
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
        # Asked last, because the first access compiles the C code.
        or (library := simd.LIBRARY.loaded) is None
    ):
        return None
    # A layer without weights has neither a weight nor a bias.
    weights = [getattr(layer, name, None) for layer in layers for name in ("weight", "bias")]
    # Only the library knows whether its integers can count so many positions.
    try:
        return SimdProgram(
            chain, library, weights, input_affine=input_affine, output_affine=output_affine
        )
    except ValueError:
        return None


def chain_of(layers: Sequence[nn.Module], shape: Shape) -> Chain | None:
    """Return layers, for images of this shape, as a chain of operations.

    ``None`` if there are none, or ``simd.c`` does not know one of them.
    """
    operations: list[Operation] = []
    shapes = [shape]
    # One image of zeros is cheap, and only shapes are needed.
    x = torch.zeros(1, *shape)
    for layer in layers:
        if (operation := _operation(layer)) is None:
            return None
        operations.append(operation)
        # The shapes come from running the layers, so that no formula has to agree with them.
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
            # Upsampling and convolving is one transposed convolution with a larger kernel, whose
            # elements are sums of the layer's own: see `UpConvolution`.
            taps, padding = side + factor - 1, side // 2
            return Operation(simd.TRANSPOSED, taps, factor, 1, padding, activation, side)
        case ActivationLayer(function=function) if type(function) in _WEIGHTLESS:
            kind, name = _WEIGHTLESS[type(function)]
            side = int(getattr(function, name))
            # C rectifies only after a maximum, where `build` moves the activation of the layer
            # before.
            if kind == simd.MAXIMUM:
                known = side <= simd.MAX_WINDOW
            else:
                known = not activation and getattr(function, "mode", "nearest") == "nearest"
            return Operation(kind, side, activation=activation) if known else None
    return None
