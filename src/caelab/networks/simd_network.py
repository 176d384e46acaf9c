"""A network computed by ``caelab.kernels.simd``, which is faster where layers are narrow."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from caelab.kernels import simd
from caelab.kernels.simd import Affine, Chain, Operation, Shape, SimdProgram
from caelab.networks.modules import (
    ActivationLayer,
    Convolution,
    ParametricLayer,
    TransposedConvolution,
    UpConvolution,
)
from caelab.networks.network_module import NetworkModule

MAX_MEAN_WIDTH = 48
"""Mean number of channels up to which this is faster than PyTorch (``benchmarks/NOTES.md``)."""


class SimdNetwork(nn.Module):
    """Computes what a network computes, and its gradient; several threads may call it at once.

    Args:
        network: Its parameters are used, not copied.
        program: Its layers as a program for ``simd.c``.
    """

    def __init__(self, network: nn.Module, program: SimdProgram) -> None:
        super().__init__()
        self.network, self.program = network, program

    def forward(self, x: Tensor) -> Tensor:
        """Images ``float32 (N, C, H, W)`` through the network; x gets no gradient."""
        return self.program(x, self._weights())

    @property
    def keeps_shape(self) -> bool:
        """True if the output has the shape of the input."""
        return self.program.chain.shapes[0] == self.program.chain.shapes[-1]

    def mse_gradient(self, images: Tensor, rows: Tensor) -> tuple[float, tuple[Tensor, ...]]:
        """Return the mean squared error of reconstructed images and its gradient, in one pass.

        The network must keep the images' shape.

        Args:
            images: ``uint8 (M, H·W·C)``, meaning [0, 1].
            rows: Indices of the N images to use, ``int64 (N,)``.

        Returns:
            The error, and its gradient for each of the network's parameters, in their order.
        """
        return self.program.mse_gradient(images, rows, self._weights())

    def _weights(self) -> list[Tensor | None]:
        weights: list[Tensor | None] = []
        for layer in _layers(self.network):
            weights += (
                (layer.weight, layer.bias) if isinstance(layer, ParametricLayer) else (None, None)
            )
        return weights


def make_simd_network(
    network: nn.Module,
    shape: Shape,
    *,
    input_affine: Affine | None = None,
    output_affine: Affine | None = None,
) -> SimdNetwork | None:
    """Return the network as ``simd.c`` computes it; ``None`` where it cannot, or is not faster.

    Args:
        network: A ``NetworkModule`` or one of its parts.
        shape: (C, H, W) of the images.
        input_affine: Scale and shift of each input channel, applied first, ``(C,)`` each.
        output_affine: Scale and shift of each output channel, applied last, ``(C',)`` each.
    """
    if any(
        each.device.type != "cpu" or each.dtype != torch.float32 for each in network.parameters()
    ):
        return None
    chain = chain_of(network, shape)
    if (
        chain is None
        or chain.mean_width > MAX_MEAN_WIDTH
        or (library := simd.LIBRARY.loaded) is None
        or chain.max_taps > library.max_taps()
    ):
        return None
    try:
        program = SimdProgram(
            chain, library, input_affine=input_affine, output_affine=output_affine
        )
    except ValueError:
        return None
    return SimdNetwork(network, program)


def chain_of(network: nn.Module, shape: Shape) -> Chain | None:
    """Return a network or a part of one, for images of this shape, as a chain of operations.

    ``None`` if ``simd.c`` does not know one of its layers.
    """
    operations = [_operation(layer) for layer in _layers(network)]
    known = tuple(operation for operation in operations if operation is not None)
    if not known or len(known) < len(operations):
        return None
    # The layers themselves tell the shapes between them, so no formula has to agree with them.
    x = torch.zeros(1, *shape)
    shapes = [shape]
    with torch.no_grad():
        for layer in _layers(network):
            x = layer(x)
            shapes.append((x.shape[1], x.shape[2], x.shape[3]))
    return Chain(operations=known, shapes=tuple(shapes))


def _layers(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers one after the other; a bracket is one of them."""
    for part in network.children() if isinstance(network, NetworkModule) else [network]:
        yield from part.children()


def _operation(layer: nn.Module) -> Operation | None:
    if isinstance(layer, ParametricLayer):
        # A deferred activation is computed by the maximum pooling that follows, here as in PyTorch.
        activation = "none" if layer.defers else layer.activation
        if layer.norm is not None or activation not in simd.ACTIVATIONS:
            return None
        weighted = partial(Operation, activation=activation)
        match layer:
            case Convolution(stride=stride, dilation=dilation, padding=(before, _)):
                return weighted(
                    kind=simd.CONVOLUTION,
                    kernel=layer.weight.shape[2],
                    stride=stride,
                    dilation=dilation,
                    padding=before,
                )
            case TransposedConvolution(stride=stride, padding=padding):
                return weighted(
                    kind=simd.TRANSPOSED,
                    kernel=layer.weight.shape[2],
                    stride=stride,
                    padding=padding,
                )
            case UpConvolution(kernel=side, factor=factor):
                return weighted(
                    kind=simd.TRANSPOSED,
                    # Upsampling and convolving is one transposed convolution with these taps, each
                    # a sum of the layer's own: see `UpConvolution`.
                    kernel=side + factor - 1,
                    stride=factor,
                    padding=side // 2,
                    side=side,
                )
        return None
    return _weightless(layer) if isinstance(layer, ActivationLayer) else None


def _weightless(layer: ActivationLayer) -> Operation | None:
    activation, operation = layer.activation, None
    match layer.function:
        case nn.MaxPool2d(kernel_size=int(side)) if side <= simd.MAX_WINDOW:
            if activation in simd.ACTIVATIONS:
                return Operation(kind=simd.MAXIMUM, kernel=side, activation=activation)
        case nn.AvgPool2d(kernel_size=int(side)):
            operation = Operation(kind=simd.AVERAGE, kernel=side)
        case nn.Upsample(mode="nearest", scale_factor=float(side)):
            operation = Operation(kind=simd.NEAREST, kernel=int(side))
        case nn.PixelShuffle(upscale_factor=int(side)):
            operation = Operation(kind=simd.SHUFFLE, kernel=side)
        case nn.PixelUnshuffle(downscale_factor=int(side)):
            operation = Operation(kind=simd.UNSHUFFLE, kernel=side)
    return operation if activation == "none" else None
