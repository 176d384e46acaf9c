"""A network's text → a ``torch.nn.Module`` that computes exactly that.

Exact rewrites live here and never in the text: ``up conv`` becomes one convolution at low
resolution (``layers.UpConvolution``), ReLU moves behind a maximum pooling, where a quarter of the
numbers is left, and batch normalisation for training is folded into the weights afterwards
(``fold_batchnorm``).
"""

import copy
import itertools
from typing import NoReturn

import torch
from torch import Tensor, nn

from caelab.errors import InputError
from caelab.networks import modules, shapes
from caelab.networks.ast import CodeMark, Item, Layer, Network, Residual, Skip, spell_out
from caelab.networks.classifier import Classifier
from caelab.networks.describe import describe
from caelab.networks.dropout import Dropout
from caelab.networks.global_layers import GlobalContext, SelfAttention, SqueezeExcitation
from caelab.networks.initialize import Initialisation, initialise, weighted_layers
from caelab.networks.shapes import Shape


class Built(nn.Module):
    """A built network.

    Attributes:
        tree: The network's tree. Keys of the state dict are the positions of its layers, counted
            from 0 with repetitions written out, such as ``encoder.2.weight`` or ``decoder.1.bias``.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.tree = network

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) through the whole network."""
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to the code, the tensor at ``|``.

        Raises:
            InputError: The text has no ``|``, or has it inside a bracket.
        """
        raise NotImplementedError

    def decode(self, code: Tensor) -> Tensor:
        """The code to images.

        Raises:
            InputError: The text has no ``|``, or has it inside a bracket.
        """
        raise NotImplementedError


class Autoencoder(Built):
    """A network in two halves, parted by ``|``."""

    def __init__(self, network: Network, encoder: nn.Sequential, decoder: nn.Sequential) -> None:
        super().__init__(network)
        self.encoder, self.decoder = encoder, decoder

    def encode(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to the code."""
        code: Tensor = self.encoder(x)
        return code

    def decode(self, code: Tensor) -> Tensor:
        """The code to images (N, C, H, W)."""
        images: Tensor = self.decoder(code)
        return images


class Undivided(Built):
    """A network that cannot be cut in two: without ``|``, or with skips or residuals around it."""

    def __init__(self, network: Network, whole: nn.Sequential) -> None:
        super().__init__(network)
        self.layers = whole

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) through the whole network."""
        images: Tensor = self.layers(x)
        return images

    def encode(self, x: Tensor) -> NoReturn:  # noqa: ARG002
        """Refuse: there is no code that holds all the decoder needs."""
        self._refuse()

    def decode(self, code: Tensor) -> NoReturn:  # noqa: ARG002
        """Refuse: there is no code that holds all the decoder needs."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        why = (
            "a bracket runs around its '|'"
            if "|" in self.tree.text
            else "it has no '|' to mark the code"
        )
        raise InputError(
            f"the network {self.tree} cannot be split into encoder and decoder: {why}."
        )


def build(
    network: Network,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 32,
    generator: torch.Generator,
    batchnorm: bool = False,
    initialisation: Initialisation = "kaiming",
) -> Built:
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
    built: Built
    if plan.halves:
        encoder, code = _sequence(plan.halves[0], description.input)
        decoder, _ = _sequence(plan.halves[1], code)
        built = Autoencoder(network, encoder, decoder)
    else:
        built = Undivided(network, _sequence(plan.items, description.input)[0])
    if batchnorm:
        for layer in weighted_layers(built)[:-1]:
            if layer.activation != "none":
                layer.add_norm()
    initialise(built, generator=generator, initialisation=initialisation)
    _pool_before_rectifying(built)
    return built


def fold_batchnorm(module: Built) -> Built:
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


def _sequence(items: tuple[Item, ...], shape: Shape) -> tuple[nn.Sequential, Shape]:
    sequence = nn.Sequential()
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
                block: nn.Sequential = modules.ResidualBlock()
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


def _pool_before_rectifying(network: Built) -> None:
    """Let maximum poolings do the rectifying of the layer before: max and a rising function
    commute.
    """
    for sequence in network.modules():
        if isinstance(sequence, nn.Sequential):
            for layer, pool in itertools.pairwise(sequence):
                if (
                    isinstance(layer, modules.Weighted)
                    and layer.activation in ("relu", "leaky")
                    and isinstance(pool, modules.Plain)
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
            return modules.Plain(
                modules.GroupNorm(shapes.group_count(layer, shape[0]), shape[0]),
                activation=activation,
            )
        case "batchnorm":
            return modules.Plain(nn.BatchNorm2d(shape[0]), activation=activation)
        case "dropout":
            return modules.Plain(Dropout(layer.probability), activation=activation)
        case "context":
            return modules.Plain(GlobalContext(shape[0]), activation=activation)
        case "excite":
            return modules.Plain(
                SqueezeExcitation(shape[0], reduction=value), activation=activation
            )
        case "attend":
            return modules.Plain(SelfAttention(shape[0], heads=value), activation=activation)
        case "classify":
            return modules.Plain(Classifier(shape[0], classes=value), activation=activation)
        case "pool":
            return modules.Plain(nn.MaxPool2d(value), activation=activation)
        case "avgpool":
            return modules.Plain(nn.AvgPool2d(value), activation=activation)
        case "up":
            return modules.Plain(
                nn.Upsample(scale_factor=value, mode="nearest"), activation=activation
            )
        case "shuffle":
            return modules.Plain(nn.PixelShuffle(value), activation=activation)
        case "unshuffle":
            return modules.Plain(nn.PixelUnshuffle(value), activation=activation)
    return modules.Plain(nn.Upsample(scale_factor=value, mode="bilinear"), activation=activation)
