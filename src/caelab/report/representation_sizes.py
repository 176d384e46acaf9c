"""Exercise 2.1: the size of every representation by the formula, and of the code."""

from collections.abc import Iterator, Sequence

from caelab.networks.ast import CodeMark, Item, Repeat, spell_out
from caelab.networks.description import Description
from caelab.networks.layers.base import LayerKind, Shape, format_shape, size_of
from caelab.report.document import Part


def size_part(description: Description) -> Part:
    """Return the part with the size formula applied to every layer, and the sizes with a name.

    Args:
        description: Description of the network.
    """
    layers = _layers(spell_out(description.network).items)
    rows, shape = [], description.input
    for index, row in enumerate(description.rows, 1):
        brackets = {"residual": "the input is added", "skip": "the input's channels are appended"}
        calculation = brackets.get(row.kind) or _calculation(next(layers), shape, row.shape)
        rows.append((index, row.text, calculation, format_shape(row.shape), row.size))
        shape = row.shape
    inputs = size_of(description.input)
    return Part("representation_sizes", {"network": description, "inputs": inputs, "sizes": rows})


def _layers(items: Sequence[Item]) -> Iterator[LayerKind]:
    """Walk through the layers in the order in which an image passes them."""
    for item in items:
        match item:
            case LayerKind():
                yield item
            case Repeat():
                yield from _layers(item.items * item.count)
            case CodeMark():
                pass
            case _:
                yield from _layers(item.items)


def _calculation(layer: LayerKind, before: Shape, after: Shape) -> str:
    """Write out the size of one layer's output; of images that are not square, for the width."""
    formula = layer.size_formula(before)
    if not formula and before == after:
        return "the shape stays"
    channels, height, width = after
    area = f"{width}²" if height == width else f"{height} · {width}"
    return f"{formula} = {area} · {channels} = {size_of(after):,}".strip()
