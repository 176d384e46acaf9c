"""Exercise 2.1: the size of every representation by the formula, and what people mean by the size
of the code.
"""

from collections.abc import Iterator, Sequence

from caelab.networks.ast import CodeMark, Item, Layer, Network, Repeat, spell_out
from caelab.networks.description import Description
from caelab.networks.shapes import convolution_padding, format_shape, number, transposed_padding
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
            said = _said(next(remaining), shape[1:], row.shape)
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


def _layers(network: Network) -> Iterator[Layer]:
    def walk(items: Sequence[Item]) -> Iterator[Layer]:
        for item in items:
            match item:
                case Layer():
                    yield item
                case Repeat():
                    for _ in range(item.count):
                        yield from walk((item.item,))
                case CodeMark():
                    pass
                case _:
                    yield from walk(item.items)

    yield from walk(network.items)


def _said(layer: Layer, before: tuple[int, int], after: tuple[int, int, int]) -> str:
    """The calculation of one layer; of images that are not square it is the width's."""
    side = before[1]
    channels, height, width = after
    size = channels * height * width
    end = (
        f"= {width}² · {channels} = {size:,}"
        if after[1] == width
        else f"= {after[1]} · {width} · {channels} = {size:,}"
    )
    match layer.name:
        case "conv":
            first, second = convolution_padding(layer)
            zeros = f"2·{first}" if first == second else f"{first} + {second}"
            kernel = (layer.kernel - 1) * layer.dilation + 1
            return f"(({side} − {kernel} + {zeros})/{layer.stride} + 1)² · {channels} {end}"
        case "pool" | "avgpool":
            window = number(layer)
            return f"(({side} − {window} + 2·0)/{window} + 1)² · {channels} {end}"
        case "deconv":
            padding, output = transposed_padding(layer)
            rest = f" + {output}" if output else ""
            return (
                f"(({side} − 1)·{layer.stride} + {layer.kernel} − 2·{padding}{rest})² · {channels}"
                f" {end}"
            )
        case "up" | "upbilinear":
            return f"({side}·{number(layer)})² · {channels} {end}"
        case "shuffle":
            return f"({side}·{number(layer)})², channels / {number(layer)}² {end}"
        case "unshuffle":
            return f"({side} / {number(layer)})², channels · {number(layer)}² {end}"
        case "dense":
            return f"every number into each of {size:,}"
    return "the shape stays"


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
