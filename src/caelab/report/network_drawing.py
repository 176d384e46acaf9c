"""A network drawn from its description: a box for each layer, in rows from left to right."""

from typing import Any

from jinja2 import Environment, PackageLoader

from caelab.networks.description import Description
from caelab.networks.layers.base import format_shape, size_of
from caelab.report.language import Language

BOX, GAP, ROW, PER_ROW = 96, 20, 150, 10
"""Width of a box, gap between boxes and height of a row, in pixels; boxes in a row."""


def draw_network(description: Description, language: Language) -> bytes:
    """Return an SVG with boxes whose height shows the size of the layer's output.

    The height follows the fourth root of the size, so that small and large layers are both visible.

    Args:
        description: Description of the network.
        language: Language of the labels.
    """
    layers = [("input", description.input, 0)]
    layers += [(row.text, row.shape, row.weights) for row in description.rows]
    largest = max(size_of(shape) for _, shape, _ in layers)
    code = description.code.row if description.code else None
    boxes: list[dict[str, Any]] = []
    for index, (text, shape, weights) in enumerate(layers):
        row, column = divmod(index, PER_ROW)
        boxes.append(
            {
                "text": text,
                "shape": format_shape(shape),
                "size": size_of(shape),
                "weights": weights,
                "left": 4 + column * (BOX + GAP),
                "middle": row * ROW + ROW / 2 - 4,
                "height": 46 + 50 * (size_of(shape) / largest) ** 0.25,
                "first": column == 0,
                "code": index == code,
                "narrowest": index == description.narrowest.row,
            }
        )
    environment = Environment(loader=PackageLoader("caelab.report"), autoescape=True)
    svg = environment.get_template("network.svg.j2").render(
        boxes=boxes,
        word=language.word,
        number=lambda value: language.number(f"{value:,}"),
        box=BOX,
        gap=GAP,
        width=min(len(boxes), PER_ROW) * (BOX + GAP) - GAP + 8,
        height=-(-len(boxes) // PER_ROW) * ROW + 8,
    )
    return svg.encode()
