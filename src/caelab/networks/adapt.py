"""Change a network's output channels for another task, such as chroma instead of RGB.

A network's text fixes the channels of its output only; its first layer takes any input
(``build(channels=…)``). So the last layer with weights is rewritten, to as many channels as the
layers after it need.
"""

from dataclasses import replace
from itertools import groupby

from caelab.networks.ast import CodeMark, Item, Network, Repeat, Residual
from caelab.networks.layers.base import LayerKind, MisfitError

MAX_CHANNELS = 65_536


def adapt(network: Network, *, outputs: int, inputs: int = 3) -> Network:
    """Return ``network`` with ``outputs`` channels at its end; the same network where it has them.

    ``conv48 shuffle4`` (3 channels) becomes ``conv32 shuffle4`` for 2. Where the text ends in a
    residual, the layer before the bracket changes too, so that both sides of the sum fit; of
    ``3*conv8``, only the last copy changes.

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
    # The need went all the way to the beginning: no layer on the way could be rewritten.
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
    """Go through ``items`` from their end.

    Args:
        network: What they are part of, for errors.
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
                # x needs them as well as f(x), so ``needed`` stays as it is.
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
