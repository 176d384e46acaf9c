"""A network's text for the channels of another task: an RGB autoencoder, say, for gray → two planes
of chroma.

Only the end of a text says how many channels there are; the first layer takes what it is given
(``build(channels=…)``). So it is the last layer with weights that is rewritten, to as many channels
as the layers behind it need.
"""

from dataclasses import replace
from itertools import groupby

from caelab.networks import shapes
from caelab.networks.ast import (
    KINDS,
    CodeMark,
    Item,
    Layer,
    Network,
    NetworkError,
    Repeat,
    Residual,
    Skip,
    Span,
)
from caelab.networks.parser import MOST_NUMBER
from caelab.networks.shapes import MisfitError


def adapt(network: Network, *, outputs: int, inputs: int = 3) -> Network:
    """Return ``network`` with ``outputs`` channels at its end; the same network where it
    has them.

    ``conv48 shuffle4`` (3 channels) becomes ``conv32 shuffle4`` for 2. Where the text ends in a
    residual, the layer before the bracket changes too, so that both sides of the sum fit; of
    ``3*conv8``, only the last copy changes.

    Args:
        network: A tree that fits its own task.
        outputs: Channels C' of what comes out.
        inputs: Channels C of the images. They matter only to a text of which nothing can be
            rewritten.

    Raises:
        NetworkError: The network cannot be adapted: it ends in a skip, whose channels are
            partly those that it is given; a layer behind the last convolution does not fit; or
            there is no convolution.
    """
    text = network.text
    items, needed = _Adapter(text).backwards(network.items, outputs)
    if needed is not None and needed != inputs:
        raise NetworkError(
            f"the network would need {needed} channels at its beginning for {outputs} at its end,"
            f" and has {inputs}",
            text=text,
            span=(0, len(text)),
            expected="Expected a conv, deconv or dense layer, whose channels can be chosen.",
        )
    return Network(items=items)


class _Adapter:
    """Goes through a text from its end. ``needed`` is how many channels must come out; ``None``
    once they do.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def backwards(
        self, items: tuple[Item, ...], needed: int | None
    ) -> tuple[tuple[Item, ...], int | None]:
        """Items that give the ``needed`` channels, and how many they need before them."""
        adapted: list[Item] = []
        for item in reversed(items):
            if needed is None:
                adapted.append(item)
                continue
            match item:
                case Layer():
                    layer, needed = self.layer(item, needed)
                    adapted.append(layer)
                case Residual():
                    inner, _ = self.backwards(item.items, needed)
                    adapted.append(replace(item, items=inner))
                case Repeat():
                    copies, needed = self.backwards((item.item,) * item.count, needed)
                    adapted.extend(reversed(_repeated(item, copies)))
                case Skip():
                    raise self.fail(
                        "the network ends in a skip, whose channels are in part those that it is"
                        " given",
                        item.span,
                        "Expected a convolution behind the bracket, whose channels can be chosen.",
                    )
                case CodeMark():
                    adapted.append(item)
        return tuple(reversed(adapted)), needed

    def layer(self, layer: Layer, needed: int) -> tuple[Layer, int | None]:
        if KINDS[layer.name].weighted:
            if needed > MOST_NUMBER:
                raise self.fail(
                    f"{needed} channels are needed here",
                    layer.span,
                    f"At most {MOST_NUMBER} are allowed.",
                )
            return replace(layer, number=needed), None
        factor = shapes.number(layer)
        match layer.name:
            case "shuffle":
                return layer, needed * factor**2
            case "unshuffle" if needed % factor**2:
                raise self.fail(
                    f"{needed} channels are needed behind {self.text[slice(*layer.span)]}",
                    layer.span,
                    f"Expected a multiple of {factor}² = {factor**2}, or a convolution behind it.",
                )
            case "unshuffle":
                return layer, needed // factor**2
            case "norm" | "excite" | "attend":
                try:
                    shapes.output_shape(layer, (needed, 1, 1))
                except MisfitError as error:
                    expected = "Expected a layer that fits, or a convolution behind it."
                    raise self.fail(
                        f"{self.text[slice(*layer.span)]} does not fit: {error}",
                        layer.span,
                        expected,
                    ) from error
        return layer, needed

    def fail(self, problem: str, span: Span, expected: str) -> NetworkError:
        return NetworkError(
            f"cannot be adapted: {problem}", text=self.text, span=span, expected=expected
        )


def _repeated(repeat: Repeat, copies: tuple[Item, ...]) -> list[Item]:
    """The copies of ``repeat``, equal neighbours written as one repetition; itself if none has
    changed.
    """
    if all(copy == repeat.item for copy in copies):
        return [repeat]
    runs = [list(run) for _, run in groupby(copies)]
    return [run[0] if len(run) == 1 else Repeat(count=len(run), item=run[0]) for run in runs]
