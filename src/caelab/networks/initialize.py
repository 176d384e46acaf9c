"""Draw the initial weights of a network, from an explicit generator only, and rescale them."""

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
"""Distributions of initial weights.

``kaiming``: normal with variance gain² / fan-in (He et al. 2015, arXiv 1502.01852), and biases 0.
In a network with L residual blocks, the last weights in each block are multiplied by 1/√L (as in
GPT-2), so that all blocks together add as much variance as one block would add alone. ``default``:
weights and biases uniform in ±1/√fan-in, as in PyTorch's own layers.
"""

LAST_DEVIATION = 1 / 3
"""Standard deviation of the network's output after :func:`initialize_lsuv`. It is below 1, because
the output does not resemble the image yet, and a larger output would only add to the error."""

MIN_DEVIATION = 1e-4
"""A channel counts as constant if its standard deviation is below this fraction of the largest one
in its layer."""


@torch.no_grad()
def initialize(
    module: nn.Module, *, generator: torch.Generator, initialization: Initialization = "kaiming"
) -> None:
    """Draw the weights and biases of all layers in place, in the order of the network's text.

    The gain of a layer depends on the activation after the layer. Norms keep scale 1 and shift 0.
    The layer ``context`` (:class:`GlobalContext`) adds a linear map of the global mean. Its weights
    are set to 0, so that the layer begins as the identity (as in Wang et al. 2018, arXiv
    1711.07971).

    Args:
        module: The network.
        generator: A CPU generator, from which all numbers are drawn.
        initialization: Name of the distribution (see :data:`Initialization`).
    """
    for layer in parametric_layers(module):
        biases = [] if layer.bias is None else [layer.bias]
        if initialization == "kaiming":
            deviation = ACTIVATIONS[layer.activation].gain / sqrt(layer.fan_in)
            layer.weight.normal_(0, deviation, generator=generator)
            for bias in biases:
                bias.zero_()
        else:
            # As in PyTorch, the fan-in of a transposed convolution counts its output channels.
            bound = 1 / sqrt(layer.weight[0].numel())
            for parameter in (layer.weight, *biases):
                parameter.uniform_(-bound, bound, generator=generator)

    if initialization == "kaiming":
        # The variances of L residual blocks add up. The factor 1/√L in each block makes their sum
        # equal to the variance of one block.
        for layer, factor in _branch_ends(module).items():
            layer.weight.mul_(factor)
    for block in module.modules():
        if isinstance(block, GlobalContext):
            for parameter in block.parameters():
                parameter.zero_()


@torch.no_grad()
def initialize_lsuv(module: nn.Module, inputs: Tensor) -> None:
    """Rescale the weights in place so that each channel of a layer has mean 0 and variance 1.

    This is layer-sequential unit-variance initialization (Mishkin and Matas 2016, arXiv 1511.06422;
    Krähenbühl et al. 2016, arXiv 1511.06856). The images pass through the network once. Mean and
    variance of a layer's channels are measured before its activation, and its weights and biases
    are changed before the next layer is computed. This way no channel begins with an activation
    that is 0 for all images. The last layer of each of L residual blocks gets variance 1/L, and the
    network's last layer gets the standard deviation ``LAST_DEVIATION``. Layers with batch
    normalization are not rescaled. The layer ``context``, whose weights are all 0, stays the
    identity. Dropout is off during the pass.

    Args:
        module: A network whose weights :func:`initialize` has drawn.
        inputs: A few hundred inputs of the network, (N, C, H, W).
    """
    layers = parametric_layers(module)
    # If the network's last layer ends a residual block, it gets the factor of the block.
    factors = {layers[-1]: LAST_DEVIATION, **_branch_ends(module)} if layers else {}

    def rescale(layer: nn.Module, arguments: tuple[Tensor]) -> None:
        assert isinstance(layer, ParametricLayer)
        if layer.norm is None:
            if layer.bias is not None:
                layer.bias.zero_()
            deviation, mean = torch.std_mean(layer.map(arguments[0]), (0, 2, 3), correction=0)
            # A constant channel has no deviation to divide by, so its scale stays 1.
            varies = deviation > MIN_DEVIATION * deviation.max()
            scale = torch.where(varies, factors.get(layer, 1.0) / deviation, 1.0)
            layer.rescale(scale, -mean * scale)

    # Hooks run in the order of the computation, so that a layer's input comes from layers that are
    # already rescaled.
    hooks = [layer.register_forward_pre_hook(rescale) for layer in layers]
    dropouts = [part for part in module.modules() if isinstance(part, Dropout) and part.training]
    for dropout in dropouts:
        dropout.eval()
    module(inputs)
    for dropout in dropouts:
        dropout.train()
    for hook in hooks:
        hook.remove()


def _branch_ends(module: nn.Module) -> dict[ParametricLayer, float]:
    """Map the last layer with weights in each of L residual blocks to the factor 1/√L."""
    blocks = [block for block in module.modules() if isinstance(block, ResidualBlock)]
    return {
        layers[-1]: 1 / sqrt(len(blocks))
        for block in blocks
        if (layers := parametric_layers(block))
    }
