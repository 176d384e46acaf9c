"""What a study may vary: transformations of a network's tree, each with a name and levels. No
torch.

A transformation changes one thing everywhere in the network and leaves the rest, so that a level's
effect is that thing's. One that finds nothing to change returns the network as it was: the study
then refuses it as the base's twin.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from caelab.errors import InputError
from caelab.networks.ast import (
    Item,
    Network,
    Repeat,
    Residual,
    Skip,
)
from caelab.networks.layers.base import ACTIVATIONS, LayerKind

Level = str | int | float | bool
"""A level as a study's file has it."""


@dataclass(frozen=True, kw_only=True)
class Transformation:
    """A factor that works on the network's tree.

    Attributes:
        levels: What the levels are, for people.
        accepts: Whether a value is a level.
        apply: (network, level) → network; raises ``InputError`` where the network has no place for
            it.
    """

    levels: str
    accepts: Callable[[Level], bool]
    apply: Callable[[Network, Level], Network]


def transform(network: Network, factor: str, level: Level) -> Network:
    """Return ``network`` with the ``factor`` at ``level``.

    Args:
        network: The base.
        factor: A name in ``TRANSFORMATIONS``.
        level: One of its levels.

    Raises:
        InputError: It is no level of the factor, or the network has no place for it.
    """
    transformation = TRANSFORMATIONS[factor]
    if not transformation.accepts(level):
        raise InputError(f"{level!r} is no level of {factor}: expected {transformation.levels}.")
    return transformation.apply(network, level)


def _kernel(network: Network, level: Level) -> Network:
    def change(layer: LayerKind) -> LayerKind:
        return (
            replace(layer, kernel=int(level))
            if layer.name == "conv" and layer.stride == 1
            else layer
        )

    return Network(items=_each(network.items, change))


def _channels(network: Network, level: Level) -> Network:
    last = [layer for layer in _layers(network.items) if layer.weighted][-1:]

    def change(layer: LayerKind) -> LayerKind:
        if not layer.weighted or layer is last[0]:
            return layer
        return replace(layer, number=max(1, round(layer.number * float(level))))

    return Network(items=_each(network.items, change))


def _downsampling(network: Network, level: Level) -> Network:
    if level == "strided":
        return Network(items=_sequences(network.items, _strided))
    names = {"average": ("pool", "avgpool"), "max": ("avgpool", "pool")}[str(level)]
    return Network(items=_each(network.items, _renaming(*names)))


def _strided(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """``conv8 pool`` → ``conv8s2``: the convolution before a pooling takes its stride."""
    changed: list[Item] = []
    for item in items:
        if not isinstance(item, LayerKind) or item.name not in ("pool", "avgpool"):
            changed.append(item)
            continue
        before = changed[-1] if changed else None
        if (
            not isinstance(before, LayerKind)
            or before.name != "conv"
            or before.stride > 1
            or item.activation
        ):
            raise InputError(f"no convolution of stride 1 stands before {item} to take its stride.")
        changed[-1] = replace(before, stride=item.number)
    return tuple(changed)


def _upsampling(network: Network, level: Level) -> Network:
    if level == "nearest":
        return Network(items=_each(network.items, _renaming("upbilinear", "up")))
    if level == "bilinear":
        return Network(items=_each(network.items, _renaming("up", "upbilinear")))
    learned = _transposed if level == "transposed" else _shuffled

    def change(items: tuple[Item, ...]) -> tuple[Item, ...]:
        changed: list[Item] = []
        for item in items:
            before = changed[-1] if changed else None
            if isinstance(before, LayerKind) and before.name in ("up", "upbilinear"):
                if not _follows_plainly(before, item):
                    raise InputError(f"no convolution of stride 1, padding same, follows {before}.")
                changed[-1:] = learned(before, item)
            else:
                changed.append(item)
        if (
            changed
            and isinstance(changed[-1], LayerKind)
            and changed[-1].name in ("up", "upbilinear")
        ):
            raise InputError(f"no convolution follows {changed[-1]}.")
        return tuple(changed)

    return Network(items=_sequences(network.items, change))


def _follows_plainly(up: LayerKind, item: Item) -> bool:
    plain = (
        isinstance(item, LayerKind)
        and item.name == "conv"
        and (item.stride, item.dilation) == (1, 1)
    )
    return plain and isinstance(item, LayerKind) and item.padding is None and not up.activation


def _transposed(up: LayerKind, convolution: Item) -> list[Item]:
    """``up conv12`` → ``deconv12k4s2``: with K + S − 1 weights a side the former is a special case
    of the latter.
    """
    assert isinstance(convolution, LayerKind)
    factor = up.number
    return [convolution.as_kind("deconv", kernel=convolution.kernel + factor - 1, stride=factor)]


def _shuffled(up: LayerKind, convolution: Item) -> list[Item]:
    """``up conv12`` → ``conv48 shuffle2``: each of the S² positions has weights of its own."""
    assert isinstance(convolution, LayerKind)
    factor = up.number
    return [
        replace(convolution, number=convolution.number * factor**2),
        LayerKind.registry["shuffle"](number=factor),
    ]


def _code_activation(network: Network, level: Level) -> Network:
    if network.halves is None:
        raise InputError("the network has no code: put '|' where it is, outside all brackets.")
    encoder, _ = network.halves
    for index in range(len(encoder) - 1, -1, -1):
        item = encoder[index]
        if not isinstance(item, LayerKind):
            break
        if item.weighted:
            changed = replace(item, activation=str(level))
            return Network(items=(*network.items[:index], changed, *network.items[index + 1 :]))
    raise InputError(
        "the code is not made by a single convolution or dense layer, so it has no activation to"
        " change."
    )


def _renaming(old: str, new: str) -> Callable[[LayerKind], LayerKind]:
    return lambda layer: layer.as_kind(new) if layer.name == old else layer


def _layers(items: tuple[Item, ...]) -> Iterator[LayerKind]:
    """All layers in order, a repetition's once."""
    for item in items:
        match item:
            case LayerKind():
                yield item
            case Residual() | Skip():
                yield from _layers(item.items)
            case Repeat():
                yield from _layers((item.item,))


def _each(items: tuple[Item, ...], change: Callable[[LayerKind], LayerKind]) -> tuple[Item, ...]:
    """The items with every layer changed, in brackets and repetitions too."""
    return _sequences(
        items,
        lambda inner: tuple(
            change(item) if isinstance(item, LayerKind) else item for item in inner
        ),
    )


def _sequences(
    items: tuple[Item, ...], change: Callable[[tuple[Item, ...]], tuple[Item, ...]]
) -> tuple[Item, ...]:
    """The items with every sequence changed, inner ones first; a repetition of what became several
    is written out.
    """
    inner: list[Item] = []
    for item in items:
        match item:
            case Residual() | Skip():
                inner.append(replace(item, items=_sequences(item.items, change)))
            case Repeat():
                repeated = _sequences((item.item,), change)
                inner += (
                    [replace(item, item=repeated[0])]
                    if len(repeated) == 1
                    else repeated * item.count
                )
            case _:
                inner.append(item)
    return change(tuple(inner))


def _one_of(*names: str) -> tuple[str, Callable[[Level], bool]]:
    return f"one of {', '.join(names)}", lambda level: level in names


def _whole(level: Level) -> bool:
    return isinstance(level, int) and not isinstance(level, bool) and level >= 1


def _multiplier(level: Level) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool) and 0 < level < 1000


def _named(names: tuple[str, ...], apply: Callable[[Network, Level], Network]) -> Transformation:
    levels, accepts = _one_of(*names)
    return Transformation(levels=levels, accepts=accepts, apply=apply)


TRANSFORMATIONS: Mapping[str, Transformation] = {
    "kernel": Transformation(levels="a whole number from 1 on", accepts=_whole, apply=_kernel),
    "channels": Transformation(
        levels="a number that multiplies them", accepts=_multiplier, apply=_channels
    ),
    "downsampling": _named(("max", "average", "strided"), _downsampling),
    "upsampling": _named(("nearest", "bilinear", "transposed", "shuffle"), _upsampling),
    "code_activation": _named(ACTIVATIONS, _code_activation),
}
"""The factors that work on the tree, by name.

``kernel``: the side of every convolution of stride 1. ``channels``: those of every layer with
weights but the last, multiplied and rounded. ``downsampling``: the kind of pooling, or the
convolution before it takes its stride. ``upsampling``: how ``up`` fills in; or ``up conv`` becomes
one transposed convolution, or a convolution and a pixel shuffle. ``code_activation``: what follows
the layer that makes the code.
"""
