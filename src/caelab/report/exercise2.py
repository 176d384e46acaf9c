"""Exercise 2.1: the size of every representation by the formula, and what people mean by the size
of the code.
"""

from collections.abc import Iterator, Sequence

from caelab.networks.ast import CodeMark, Item, Network, Repeat, spell_out
from caelab.networks.description import Description
from caelab.networks.layers.base import LayerKind, Shape, format_shape
from caelab.report.document import Block, Column, Paragraph, Section, Table

FORMULA = "((W − K + 2P) / S + 1)² · C"


def size_sections(description: Description) -> list[Section]:
    """Return the formula applied to every layer of a network, and the sizes that have a name."""
    layers = list(_layers(spell_out(description.network)))
    rows, shape = [], description.input
    remaining = iter(layers)
    for index, row in enumerate(description.rows, 1):
        if row.kind in ("residual", "skip"):
            said = (
                "the input is added"
                if row.kind == "residual"
                else "the input's channels are put beside"
            )
        else:
            said = _said(next(remaining), shape, row.shape)
        rows.append((index, row.text, said, format_shape(row.shape), row.size))
        shape = row.shape
    columns = (
        Column("#", "d"), Column("layer", align="left"), Column("calculation", align="left"),
        Column("C × H × W"), Column("size", ",d"),
    )  # fmt: skip
    channels, height, width = description.input
    table = Table(
        columns=columns,
        rows=rows,
        caption=(
            f"The size formula {FORMULA} applied to every layer, for an input of"
            f" {channels}×{height}×{width} = {channels * height * width:,} numbers; W is the side"
            " before, K the kernel, P the padding, S the stride, C the channels behind. Fractions"
            " are rounded down."
        ),
    )
    blocks: list[Block] = [
        Paragraph(_code(description)),
        *map(Paragraph, _narrowest(description)),
        table,
    ]
    return [Section(title="2.1 The size of the code", blocks=blocks, level=2)]


def _layers(network: Network) -> Iterator[LayerKind]:
    def walk(items: Sequence[Item]) -> Iterator[LayerKind]:
        for item in items:
            match item:
                case LayerKind():
                    yield item
                case Repeat():
                    for _ in range(item.count):
                        yield from walk((item.item,))
                case CodeMark():
                    pass
                case _:
                    yield from walk(item.items)

    yield from walk(network.items)


def _said(layer: LayerKind, before: Shape, after: Shape) -> str:
    """The calculation of one layer; of images that are not square it is the width's."""
    formula = layer.size_formula(before)
    if not formula and before == after:
        return "the shape stays"
    channels, height, width = after
    sides = f"{width}²" if height == width else f"{height} · {width}"
    return f"{formula} = {sides} · {channels} = {channels * height * width:,}".strip()


def _code(description: Description) -> str:
    code = description.code
    if code is None:
        return "The text marks no code, so there is no size of one."
    channels, height, width = code.shape
    said = (
        f"The code, the representation at the mark between encoder and decoder ({code.where}), has "
        f"{height} · {width} · {channels} = {code.size:,} numbers"
    )
    if description.skip_around_code:
        return f"{said}; but a bracket runs around it, so that it is no bottleneck."
    inputs = description.input[0] * description.input[1] * description.input[2]
    return f"{said}: {code.size / inputs:.3g} of the input's {inputs:,}."


def _narrowest(description: Description) -> list[str]:
    code, narrowest = description.code, description.narrowest
    channels, height, width = narrowest.shape
    told = f"{height} · {width} · {channels} = {narrowest.size:,}"
    if code is None:
        return [
            (
                f"The narrowest representation that everything passes through has {told} numbers,"
                f" {narrowest.where}."
            )
        ]
    if narrowest.size == code.size:
        return [
            (
                "No representation on the way is smaller, so that both meanings of the word give the"
                " same number."
            )
        ]
    if narrowest.size > code.size:
        return []
    before = narrowest.row < code.row
    side = "before" if before else "behind"
    if before:
        squeezed = (
            f"{narrowest.size:,} is what the image is squeezed through: the code is computed from"
            " these numbers alone, so that it cannot tell more about an image than they do."
        )
    else:
        squeezed = (
            f"{narrowest.size:,} is what is still to come: no more than these numbers of it reach"
            " the output."
        )
    return [
        f"The narrowest representation stands {side} it: {told} numbers, {narrowest.where}.",
        (
            f"People give either number, and both have a reason. {code.size:,} is the output of the"
            " encoder's last layer: what the formula is asked for, what is stored as the code, and"
            f" what the decoder is given. {squeezed} So the size of the code is {code.size:,}, and"
            f" the bottleneck for information is {narrowest.size:,}."
        ),
    ]
