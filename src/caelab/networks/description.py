"""What ``describe`` finds about a network, as values, as JSON and as a table."""

from collections.abc import Mapping
from dataclasses import dataclass

from caelab.networks.ast import Network, Span
from caelab.networks.shapes import Shape, format_shape, size_of


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One layer, or the end of a bracket, and the representation behind it.

    Attributes:
        text: The layer as written, with the activation that follows where it is not the text's
            default.
        kind: The layer's name; ``residual`` or ``skip`` at the end of a bracket.
        shape: (C, H, W) behind it.
        size: C·H·W, in numbers.
        weights: Weights and biases.
        multiply_accumulates: Of its linear maps for one image, taken literally, padding included,
            and of attention's products; biases, norms, pooling, means and interpolation count 0.
        receptive_field: Input pixels a side that can move one number here; ``None`` is the whole
            image.
        depth: How many brackets it stands in.
        remainder: Pixels a side that its stride left over.
        span: Its place in the description's text.
    """

    text: str
    kind: str
    shape: Shape
    size: int
    weights: int
    multiply_accumulates: int
    receptive_field: int | None
    depth: int
    remainder: int
    span: Span


@dataclass(frozen=True, kw_only=True)
class Representation:
    """A tensor on the way. ``row`` counts rows from 1 and is the one it stands behind; 0 is the
    input.
    """

    shape: Shape
    size: int
    row: int
    where: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """What ``describe`` finds.

    Attributes:
        network: The network's tree.
        input: (C, H, W) of the images.
        output: (C, H, W) of what comes out.
        rows: The layers, in order, repetitions written out.
        code: The representation at ``|``; ``None`` without one.
        narrowest: The smallest representation between input and output that everything passes
            through: what has a residual or a skip running around it does not count.
        skip_around_code: Whether a bracket runs around the code: then it is no bottleneck.
        weights: All weights and biases.
        multiply_accumulates: For one image, of the text taken literally.
        multiply_accumulates_rewritten: The same where each ``up conv`` is done by phase kernels.
        receptive_field: Of the output, in input pixels a side; ``None`` is the whole image.
        classifiers: How many classes each ``classify`` tells.
    """

    network: Network
    input: Shape
    output: Shape
    rows: tuple[LayerRow, ...]
    code: Representation | None
    narrowest: Representation
    skip_around_code: bool
    weights: int
    multiply_accumulates: int
    multiply_accumulates_rewritten: int
    receptive_field: int | None
    classifiers: tuple[int, ...]

    @property
    def text(self) -> str:
        """The network's text in the canonical form."""
        return str(self.network)

    def as_dict(self) -> dict[str, object]:
        """Everything as JSON has it; spans are left out."""

        def plain(value: object) -> object:
            if isinstance(value, tuple):
                return [plain(inner) for inner in value]
            if isinstance(value, LayerRow | Representation):
                return plain(vars(value))
            if isinstance(value, Mapping):
                return {key: plain(inner) for key, inner in value.items() if key != "span"}
            return value

        found = {key: plain(value) for key, value in vars(self).items() if key != "network"}
        return {"text": self.text, **found}

    def as_table(self) -> str:
        """A table in plain text, a row a layer, with the code and the narrowest representation
        named below.
        """
        cells: list[tuple[str, ...]] = [("", "layer", "shape", "size", "weights", "MACs", "field")]
        cells.append(
            ("", "input", format_shape(self.input), _count(size_of(self.input)), "", "", "")
        )
        for index, row in enumerate(self.rows, 1):
            field = "all" if row.receptive_field is None else str(row.receptive_field)
            costs = [
                _count(cost) if cost else "" for cost in (row.weights, row.multiply_accumulates)
            ]
            cells.append(
                (
                    str(index),
                    "  " * row.depth + row.text,
                    format_shape(row.shape),
                    _count(row.size),
                    *costs,
                    field,
                )
            )
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        marks = {self.narrowest.row: "  ← the narrowest"}
        if self.code:
            marks[self.code.row] = "  ← the code" + (
                ", the narrowest" if self.code.row in marks else ""
            )
        lines = []
        for index, row_cells in enumerate(cells):
            padded = [
                cell.ljust(width) if column == 1 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row_cells, widths, strict=True))
            ]
            lines.append("  ".join(padded) + marks.get(index - 1, ""))
        return "\n".join([self.text, "", *lines, "", *self._summary()])

    def _summary(self) -> list[str]:
        lines = []
        if self.code:
            around = (
                " A bracket runs around it: it is no bottleneck." if self.skip_around_code else ""
            )
            lines.append(f"code        {_represented(self.code)}.{around}")
        lines.append(f"narrowest   {_represented(self.narrowest)}.")
        lines.append(f"weights     {_count(self.weights)}")
        cost = f"{_count(self.multiply_accumulates)} multiply-accumulates an image"
        if self.multiply_accumulates_rewritten != self.multiply_accumulates:
            cost += f" ({_count(self.multiply_accumulates_rewritten)} with up conv rewritten)"
        return [*lines, f"cost        {cost}"]


def _count(value: int) -> str:
    return f"{value:,}"


def _represented(representation: Representation) -> str:
    channels, height, width = representation.shape
    return f"{channels}·{height}·{width} = {_count(representation.size)}, {representation.where}"
