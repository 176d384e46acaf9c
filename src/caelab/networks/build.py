"""Build a ``torch.nn.Module`` from a network's tree.

The module computes what the text says, in three cases in an equal but faster way:

- ``up conv`` is computed as one layer, usually at low resolution (``LayerKind.absorb``).
- A ReLU before a max pooling is applied after it, where fewer numbers are left.
- Batch normalization that was added for training is folded into the weights afterwards
  (``fold_batchnorm``).
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
        channels: Number of channels C of the images.
        size: Side of the images in pixels, or (height, width). A network without ``dense`` takes
            other sizes too.
        generator: A CPU generator; the same state gives the same weights.
        batchnorm: Put batch normalization between each layer with weights and its activation,
            except in the last layer. ``fold_batchnorm`` removes it after training.
        initialization: Distribution of the initial weights.

    Raises:
        NetworkError: A layer does not fit its input.
        InputError: The module of a plug-in's layer fails, or its shape or number of weights is not
            what the layer states.
    """
    # `describe` refuses layers that do not fit, before any memory is allocated.
    image = describe(network, channels=channels, size=size).input
    # A plug-in's layer may draw its initial weights from PyTorch's global generator, which is
    # seeded here, so that these weights follow from `generator`, too.
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
    # The module keeps the tree as it was written, to print and save it, and not `plan`.
    module = NetworkModule(network, parts)
    if batchnorm:
        # The last layer's output is the image, whose mean and variance must not change.
        for layer in parametric_layers(module)[:-1]:
            if layer.activation != "none":
                layer.add_norm()
    initialize(module, generator=generator, initialization=initialization)
    _pool_before_rectifying(module)
    return module


def fold_batchnorm(module: NetworkModule) -> NetworkModule:
    """Return a copy of ``module`` with the batch normalization of ``build`` folded into weights.

    The copy is the network that ``build(batchnorm=False)`` makes, with the same keys in its state
    dict. Up to rounding, it computes what ``module`` computes in ``eval`` mode. A ``batchnorm``
    layer that the text names stays.
    """
    folded = copy.deepcopy(module)
    for layer in parametric_layers(folded):
        layer.fold_norm()
    return folded


def _fill(sequence: Sequence, items: tuple[Item, ...], shape: Shape) -> Shape:
    """Append the modules of ``items`` to ``sequence``, and return the shape of their output.

    The name of a module is the position of its item, counted from 0 with repetitions written out.
    """
    written_out = list(unroll(items))
    merged: LayerKind | None = None
    for index, (item, following) in enumerate(zip_longest(written_out, written_out[1:])):
        layer, merged = merged or item, None
        if isinstance(layer, LayerKind) and isinstance(following, LayerKind):
            merged = following.absorb(layer)
        # Two layers that become one get the position of the second, which has the weights.
        if merged is not None:
            continue
        match layer:
            case LayerKind():
                sequence.add_module(str(index), _module(layer, shape))
                shape = layer.shape(shape)
            case Residual() | Skip():
                block = ResidualBlock() if isinstance(layer, Residual) else SkipBlock()
                inner = _fill(block, layer.items, shape)
                # A residual block keeps the shape: `describe` has checked that.
                if isinstance(layer, Skip):
                    shape = (shape[0] + inner[0], *shape[1:])
                sequence.add_module(str(index), block)
    return shape


def _module(layer: LayerKind, shape: Shape) -> nn.Module:
    """Return the module of a layer with its activation."""
    module = layer.module(shape)
    # Tests check the built-in layers, so only a plug-in's layer is checked here.
    if not type(layer).__module__.startswith("caelab."):
        _require_stated_facts(layer, module, shape)
    # A parametric layer applies its activation itself, after the batch normalization that `build`
    # may add.
    active = module if isinstance(module, ParametricLayer) else ActivationLayer(module)
    active.activation = layer.activation or "none"
    return active


@torch.no_grad()
def _require_stated_facts(layer: LayerKind, module: nn.Module, shape: Shape) -> None:
    """Raise unless ``module`` has the output shape and number of weights that ``layer`` states.

    Raises:
        InputError: The shape or the number differs, or the module fails.
    """
    where = f"the layer {layer.name} ({type(layer).__module__}.{type(layer).__qualname__})"
    try:
        # In evaluation mode, the image of zeros does not change the statistics of normalizations.
        found = tuple(module.eval()(torch.zeros(1, *shape)).shape)
    except Exception as error:
        raise InputError(
            f"{where} fails on an input of {format_shape(shape)}: {type(error).__name__}: {error}."
            " Correct its method `module`."
        ) from error
    module.train()
    weights = sum(parameter.numel() for parameter in module.parameters())
    for fact, actual, promised in (
        ("shape", found, (1, *layer.shape(shape))),
        ("weights", weights, layer.weights(shape)),
    ):
        if actual != promised:
            raise InputError(
                f"{where} has a module with {fact} {actual}, and its method `{fact}` returns"
                f" {promised}, for an input of {format_shape(shape)}. Correct its method `{fact}`"
                " or `module`."
            )


def _pool_before_rectifying(network: NetworkModule) -> None:
    """Apply a ReLU or leaky ReLU that stands before a max pooling after the pooling.

    The result is the same, because both functions increase: the function of the largest number is
    the largest value of the function.
    """
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
