"""A network's text → a ``torch.nn.Module`` that computes exactly that.

Exact rewrites live here and never in the text: ``up conv`` becomes one convolution at low
resolution (``layers.UpConvolution``), ReLU moves behind a maximum pooling, where a quarter of the
numbers is left, and batch normalisation for training is folded into the weights afterwards
(``fold_batchnorm``).
"""

import copy
import itertools

import torch
from torch import nn

from caelab.networks import modules, shapes
from caelab.networks.ast import CodeMark, Item, Layer, Network, Residual, Skip, spell_out
from caelab.networks.describe import describe
from caelab.networks.dropout import Dropout
from caelab.networks.global_layers import GlobalContext, SelfAttention, SqueezeExcitation
from caelab.networks.initialize import Initialisation, initialise, weighted_layers
from caelab.networks.modules import NetworkModule, Sequence
from caelab.networks.shapes import Shape


def build(
    network: Network,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 32,
    generator: torch.Generator,
    batchnorm: bool = False,
    initialisation: Initialisation = "kaiming",
) -> NetworkModule:
    """Build ``network`` on the CPU in float32, its weights drawn from ``generator`` and from
    nothing else.

    Args:
        network: The network's tree, as ``parse`` returns it.
        channels: Channels C of the images.
        size: Their size in pixels, or (height, width). A network without ``dense`` takes other
            sizes too.
        generator: A CPU generator; the same state gives the same weights.
        batchnorm: Put batch normalisation before every activation but the last layer's, for
            ``fold_batchnorm``.
        initialisation: How the weights begin.

    Raises:
        NetworkError: A shape does not fit.
    """
    description = describe(network, channels=channels, size=size)
    plan = spell_out(network)
    if plan.halves:
        encoder, code = _sequence(plan.halves[0], description.input)
        decoder, _ = _sequence(plan.halves[1], code)
        built = NetworkModule(network, {"encoder": encoder, "decoder": decoder})
    else:
        layers, _ = _sequence(plan.items, description.input)
        built = NetworkModule(network, {"layers": layers})
    if batchnorm:
        for layer in weighted_layers(built)[:-1]:
            if layer.activation != "none":
                layer.add_norm()
    initialise(built, generator=generator, initialisation=initialisation)
    _pool_before_rectifying(built)
    return built


def fold_batchnorm(module: NetworkModule) -> NetworkModule:
    """Copy ``module`` with the batch normalisation of ``build(batchnorm=True)`` folded into the
    weights.

    The copy is the plain network of the text, with the state dict's keys of
    ``build(batchnorm=False)``, and computes what ``module`` computes in ``eval`` mode, to rounding.
    A ``batchnorm`` written in the text stays.
    """
    folded = copy.deepcopy(module)
    for layer in weighted_layers(folded):
        layer.fold_norm()
    return folded


def _sequence(items: tuple[Item, ...], shape: Shape) -> tuple[Sequence, Shape]:
    sequence = Sequence()
    return sequence, _fill(sequence, items, shape)


def _fill(sequence: nn.Sequential, items: tuple[Item, ...], shape: Shape) -> Shape:
    """Append the modules of ``items`` to ``sequence``, named by their places; the shape behind
    them.
    """
    place = 0
    while place < len(items):
        item = items[place]
        following = items[place + 1] if place + 1 < len(items) else None
        match item:
            case Layer() if isinstance(following, Layer) and shapes.merges(item, following):
                place += 1
                sequence.add_module(
                    str(place),
                    modules.UpConvolution(
                        shape[0],
                        shapes.number(following),
                        kernel=following.kernel,
                        factor=shapes.number(item),
                        activation=following.activation or "none",
                    ),
                )
                shape = shapes.output_shape(following, shapes.output_shape(item, shape))
            case Layer():
                sequence.add_module(str(place), _layer(item, shape))
                shape = shapes.output_shape(item, shape)
            case Residual():
                block: Sequence = modules.ResidualBlock()
                shape = _fill(block, item.items, shape)
                sequence.add_module(str(place), block)
            case Skip():
                block = modules.SkipBlock()
                before = shape[0]
                channels, height, width = _fill(block, item.items, shape)
                shape = (before + channels, height, width)
                sequence.add_module(str(place), block)
            case CodeMark():
                pass
        place += 1
    return shape


def _pool_before_rectifying(network: NetworkModule) -> None:
    """Let maximum poolings do the rectifying of the layer before: max and a rising function
    commute.
    """
    for sequence in network.modules():
        if isinstance(sequence, nn.Sequential):
            for layer, pool in itertools.pairwise(sequence):
                if (
                    isinstance(layer, modules.ParametricLayer)
                    and layer.activation in ("relu", "leaky")
                    and isinstance(pool, modules.ActivationLayer)
                    and isinstance(pool.function, nn.MaxPool2d)
                    and pool.activation == "none"
                ):
                    layer.defers = True
                    pool.activation = layer.activation


def _layer(layer: Layer, shape: Shape) -> nn.Module:
    """The module of a layer whose activation is written out, on ``shape``."""
    activation = layer.activation or "none"
    value = shapes.number(layer)
    match layer.name:
        case "conv":
            return modules.Convolution(
                shape[0],
                value,
                kernel=layer.kernel,
                stride=layer.stride,
                dilation=layer.dilation,
                padding=shapes.convolution_padding(layer),
                activation=activation,
            )
        case "deconv":
            padding, output_padding = shapes.transposed_padding(layer)
            return modules.TransposedConvolution(
                shape[0],
                value,
                kernel=layer.kernel,
                stride=layer.stride,
                padding=padding,
                output_padding=output_padding,
                activation=activation,
            )
        case "dense":
            return modules.Dense(
                shapes.size_of(shape), (value, layer.height, layer.width), activation=activation
            )
        case "norm":
            return modules.ActivationLayer(
                modules.GroupNorm(shapes.group_count(layer, shape[0]), shape[0]),
                activation=activation,
            )
        case "batchnorm":
            return modules.ActivationLayer(nn.BatchNorm2d(shape[0]), activation=activation)
        case "dropout":
            return modules.ActivationLayer(Dropout(layer.probability), activation=activation)
        case "context":
            return modules.ActivationLayer(GlobalContext(shape[0]), activation=activation)
        case "excite":
            return modules.ActivationLayer(
                SqueezeExcitation(shape[0], reduction=value), activation=activation
            )
        case "attend":
            return modules.ActivationLayer(
                SelfAttention(shape[0], heads=value), activation=activation
            )
        case "classify":
            return modules.ActivationLayer(
                modules.Classifier(shape[0], classes=value), activation=activation
            )
        case "pool":
            return modules.ActivationLayer(nn.MaxPool2d(value), activation=activation)
        case "avgpool":
            return modules.ActivationLayer(nn.AvgPool2d(value), activation=activation)
        case "up":
            return modules.ActivationLayer(
                nn.Upsample(scale_factor=value, mode="nearest"), activation=activation
            )
        case "shuffle":
            return modules.ActivationLayer(nn.PixelShuffle(value), activation=activation)
        case "unshuffle":
            return modules.ActivationLayer(nn.PixelUnshuffle(value), activation=activation)
    return modules.ActivationLayer(
        nn.Upsample(scale_factor=value, mode="bilinear"), activation=activation
    )
