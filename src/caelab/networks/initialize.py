"""Initial weights, drawn from an explicit generator and from nothing else."""

from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn

from caelab.networks.modules import (
    ACTIVATIONS,
    Dropout,
    GlobalContext,
    ParametricLayer,
    parametric_layers,
)
from caelab.networks.network_module import ResidualBlock

Initialization = Literal["kaiming", "default"]
"""``kaiming``: normal with variance gain² / fan-in (He et al. 2015, arXiv 1502.01852), biases 0; in
a network with L residual brackets, the last weights in each are multiplied by 1/√L (as in GPT-2),
so that their sum keeps its variance. ``default``: as PyTorch's own layers, uniform in ±1/√fan-in,
biases too."""

LAST_DEVIATION = 1 / 3
"""Standard deviation of the network's output after :func:`initialize_lsuv`: small, because the
output does not resemble the image yet."""

MIN_DEVIATION = 1e-4
"""Share of a layer's largest standard deviation below which a channel counts as constant."""


@torch.no_grad()
def initialize(
    module: nn.Module, *, generator: torch.Generator, initialization: Initialization = "kaiming"
) -> None:
    """Draw the weights and biases of every layer in ``module`` in place, in the order of the text.

    A layer's gain is that of the activation after it. Norms keep scale 1 and shift 0. The weights
    of ``context`` begin as 0, so that the layer begins as the identity (as in Wang et al. 2018,
    arXiv 1711.07971).

    Args:
        module: The network.
        generator: A CPU generator.
        initialization: The distribution.
    """
    for layer in parametric_layers(module):
        biases = [] if layer.bias is None else [layer.bias]
        if initialization == "kaiming":
            deviation = ACTIVATIONS[layer.activation].gain / sqrt(layer.fan_in)
            layer.weight.normal_(0, deviation, generator=generator)
            for bias in biases:
                bias.zero_()
        else:
            # As in PyTorch, the fan-in of a transposed convolution is counted over its outputs.
            bound = 1 / sqrt(layer.weight[0].numel())
            for parameter in (layer.weight, *biases):
                parameter.uniform_(-bound, bound, generator=generator)

    if initialization == "kaiming":
        # Each of the L residual blocks adds to the variance: 1/√L each keeps that of their sum.
        for layer, factor in _branch_ends(module).items():
            layer.weight.mul_(factor)
    for block in module.modules():
        if isinstance(block, GlobalContext):
            for parameter in block.parameters():
                parameter.zero_()


@torch.no_grad()
def initialize_lsuv(module: nn.Module, inputs: Tensor) -> None:
    """Rescale the weights in place so that every layer gives mean 0 and variance 1.

    This is layer-sequential unit-variance initialization (Mishkin and Matas 2016, arXiv 1511.06422;
    Krähenbühl et al. 2016, arXiv 1511.06856). The images pass the network once. The output of each
    layer before its activation gives the factor of each channel, which is applied before the next
    layer is computed. So no unit begins dead. Batch normalization has the same effect in small
    networks, but would have to be folded afterwards; layers that have it are not rescaled. The last
    layer of each of L residual blocks gets variance 1/L, and the network's last layer the deviation
    ``LAST_DEVIATION``. Dropout is off; weights that are 0, as in ``context``, stay 0.

    Args:
        module: A built network, its weights already drawn.
        inputs: Inputs of the network, (N, C, H, W); a few hundred images.
    """
    layers = parametric_layers(module)
    # If the network's last layer ends a block, the factor of the block counts.
    factors = {layers[-1]: LAST_DEVIATION, **_branch_ends(module)} if layers else {}

    def rescale(layer: nn.Module, arguments: tuple[Tensor]) -> None:
        assert isinstance(layer, ParametricLayer)
        if layer.norm is None:
            if layer.bias is not None:
                layer.bias.zero_()
            deviation, mean = torch.std_mean(layer.map(arguments[0]), (0, 2, 3), correction=0)
            # A channel that is constant has no scale to divide by.
            varies = deviation > MIN_DEVIATION * deviation.max()
            scale = torch.where(varies, factors.get(layer, 1.0) / deviation, 1.0)
            layer.rescale(scale, -mean * scale)

    # Hooks run in the order of the computation, so that a layer's input comes from layers that are
    # already rescaled.
    hooks = [layer.register_forward_pre_hook(rescale) for layer in layers]
    active = [part for part in module.modules() if isinstance(part, Dropout) and part.training]
    for part in active:
        part.eval()
    module(inputs)
    for part in active:
        part.train()
    for hook in hooks:
        hook.remove()


def _branch_ends(module: nn.Module) -> dict[ParametricLayer, float]:
    """Return the last layers with weights of the L residual brackets, and 1/√L for each."""
    blocks = [block for block in module.modules() if isinstance(block, ResidualBlock)]
    return {
        layers[-1]: 1 / sqrt(len(blocks))
        for block in blocks
        if (layers := parametric_layers(block))
    }
