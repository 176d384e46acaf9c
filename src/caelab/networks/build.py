"""Tree → a ``torch.nn.Module`` that computes exactly what the text says.

Exact rewrites are made here and never change the text: ``up conv`` becomes one convolution at low
resolution (``LayerKind.absorb``); a ReLU before a max pooling moves after it, where only a quarter
of the numbers remain; and batch normalization that is used for training is folded into the weights
afterwards (``fold_batchnorm``).
"""

import copy
from itertools import pairwise, zip_longest

import torch
from torch import nn

from caelab.errors import InputError
from caelab.networks.ast import Item, Network, Residual, Skip, spell_out, unroll
from caelab.networks.describe import describe
from caelab.networks.initialize import Initialization, initialize
from caelab.networks.layers.base import LayerKind, Shape, format_shape
from caelab.networks.modules import ActivationLayer, ParametricLayer, parametric_layers
from caelab.networks.network_module import NetworkModule, ResidualBlock, Sequence, SkipBlock


def build(
    network: Network,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 32,
    generator: torch.Generator,
    batchnorm: bool = False,
    initialization: Initialization = "kaiming",
) -> NetworkModule:
    """Build ``network`` on the CPU in float32, with weights drawn from ``generator``.

    >>> from caelab.networks import parse
    >>> module = build(parse("reference"), generator=torch.Generator().manual_seed(0))
    >>> module(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 3, 32, 32])

    Args:
        network: The network's tree, as ``parse`` returns it.
        channels: Channels C of the images.
        size: Their size in pixels, or (height, width). A network without ``dense`` takes other
            sizes too.
        generator: A CPU generator; the same state gives the same weights.
        batchnorm: Put batch normalization before every activation but the last layer's, for
            ``fold_batchnorm``.
        initialization: Distribution of the initial weights.

    Raises:
        NetworkError: A shape does not fit.
        InputError: A plug-in's layer does not have the shape or the weights that it states.
    """
    # Describing first refuses what does not fit, before any memory is taken.
    image = describe(network, channels=channels, size=size).input
    # Layers of plug-ins may draw their first weights as torch does, from its global generator.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator.initial_seed())
        plan = spell_out(network)
        parts: dict[str, Sequence] = {}
        for name, items in (
            zip(("encoder", "decoder"), plan.halves, strict=True)
            if plan.halves
            else [("layers", plan.items)]
        ):
            parts[name] = Sequence()
            image = _fill(parts[name], items, image)
    # The module prints and saves the given tree, not the rewritten one.
    module = NetworkModule(network, parts)
    if batchnorm:
        # The last layer's output is the image, whose mean and variance must stay.
        for layer in parametric_layers(module)[:-1]:
            if layer.activation != "none":
                layer.add_norm()
    initialize(module, generator=generator, initialization=initialization)
    _pool_before_rectifying(module)
    return module


def fold_batchnorm(module: NetworkModule) -> NetworkModule:
    """Copy ``module`` and fold the batch normalization of ``build(batchnorm=True)`` into weights.

    The copy is the plain network of the text, with the state dict's keys of
    ``build(batchnorm=False)``, and computes what ``module`` computes in ``eval`` mode, to rounding.
    A ``batchnorm`` written in the text stays.
    """
    folded = copy.deepcopy(module)
    for layer in parametric_layers(folded):
        layer.fold_norm()
    return folded


def _fill(sequence: Sequence, items: tuple[Item, ...], shape: Shape) -> Shape:
    """Append the modules of ``items``, named by their positions; return the shape after them."""
    written_out = list(unroll(items))
    merged: LayerKind | None = None
    for index, (item, following) in enumerate(zip_longest(written_out, written_out[1:])):
        layer, merged = merged or item, None
        if isinstance(layer, LayerKind) and isinstance(following, LayerKind):
            merged = following.absorb(layer)
        # Two layers that become one have the position of the second, which has the weights.
        if merged is not None:
            continue
        match layer:
            case LayerKind():
                sequence.add_module(str(index), _module(layer, shape))
                shape = layer.shape(shape)
            case Residual() | Skip():
                block = ResidualBlock() if isinstance(layer, Residual) else SkipBlock()
                inner = _fill(block, layer.items, shape)
                # A residual keeps the shape, as `describe` has made sure.
                if isinstance(layer, Skip):
                    shape = (shape[0] + inner[0], *shape[1:])
                sequence.add_module(str(index), block)
    return shape


def _module(layer: LayerKind, shape: Shape) -> nn.Module:
    """Return the module of a layer with its activation."""
    module = layer.module(shape)
    # Tests check the built-in layers; a plug-in's layer is tried here.
    if not type(layer).__module__.startswith("caelab."):
        _require_honest(layer, module, shape)
    # A layer with weights applies its activation itself, after the norm that it may get.
    active = module if isinstance(module, ParametricLayer) else ActivationLayer(module)
    active.activation = layer.activation or "none"
    return active


@torch.no_grad()
def _require_honest(layer: LayerKind, module: nn.Module, shape: Shape) -> None:
    """Raise unless the module of a user's layer has the shape and the weights that it says.

    Raises:
        InputError: It has others, or fails.
    """
    where = f"the layer {layer.name} ({type(layer).__module__}.{type(layer).__qualname__})"
    try:
        # In evaluation mode: a single image of zeros must not enter a normalization's statistics.
        found = tuple(module.eval()(torch.zeros(1, *shape)).shape)
    except Exception as error:
        raise InputError(
            f"{where} fails on an input of {format_shape(shape)}: {type(error).__name__}: {error}."
            " Mend its `module`."
        ) from error
    module.train()
    weights = sum(parameter.numel() for parameter in module.parameters())
    for fact, actual, promised in (
        ("shape", found, (1, *layer.shape(shape))),
        ("weights", weights, layer.weights(shape)),
    ):
        if actual != promised:
            raise InputError(
                f"{where} has {fact} {actual} where its `{fact}` says {promised}, for an input of"
                f" {format_shape(shape)}. Mend its `{fact}` or its `module`."
            )


def _pool_before_rectifying(network: NetworkModule) -> None:
    """Move rectifiers after max poolings, as the maximum and a rising function commute."""
    for sequence in network.modules():
        if isinstance(sequence, Sequence):
            for layer, pool in pairwise(sequence):
                if (
                    isinstance(layer, ParametricLayer)
                    and layer.activation in ("relu", "leaky")
                    and isinstance(pool, ActivationLayer)
                    and isinstance(pool.function, nn.MaxPool2d)
                    and pool.activation == "none"
                ):
                    layer.activation, pool.activation = "none", layer.activation
