"""Factors of a study that transform a network, such as the kernel size; without PyTorch.

A transformation changes one property everywhere in the network and keeps all others, so that every
difference in the results is the effect of that property. If there is nothing to change, the network
stays the same, and the study refuses the level, because its run would equal the base's.

A layer is replaced at its position in the network's canonical text, so that the brackets and
repetitions around the layer stay the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from caelab.errors import InputError
from caelab.networks.ast import Item, Network, Repeat, Residual, Skip
from caelab.networks.layers.base import ACTIVATIONS, LayerKind, Span
from caelab.networks.parser import parse
from caelab.training.config import reason

Level = str | int | float | bool
"""Level of a factor, as the file of a study states it."""

Changes = Iterable[tuple[Span, str]]
"""Pairs of a position in the canonical text and its new text, in the order of the positions."""


def transform(network: Network, factor: str, level: Level) -> Network:
    """Return a network with one property changed.

    >>> from caelab.networks.parser import parse
    >>> str(transform(parse("conv8 pool conv3"), "downsampling", "strided"))
    'conv8s2 conv3'

    Args:
        network: Network to change, the base of a study.
        factor: Name of the property, one of the names in ``TRANSFORMATIONS``.
        level: New level of the property.

    Raises:
        InputError: The factor has no such level, or a layer of the network cannot be changed to it.
    """
    levels, apply = TRANSFORMATIONS[factor]
    try:
        level = levels.validate_python(level, strict=True)
    except ValidationError as error:
        why = reason(error.errors()[0])
        raise InputError(f"{level!r} is no level of {factor}: it {why}.") from error
    text = network.text
    # Changed from the end, because each change moves the text that comes after it.
    for (start, end), new in reversed(list(apply(network, level))):
        text = text[:start] + new + text[end:]
    return parse(text)


def _kernel(network: Network, level: int) -> Changes:
    for layer in _layers(network.items):
        if layer.name == "conv" and layer.stride == 1:
            yield layer.span, str(replace(layer, kernel=level))


def _channels(network: Network, level: float) -> Changes:
    # The last layer must keep the channels of the image.
    for layer in [layer for layer in _layers(network.items) if layer.weighted][:-1]:
        yield layer.span, str(replace(layer, number=max(1, round(layer.number * level))))


def _downsampling(network: Network, level: str) -> Changes:
    """Change the kind of each pooling, or turn ``conv8 pool`` into ``conv8s2``."""
    for before, layer, _ in _neighbors(network):
        if layer.name not in ("pool", "avgpool"):
            continue
        if level != "strided":
            yield layer.span, str(layer.as_kind("pool" if level == "max" else "avgpool"))
            continue
        if before is None or before.name != "conv" or before.stride > 1:
            raise InputError(
                f"{layer} cannot be replaced: no convolution of stride 1 is directly before it."
            )
        if layer.activation:
            raise InputError(f"{layer} has an activation, so it cannot be replaced by a stride.")
        yield (before.span[0], layer.span[1]), str(replace(before, stride=layer.number))


def _upsampling(network: Network, level: str) -> Changes:
    """Change ``up`` to another kind, or ``up conv3`` to ``deconv3k4s2`` or ``conv12 shuffle2``."""
    for _, layer, after in _neighbors(network):
        if layer.name not in ("up", "upbilinear"):
            continue
        if level in ("nearest", "bilinear"):
            yield layer.span, str(layer.as_kind("up" if level == "nearest" else "upbilinear"))
            continue
        if (
            after is None
            or (after.name, layer.activation) != ("conv", None)
            or (after.stride, after.dilation, after.padding) != (1, 1, None)
        ):
            raise InputError(
                f"{layer} must have no activation, and the layer directly after it must be a"
                " convolution with stride 1, dilation 1 and padding same."
            )
        factor = layer.number
        if level == "transposed":
            # A transposed convolution of kernel size K + S − 1 can replace every `up conv`.
            new = str(after.as_kind("deconv", kernel=after.kernel + factor - 1, stride=factor))
        else:
            # Each of the S² output positions of a pixel gets its own weights.
            new = f"{replace(after, number=after.number * factor**2)} shuffle{factor}"
        yield (layer.span[0], after.span[1]), new


def _code_activation(network: Network, level: str) -> Changes:
    if network.halves is None:
        raise InputError("the network has no code: mark its place with '|', outside all brackets.")
    for item in reversed(network.halves[0]):
        if not isinstance(item, LayerKind):
            break
        if item.weighted:
            return [(item.span, str(replace(item, activation=level)))]
    raise InputError(
        "the code is not made by a single convolution or dense layer, so it has no activation to"
        " change."
    )


def _layers(items: Iterable[Item]) -> Iterator[LayerKind]:
    """Yield all layers in order; the layers of a repetition are yielded once."""
    for item in items:
        match item:
            case LayerKind():
                yield item
            case Residual() | Skip() | Repeat():
                yield from _layers(item.items)


def _neighbors(network: Network) -> Iterator[tuple[LayerKind | None, LayerKind, LayerKind | None]]:
    """Yield (layer before, layer, layer after) for each layer; ``None`` if no layer is adjacent."""
    before: LayerKind | None = None
    layers = list(_layers(network.items))
    for layer, after in zip_longest(layers, layers[1:]):
        # Adjacent layers are one blank apart; a bracket, a code mark or a repetition between two
        # layers takes more characters. Only the last copy of a repeated layer is next to the layer
        # that follows, so a repeated layer counts as adjacent to no layer.
        joined = (
            after
            and layer.span[1] + 1 == after.span[0]
            and not network.text[: layer.span[0]].endswith("*")
        )
        yield before, layer, after if joined else None
        before = layer if joined else None


TRANSFORMATIONS: Mapping[str, tuple[TypeAdapter[Any], Callable[[Network, Any], Changes]]] = {
    "kernel": (TypeAdapter(Annotated[int, Field(ge=1)]), _kernel),
    "channels": (TypeAdapter(Annotated[float, Field(gt=0, lt=1000)]), _channels),
    "downsampling": (TypeAdapter(Literal["max", "average", "strided"]), _downsampling),
    "upsampling": (
        TypeAdapter(Literal["nearest", "bilinear", "transposed", "shuffle"]),
        _upsampling,
    ),
    "code_activation": (
        TypeAdapter(Literal[tuple(ACTIVATIONS)]),  # type: ignore[arg-type]
        _code_activation,
    ),
}
"""Valid levels of each factor, and the function that applies a level, by the factor's name.

``kernel`` sets the kernel size of all convolutions of stride 1. ``channels`` multiplies the
channels of all layers with weights except the last one, and rounds the result. ``downsampling``
sets the kind of pooling, or replaces a pooling by a stride of the convolution before it.
``upsampling`` sets how ``up`` interpolates, or replaces ``up conv`` by a transposed convolution or
by a convolution and a pixel shuffle. ``code_activation`` sets the activation of the layer that
makes the code.
"""
