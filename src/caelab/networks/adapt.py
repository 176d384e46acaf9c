"""Change a network's output channels for another task, such as chroma instead of RGB.

A network's text fixes only the channels of its output; its first layer takes any input
(``build(channels=…)``). So the last layer with weights gets as many channels as the layers after it
need.
"""

from dataclasses import replace
from itertools import groupby

from caelab.networks.ast import CodeMark, Item, Network, Repeat, Residual
from caelab.networks.layers.base import LayerKind, MisfitError

MAX_CHANNELS = 65_536


def adapt(network: Network, *, outputs: int, inputs: int = 3) -> Network:
    """Return ``network`` with ``outputs`` output channels; the same network if it has them already.

    For two channels, ``conv48 shuffle4`` becomes ``conv32 shuffle4``. If the text ends in a
    residual block, the layer before the block changes, too, so that both terms of the sum fit. Only
    the last copy of ``3*conv8`` changes.

    >>> from caelab.networks import parse
    >>> str(adapt(parse("conv8 conv48 shuffle4"), outputs=2))
    'conv8 conv32 shuffle4'

    Args:
        network: A tree that fits its own task.
        outputs: Channels C' of the output.
        inputs: Channels C of the images. They matter only if the network has no layer that can be
            rewritten.

    Raises:
        NetworkError: The network cannot be adapted: it ends in a skip, whose channels are partly
            its input's; a layer after the last convolution does not fit; or there is no
            convolution.
    """
    items, needed = _backwards(network, network.items, outputs)
    # No layer could be rewritten: the channels must come from the images themselves.
    if needed is not None and needed != inputs:
        raise network.error(
            f"the network would need {needed} channels at its beginning for {outputs} at its end,"
            f" and has {inputs}",
            (0, len(network.text)),
            "Expected a conv, deconv or dense layer, whose channels can be chosen.",
        )
    return Network(items=items)


def _backwards(
    network: Network, items: tuple[Item, ...], needed: int | None
) -> tuple[tuple[Item, ...], int | None]:
    """Rewrite ``items`` from the last to the first, until a layer gives the needed channels.

    Args:
        network: Network of the items, which errors show.
        items: The items.
        needed: Channels that must come out of them; ``None`` if they are right as they are.

    Returns:
        Items that give the needed channels, and the channels that must come in, or ``None``.
    """
    adapted: list[Item] = []
    for item in reversed(items):
        if needed is None:
            adapted.append(item)
            continue
        match item:
            case LayerKind():
                layer, needed = _layer(network, item, needed)
                adapted.append(layer)
            case Residual():
                # Both x and f(x) must have these channels, so ``needed`` stays the same.
                inner, _ = _backwards(network, item.items, needed)
                adapted.append(replace(item, items=inner))
            case Repeat():
                # Only the last copy with weights changes: one repetition may become two items.
                copies, needed = _backwards(network, item.items * item.count, needed)
                for copy, run in groupby(reversed(copies)):
                    count = len(list(run))
                    alone = count == 1 < item.count
                    adapted.append(copy if alone else replace(item, count=count, items=(copy,)))
            case CodeMark():
                adapted.append(item)
            case _:
                raise network.error(
                    "cannot be adapted: the network ends in a skip, whose channels are partly its"
                    " input's",
                    item.span,
                    "Expected a convolution after the bracket, whose channels can be chosen.",
                )
    return tuple(reversed(adapted)), needed


def _layer(network: Network, layer: LayerKind, needed: int) -> tuple[LayerKind, int | None]:
    if layer.weighted:
        if needed > MAX_CHANNELS:
            raise network.error(
                f"cannot be adapted: {needed} channels are needed here",
                layer.span,
                f"At most {MAX_CHANNELS} are allowed.",
            )
        # Its input may have any number of channels, so nothing before it has to change.
        return replace(layer, number=needed), None
    try:
        return layer, layer.input_channels(needed)
    except MisfitError as error:
        raise network.error(
            f"cannot be adapted: {layer} does not fit: {error}",
            layer.span,
            "Expected a layer that fits, or a convolution after it.",
        ) from error
