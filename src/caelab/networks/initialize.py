"""The weights a network begins with, drawn from an explicit generator and from nothing else."""

from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn

from caelab.networks.modules import ACTIVATIONS, Dropout, GlobalContext, ParametricLayer
from caelab.networks.network_module import ResidualBlock

Initialisation = Literal["kaiming", "default"]
"""``kaiming``: normal with variance gain² / fan-in (He et al. 2015), biases 0; in a network with L
residual brackets, the last weights within each are multiplied by 1/√L (as in GPT-2), so that their
sum keeps its variance. ``default``: what torch's own layers begin with, uniform in ±1/√fan-in,
biases too."""


@torch.no_grad()
def initialise(
    module: nn.Module, *, generator: torch.Generator, initialisation: Initialisation = "kaiming"
) -> None:
    """Fill the weights and biases of every layer in ``module`` in place, in the order of the text.

    A layer's gain is that of the activation behind it. Norms are left as they begin: scale 1, shift
    0. What ``context`` adds begins as 0, so that the layer begins as the identity (as in Wang et
    al. 2018, arXiv 1711.07971).
    """
    for layer in weighted_layers(module):
        if initialisation == "kaiming":
            layer.weight.normal_(
                0, ACTIVATIONS[layer.activation].gain / sqrt(layer.fan_in), generator=generator
            )
            if layer.bias is not None:
                layer.bias.zero_()
        else:
            # Torch counts a transposed convolution's fan-in over its outputs; this is kept as it
            # is.
            bound = 1 / sqrt(layer.weight[0].numel())
            layer.weight.uniform_(-bound, bound, generator=generator)
            if layer.bias is not None:
                layer.bias.uniform_(-bound, bound, generator=generator)

    if initialisation == "kaiming":
        for layer, factor in _branch_ends(module).items():
            layer.weight.mul_(factor)
    for block in module.modules():
        if isinstance(block, GlobalContext):
            for parameter in block.parameters():
                parameter.zero_()


@torch.no_grad()
def standardise(module: nn.Module, inputs: Tensor) -> None:
    """Rescale the weights in place so that images meet every layer at its best: mean 0, variance 1
    before activations.

    The images go through once; each layer is rescaled by what it is about to answer, channel by
    channel, before the next one sees it (Mishkin and Matas 2016, arXiv 1511.06422; Krähenbühl et
    al. 2016, arXiv 1511.06856). No unit begins dead, which is what batch normalisation is good for
    in small networks, and nothing is left to be folded. Layers with batch normalisation are left
    alone. The last weights within residual brackets answer with variance 1/L, and the network's
    last with variance 1/9: an answer that is not yet anything like the image should be small.
    Dropout is off meanwhile; weights that are 0, such as those of ``context``, stay 0.

    Args:
        module: A built network, its weights already drawn.
        inputs: What the network is given, (N, C, H, W); some hundred images.
    """
    layers = weighted_layers(module)
    factors = {layers[-1]: 1 / 3, **_branch_ends(module)} if layers else {}

    def rescale(layer: nn.Module, arguments: tuple[Tensor]) -> None:
        assert isinstance(layer, ParametricLayer)
        if layer.norm is None:
            if layer.bias is not None:
                layer.bias.zero_()
            deviation, mean = torch.std_mean(layer.map(arguments[0]), (0, 2, 3), correction=0)
            varies = (
                deviation > 1e-4 * deviation.max()
            )  # a channel that never changes has no scale to speak of
            scale = torch.where(varies, factors.get(layer, 1.0) / deviation, 1.0)
            layer.rescale(scale, -mean * scale)

    hooks = [layer.register_forward_pre_hook(rescale) for layer in layers]
    active = [part for part in module.modules() if isinstance(part, Dropout) and part.training]
    for part in active:
        part.eval()
    try:
        module(inputs)
    finally:
        for part in active:
            part.train()
        for hook in hooks:
            hook.remove()


def _branch_ends(module: nn.Module) -> dict[ParametricLayer, float]:
    """Return the last layers with weights of the L residual brackets, and 1/√L for each."""
    blocks = [block for block in module.modules() if isinstance(block, ResidualBlock)]
    return {
        layers[-1]: 1 / sqrt(len(blocks)) for block in blocks if (layers := weighted_layers(block))
    }


def weighted_layers(module: nn.Module) -> list[ParametricLayer]:
    """The layers with weights inside ``module``, in the order of the text."""
    return [layer for layer in module.modules() if isinstance(layer, ParametricLayer)]
