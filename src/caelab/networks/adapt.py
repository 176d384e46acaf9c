"""Change a network's output channels for another task, such as chroma instead of RGB.

The first layer takes any number of input channels (``build(channels=…)``), so only the output has
to change. The last layer with weights (conv, deconv or dense) gets as many output channels as the
layers after it need.
"""

from dataclasses import replace
from itertools import groupby

from caelab.networks.ast import CodeMark, Item, Network, Repeat, Residual
from caelab.networks.layers.base import LayerKind, MisfitError

MAX_CHANNELS = 65_536
"""Largest number of output channels that a layer may get."""


def adapt(network: Network, *, outputs: int, inputs: int = 3) -> Network:
    """Return a copy of ``network`` with ``outputs`` output channels, otherwise as it was.

    For two channels, ``conv48 shuffle4`` becomes ``conv32 shuffle4``. If the text ends in a
    residual block, the last layer with weights before the block changes too, because both terms of
    x + f(x) need the same channels. In a repetition, such as ``3*conv8``, only the last copy
    changes.

    >>> from caelab.networks import parse
    >>> str(adapt(parse("conv8 conv48 shuffle4"), outputs=2))
    'conv8 conv32 shuffle4'

    Args:
        network: The network's tree, as ``parse`` returns it.
        outputs: Number of output channels C'.
        inputs: Number of channels C of the images. It matters only if all layers with weights are
            inside brackets.

    Raises:
        NetworkError: The network cannot be adapted. It ends in a skip block, whose output contains
            the channels of the block's input; or a layer after the last layer with weights does
            not fit; or all layers with weights are inside brackets, and ``inputs`` does not fit.
    """
    items, needed = _backwards(network, network.items, outputs)
    # No layer outside brackets chooses the channels, so they are the channels of the images.
    if needed is not None and needed != inputs:
        raise network.error(
            f"for {outputs} output channels, the network would need images of {needed} channels,"
            f" not of {inputs}",
            (0, len(network.text)),
            "Expected a conv, deconv or dense layer, whose channels can be chosen.",
        )
    return Network(items=items)


def _backwards(
    network: Network, items: tuple[Item, ...], needed: int | None
) -> tuple[tuple[Item, ...], int | None]:
    """Rewrite ``items`` from the last to the first, until a layer gives the needed channels.

    Args:
        network: The whole network, which error messages show.
        items: All items of the network, or those of a bracket.
        needed: Number of channels that the last item must return; ``None`` if nothing has to
            change.

    Returns:
        The rewritten items, and the number of channels that their input must have; ``None`` if any
        number fits.
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
                # Both x and f(x) must have the needed channels, so the items before the block must
                # return as many.
                inner, _ = _backwards(network, item.items, needed)
                adapted.append(replace(item, items=inner))
            case Repeat():
                # Only the last copy with weights changes, so one repetition may become several
                # items.
                copies, needed = _backwards(network, item.items * item.count, needed)
                for copy, run in groupby(reversed(copies)):
                    count = len(list(run))
                    alone = count == 1 < item.count
                    adapted.append(copy if alone else replace(item, count=count, items=(copy,)))
            case CodeMark():
                adapted.append(item)
            case _:
                raise network.error(
                    "the network cannot be adapted: it ends in a skip block, whose output contains"
                    " the channels of the block's input",
                    item.span,
                    "Expected a layer with weights after the bracket, such as conv3.",
                )
    return tuple(reversed(adapted)), needed


def _layer(network: Network, layer: LayerKind, needed: int) -> tuple[LayerKind, int | None]:
    if layer.weighted:
        if needed > MAX_CHANNELS:
            raise network.error(
                f"the network cannot be adapted: {layer} would need {needed} channels",
                layer.span,
                f"At most {MAX_CHANNELS} channels are allowed.",
            )
        # A layer with weights takes any number of input channels, so no item before it changes.
        return replace(layer, number=needed), None
    try:
        return layer, layer.input_channels(needed)
    except MisfitError as error:
        raise network.error(
            f"the network cannot be adapted: {layer} does not fit: {error}",
            layer.span,
            "Expected a layer that fits, or a layer with weights after it, such as conv3.",
        ) from error
