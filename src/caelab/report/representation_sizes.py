"""Exercise 2.1: the size of the code, and the formula for the size of every representation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from caelab.networks.ast import CodeMark, Item, Repeat, spell_out
from caelab.networks.description import Description, Representation
from caelab.networks.layers.base import LayerKind, Shape, format_shape, size_of
from caelab.networks.layers.convolutions import Conv
from caelab.report.document import Part

BRACKETS = ("residual", "skip")
"""Kinds of the rows of a description that are no layers but the end of a bracket, which adds or
concatenates two representations."""


@dataclass(frozen=True, kw_only=True)
class SizeExample:
    """The size formula with the numbers of one layer.

    Attributes:
        network: Name of the network that has the layer.
        layer: Text of the layer.
        calculation: The formula with its numbers and its result.
    """

    network: str
    layer: str
    calculation: str


@dataclass(frozen=True, kw_only=True)
class SizeAnswer:
    """The size of a network's code and of its narrowest representation.

    Attributes:
        input: Shape (C, H, W) of the images.
        inputs: Number of values in an image.
        code: Output of the encoder; ``None`` if the network's text marks no code.
        narrowest: Smallest representation that everything passes through.
        skip_around_code: Whether a skip connection runs around the code. Such a code is no
            bottleneck.
        example: A convolution whose quotient is rounded down if any network has one, otherwise the
            first convolution; ``None`` without convolutions.
    """

    input: Shape
    inputs: int
    code: Representation | None
    narrowest: Representation
    skip_around_code: bool
    example: SizeExample | None


def size_part(descriptions: Mapping[str, Description]) -> tuple[SizeAnswer, Part]:
    """Return the sizes, and the part of the report that applies the size formula to every layer.

    Args:
        descriptions: Descriptions of networks by name. The first network is the one that the answer
            is about; the others are searched for an example.
    """
    description = next(iter(descriptions.values()))
    rows = [
        (index, row.text, calculation, format_shape(row.shape), row.size)
        for index, (row, calculation) in enumerate(
            zip(description.rows, size_calculations(description), strict=True), 1
        )
    ]
    answer = SizeAnswer(
        input=description.input,
        inputs=size_of(description.input),
        code=description.code,
        narrowest=description.narrowest,
        skip_around_code=description.skip_around_code,
        example=_example(descriptions),
    )
    return answer, Part("representation_sizes", {"answer": answer, "sizes": rows})


def _example(descriptions: Mapping[str, Description]) -> SizeExample | None:
    examples: dict[bool, SizeExample] = {}
    for name, description in descriptions.items():
        layers, shape = _layers(spell_out(description.network).items), description.input
        for row in description.rows:
            layer = None if row.kind in BRACKETS else next(layers)
            if isinstance(layer, Conv):
                steps = shape[2] - layer.extent + sum(layer.margins)
                example = SizeExample(
                    network=name,
                    layer=row.text,
                    calculation=_calculation(layer, shape, row.shape),
                )
                examples.setdefault(steps % layer.stride > 0, example)
            shape = row.shape
    return examples.get(True) or examples.get(False)


def size_calculations(description: Description) -> list[str]:
    """Return the size formula with the numbers of each layer, one text for each row.

    Args:
        description: Description of the network.

    Returns:
        The formula, which ends with an area, channels and result such as ``8² · 16 = 1,024``;
        ``same`` for a layer that keeps the shape and has no formula; ``residual`` or ``skip`` for
        the end of a bracket.
    """
    layers = _layers(spell_out(description.network).items)
    calculations, shape = [], description.input
    for row in description.rows:
        brackets = row.kind in BRACKETS
        calculations.append(row.kind if brackets else _calculation(next(layers), shape, row.shape))
        shape = row.shape
    return calculations


def _layers(items: Sequence[Item]) -> Iterator[LayerKind]:
    """Yield the layers in the order in which an image passes them."""
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
    """Return a layer's size formula with its numbers, for the width of the output, and the result.

    Args:
        layer: The layer.
        before: Shape of the layer's input.
        after: Shape of the layer's output.
    """
    formula = layer.size_formula(before)
    if not formula and before == after:
        # The template says in words that such a layer, for example an activation, keeps the size.
        return "same"
    channels, height, width = after
    area = f"{width}²" if height == width else f"{height} · {width}"
    return f"{formula} = {area} · {channels} = {size_of(after):,}".strip()
