"""What ``describe`` finds about a network, as values, as JSON and as a table."""

from dataclasses import asdict, dataclass

from caelab.networks.ast import Network
from caelab.networks.layers.base import Shape, Span, format_shape, size_of


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One layer, or the end of a bracket, and the representation after it.

    Attributes:
        text: The layer as written.
        kind: The layer's name; ``residual`` or ``skip`` at the end of a bracket.
        shape: (C, H, W) after it.
        size: C·H·W, in numbers.
        receptive_field: Input pixels a side that can move one number here; ``None`` is the whole
            image.
        depth: Number of brackets around it.
        span: Its position in the description's text.
        weights: Weights and biases.
        weighted: True if the layer is a linear map whose channels can be chosen.
        multiply_accumulates: Number for one image in the layer's linear maps, those with the zeros
            of padding included, and in the products of attention. Biases, norms, pooling, means
            and interpolation count 0.
        remainder: Pixels a side that its stride left over.
    """

    text: str
    kind: str
    shape: Shape
    size: int
    receptive_field: int | None
    depth: int
    span: Span
    weights: int = 0
    weighted: bool = False
    multiply_accumulates: int = 0
    remainder: int = 0


@dataclass(frozen=True, kw_only=True)
class Representation:
    """A tensor on the way.

    Attributes:
        shape: (C, H, W).
        size: C·H·W, in numbers.
        row: The row it comes after, counted from 1; 0 is the input.
        where: The position in words.
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
        skip_around_code: True if a bracket runs around the code: then it is no bottleneck.
        weights: All weights and biases.
        multiply_accumulates: Number for one image if each layer is computed as it is written.
        multiply_accumulates_rewritten: Number for one image as ``build`` computes the network: each
            ``up conv`` as one convolution before the enlargement.
        receptive_field: Input pixels a side that can move one number of the output; ``None`` is the
            whole image.
        classifiers: Number of classes of each ``classify``.
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

    @property
    def code_size(self) -> int | None:
        """Numbers in the code; ``None`` without a code."""
        return self.code.size if self.code else None

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON has it; spans are left out."""
        found = asdict(self)
        # The tree is printed as the text; spans are positions in it that only errors need.
        del found["network"]
        for row in found["rows"]:
            del row["span"], row["weighted"]
        return {"text": self.text, **found}

    def as_table(self) -> str:
        """Return a table in plain text, one row a layer, and a summary below."""
        cells = [
            ("", "layer", "C×H×W", "size", "weights", "MACs", "field, px"),
            ("", "input", format_shape(self.input), f"{size_of(self.input):,}", "", "", ""),
        ]
        cells += [
            (
                str(index),
                "  " * row.depth + row.text,
                format_shape(row.shape),
                f"{row.size:,}",
                f"{row.weights:,}" if row.weights else "",
                f"{row.multiply_accumulates:,}" if row.multiply_accumulates else "",
                str(row.receptive_field or "all"),
            )
            for index, row in enumerate(self.rows, 1)
        ]
        marks = {self.narrowest.row: "  ← the narrowest"}
        summary = [
            f"narrowest   {_represented(self.narrowest)}.",
            f"weights     {self.weights:,}",
            f"cost        {self.multiply_accumulates:,} multiply-accumulates an image",
        ]
        if self.multiply_accumulates_rewritten != self.multiply_accumulates:
            summary.append(
                f"            {self.multiply_accumulates_rewritten:,} as it is computed: each up"
                " with its conv as one smaller convolution"
            )
        if self.code:
            both = ", the narrowest" if self.code.row in marks else ""
            marks[self.code.row] = f"  ← the code{both}"
            around = " A bracket runs around it: it is no bottleneck." * self.skip_around_code
            summary.insert(0, f"code        {_represented(self.code)}.{around}")
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        # Texts are aligned left, numbers right.
        layout = "  ".join(
            f"{{:{'<' if column == 1 else '>'}{width}}}" for column, width in enumerate(widths)
        )
        lines = [
            layout.format(*row) + marks.get(index, "") for index, row in enumerate(cells, start=-1)
        ]
        return "\n".join([self.text, "", *lines, "", *summary])


def _represented(representation: Representation) -> str:
    channels, height, width = representation.shape
    return f"{channels}·{height}·{width} = {representation.size:,}, {representation.where}"
