"""A network drawn from its description: boxes with shapes, from left to right, rows of them where
there are many.
"""

from html import escape

from caelab.networks import Description, LayerRow
from caelab.networks.layers.base import format_shape, size_of

BOX, GAP, ROW, BOXES_A_ROW = 96, 20, 150, 10
CODE, NARROWEST, PLAIN = "#D55E00", "#009E73", "#666666"


def draw_network(description: Description) -> bytes:
    """Return an SVG: one box a layer, as high as its representation is large (on a scale of fourth
    roots).
    """
    boxes = [("input", format_shape(description.input), size_of(description.input), "")]
    boxes += [(row.text, format_shape(row.shape), row.size, _said(row)) for row in description.rows]
    rows = -(-len(boxes) // BOXES_A_ROW)
    width = min(len(boxes), BOXES_A_ROW) * (BOX + GAP) - GAP + 8
    height = rows * ROW + 8
    largest = max(size for _, _, size, _ in boxes)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="12"'
            ' text-anchor="middle">'
        ),
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    marks = {description.narrowest.row: (NARROWEST, "the narrowest")}
    if description.code:
        both = description.code.row == description.narrowest.row
        marks[description.code.row] = (CODE, "code and narrowest" if both else "the code")
    for index, (text, shape, size, said) in enumerate(boxes):
        left = 4 + index % BOXES_A_ROW * (BOX + GAP)
        middle = 4 + index // BOXES_A_ROW * ROW + ROW / 2 - 8
        tall = 46 + 50 * (size / largest) ** 0.25
        color, mark = marks.get(index, (PLAIN, ""))
        if index:
            start = left - GAP + 2 if index % BOXES_A_ROW else left - 4
            parts.append(
                f'<path d="M{start} {middle:.1f}H{left - 2}" stroke="#333333" stroke-width="1.5"/>'
                f'<path d="M{left - 7} {middle - 4:.1f}l6 4l-6 4z" fill="#333333"/>'
            )
        center = left + BOX / 2
        parts += [
            (
                f'<rect x="{left}" y="{middle - tall / 2:.1f}" width="{BOX}" height="{tall:.1f}"'
                f' rx="5" fill="#f4f6f8" stroke="{color}" stroke-width="{2.5 if mark else 1}"/>'
            ),
            (
                f'<text x="{center}" y="{middle - 14:.1f}"'
                f' font-weight="600">{escape(_short(text))}</text>'
            ),
            f'<text x="{center}" y="{middle + 3:.1f}">{shape}</text>',
            (
                f'<text x="{center}" y="{middle + 19:.1f}" font-size="10.5"'
                f' fill="#444444">{size:,}{escape(said)}</text>'
            ),
        ]
        if mark:
            below = middle + tall / 2 + 15
            parts.append(
                f'<text x="{center}" y="{below:.1f}" fill="{color}" font-weight="600">{mark}</text>'
            )
    return "".join([*parts, "</svg>"]).encode()


def _said(row: LayerRow) -> str:
    return f" · {row.weights:,} w" if row.weights else ""


def _short(text: str) -> str:
    return text if len(text) <= 15 else f"{text[:14]}…"
