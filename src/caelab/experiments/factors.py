"""Factors that a study may vary: transformations of a network's tree, without PyTorch.

A transformation changes one thing everywhere in the network and keeps the rest, so that a level's
effect is the effect of that thing. If there is nothing to change, the network stays the same, and
the study refuses the level because it is the base.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from caelab.errors import InputError
from caelab.networks.ast import Item, Network, Repeat, Residual, Skip
from caelab.networks.layers.base import ACTIVATIONS, LayerKind
from caelab.training.config import reason

Level = str | int | float | bool
"""Level of a factor, as a study's file states it."""

Items = tuple[Item, ...]
Rule = Callable[[Item | None, Item | None], list[Item] | None]
"""(item before, item) → what takes the place of both, or ``None`` to keep them."""


def transform(network: Network, factor: str, level: Level) -> Network:
    """Return the network with a factor at another level.

    >>> from caelab.networks.parser import parse
    >>> str(transform(parse("conv8 pool conv3"), "downsampling", "strided"))
    'conv8s2 conv3'

    Args:
        network: The base.
        factor: Name in ``TRANSFORMATIONS``.
        level: Level of the factor.

    Raises:
        InputError: The factor has no such level, or the network has no place for it.
    """
    levels, apply = TRANSFORMATIONS[factor]
    try:
        level = levels.validate_python(level, strict=True)
    except ValidationError as error:
        why = reason(error.errors()[0])
        raise InputError(f"{level!r} is no level of {factor}: it {why}.") from error
    return apply(network, level)


def _kernel(network: Network, level: int) -> Network:
    def change(layer: LayerKind) -> LayerKind:
        plain = layer.name == "conv" and layer.stride == 1
        return replace(layer, kernel=level) if plain else layer

    return _change_layers(network, change)


def _channels(network: Network, level: float) -> Network:
    weighted = [layer for layer in _layers(network.items) if layer.weighted]

    def change(layer: LayerKind) -> LayerKind:
        # The last layer gives the image's channels, which are not a matter of choice.
        if not layer.weighted or layer is weighted[-1]:
            return layer
        return replace(layer, number=max(1, round(layer.number * level)))

    return _change_layers(network, change)


def _downsampling(network: Network, level: str) -> Network:
    if level == "strided":
        return _change_pairs(network, _strided)
    return _rename(network, *{"average": ("pool", "avgpool"), "max": ("avgpool", "pool")}[level])


def _strided(before: Item | None, item: Item | None) -> list[Item] | None:
    """``conv8 pool`` → ``conv8s2``: the convolution before a pooling takes its stride."""
    if not isinstance(item, LayerKind) or item.name not in ("pool", "avgpool"):
        return None
    if not isinstance(before, LayerKind) or before.name != "conv" or before.stride > 1:
        raise InputError(f"no convolution of stride 1 stands before {item} to take its stride.")
    if item.activation:
        raise InputError(f"{item} has an activation, which has no place after a stride.")
    return [replace(before, stride=item.number)]


def _upsampling(network: Network, level: str) -> Network:
    if level in ("nearest", "bilinear"):
        names = ("upbilinear", "up")
        return _rename(network, *(names if level == "nearest" else reversed(names)))

    def learned(before: Item | None, item: Item | None) -> list[Item] | None:
        if not isinstance(before, LayerKind) or before.name not in ("up", "upbilinear"):
            return None
        if (
            not isinstance(item, LayerKind)
            or (item.name, before.activation) != ("conv", None)
            or (item.stride, item.dilation, item.padding) != (1, 1, None)
        ):
            raise InputError(f"no convolution of stride 1, padding same, follows {before}.")
        factor = before.number
        if level == "transposed":
            # With K + S − 1 weights a side, `up conv` is a special case of the transposed one.
            kernel = item.kernel + factor - 1
            return [item.as_kind("deconv", kernel=kernel, stride=factor)]
        # Each of the S² positions gets weights of its own.
        wider = replace(item, number=item.number * factor**2)
        return [wider, LayerKind.registry["shuffle"](number=factor)]

    return _change_pairs(network, learned)


def _code_activation(network: Network, level: str) -> Network:
    if network.halves is None:
        raise InputError("the network has no code: put '|' where it is, outside all brackets.")
    encoder, _ = network.halves
    for index in range(len(encoder) - 1, -1, -1):
        item = encoder[index]
        if not isinstance(item, LayerKind):
            break
        if item.weighted:
            changed = replace(item, activation=level)
            return Network(items=(*network.items[:index], changed, *network.items[index + 1 :]))
    raise InputError(
        "the code is not made by a single convolution or dense layer, so it has no activation to"
        " change."
    )


def _layers(items: Items) -> Iterator[LayerKind]:
    """Yield all layers in order, those of a repetition once."""
    for item in items:
        match item:
            case LayerKind():
                yield item
            case Residual() | Skip():
                yield from _layers(item.items)
            case Repeat():
                yield from _layers((item.item,))


def _rename(network: Network, old: str, new: str) -> Network:
    return _change_layers(network, lambda layer: layer.as_kind(new) if layer.name == old else layer)


def _change_layers(network: Network, change: Callable[[LayerKind], LayerKind]) -> Network:
    def each(items: Items) -> Items:
        return tuple(change(item) if isinstance(item, LayerKind) else item for item in items)

    return Network(items=_change_sequences(network.items, each))


def _change_pairs(network: Network, rule: Rule) -> Network:
    """Apply ``rule`` to all neighbors, and to the last item of a sequence with ``None``."""

    def pairwise(items: Items) -> Items:
        changed: list[Item] = []
        for item in items:
            replaced = rule(changed[-1] if changed else None, item)
            if replaced is None:
                changed.append(item)
            else:
                changed[-1:] = replaced
        rule(changed[-1] if changed else None, None)
        return tuple(changed)

    return Network(items=_change_sequences(network.items, pairwise))


def _change_sequences(items: Items, change: Callable[[Items], Items]) -> Items:
    """Change every sequence, inner ones first; write a repetition out if it becomes several."""
    inner: list[Item] = []
    for item in items:
        match item:
            case Residual() | Skip():
                inner.append(replace(item, items=_change_sequences(item.items, change)))
            case Repeat():
                repeated = _change_sequences((item.item,), change)
                alone = len(repeated) == 1
                inner += [replace(item, item=repeated[0])] if alone else repeated * item.count
            case _:
                inner.append(item)
    return change(tuple(inner))


TRANSFORMATIONS: Mapping[str, tuple[TypeAdapter[Any], Callable[[Network, Any], Network]]] = {
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
"""Levels and function of each factor by name.

``kernel`` sets the side of all convolutions of stride 1. ``channels`` multiplies and rounds the
channels of all layers with weights but the last. ``downsampling`` sets the kind of pooling, or
gives its stride to the convolution before. ``upsampling`` sets how ``up`` interpolates, or replaces
``up conv`` by a transposed convolution or by a convolution and a pixel shuffle.
``code_activation`` sets the activation after the layer that makes the code.
"""
