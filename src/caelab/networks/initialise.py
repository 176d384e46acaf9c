"""The weights a network begins with, drawn from an explicit generator and from nothing else."""

from math import sqrt
from typing import Literal

import torch
from torch import nn

from caelab.networks.layers import ACTIVATIONS, ResidualBlock, Weighted

Initialisation = Literal["kaiming", "default"]
"""``kaiming``: normal with variance gain² / fan-in (He et al. 2015), biases 0; in a network with L residual
brackets, the last weights within each are multiplied by 1/√L (as in GPT-2), so that their sum keeps its variance.
``default``: what torch's own layers begin with, uniform in ±1/√fan-in, biases too."""


@torch.no_grad()
def initialise(module: nn.Module, *, generator: torch.Generator, initialisation: Initialisation = "kaiming") -> None:
    """Fill the weights and biases of every layer in ``module`` in place, in the order of the text.

    A layer's gain is that of the activation behind it. Norms are left as they begin: scale 1, shift 0.
    """
    for layer in weighted_layers(module):
        if initialisation == "kaiming":
            layer.weight.normal_(0, ACTIVATIONS[layer.activation].gain / sqrt(layer.fan_in), generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
        else:
            # Torch counts a transposed convolution's fan-in over its outputs; this is kept as it is.
            bound = 1 / sqrt(layer.weight[0].numel())
            layer.weight.uniform_(-bound, bound, generator=generator)
            if layer.bias is not None:
                layer.bias.uniform_(-bound, bound, generator=generator)

    if initialisation == "kaiming":
        blocks = [block for block in module.modules() if isinstance(block, ResidualBlock)]
        lasts = {layers[-1] for block in blocks if (layers := weighted_layers(block))}
        for layer in lasts:
            layer.weight.mul_(1 / sqrt(len(blocks)))


def weighted_layers(module: nn.Module) -> list[Weighted]:
    """The layers with weights inside ``module``, in the order of the text."""
    return [layer for layer in module.modules() if isinstance(layer, Weighted)]
