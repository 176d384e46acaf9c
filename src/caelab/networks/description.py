"""The result of ``describe``: dataclasses, which can be written as JSON and as a text table."""

from dataclasses import asdict, dataclass

from caelab.networks.ast import Network
from caelab.networks.layers.base import ReceptiveField, Shape, Span, format_shape, size_of


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One layer, or the end of a bracket, and its output.

    Attributes:
        text: Text of the layer; ``x + f(x)`` or ``[x, f(x)]`` at the end of a bracket.
        kind: Name of the layer; ``residual`` or ``skip`` at the end of a bracket.
        shape: Shape (C, H, W) of the output.
        size: Number of elements of the output, C·H·W.
        receptive_field: Side in pixels of the square of the network's input that one number of the
            output depends on; ``None`` if it is the whole image.
        field: The input pixels that each output pixel depends on; ``None`` for the whole image.
        depth: Number of brackets around the layer.
        span: Start and end of the layer, or of the whole bracket, in the network's text.
        weights: Number of weights and biases.
        weighted: True if the layer is a linear map whose output channels can be chosen.
        multiply_accumulates: Number of multiply-accumulates for one image, in linear maps and in
            the products of attention. Products with the zeros of padding count; biases, norms,
            pooling, means and interpolation do not.
        remainder: Number of pixels between a side of the layer's input and a multiple of the
            stride; 0 if both sides are multiples.
    """

    text: str
    kind: str
    shape: Shape
    size: int
    receptive_field: int | None
    field: ReceptiveField | None
    depth: int
    span: Span
    weights: int = 0
    weighted: bool = False
    multiply_accumulates: int = 0
    remainder: int = 0


@dataclass(frozen=True, kw_only=True)
class Representation:
    """The input of a network or the output of one of its layers, for one image.

    Attributes:
        shape: Its shape (C, H, W).
        size: Its number of elements, C·H·W.
        row: Number of the row whose output it is, counted from 1; 0 for the network's input.
        where: Its position in words, such as ``after layer 5, conv16``.
    """

    shape: Shape
    size: int
    row: int
    where: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """The shapes, sizes, weights and costs of a network for images of one size.

    Attributes:
        network: The network's tree.
        input: Shape (C, H, W) of the images.
        output: Shape (C', H', W') of the network's output.
        rows: Rows of the layers and of the ends of brackets, in order, with repetitions written
            out.
        code: The representation at ``|``; ``None`` if the text has no ``|``.
        narrowest: The smallest representation between input and output that everything passes
            through. Representations inside brackets do not count, because x passes around them.
        skip_around_code: True if the code is inside a bracket. Then the code is no bottleneck,
            because x passes around it.
        weights: Number of all weights and biases.
        multiply_accumulates: Number of multiply-accumulates for one image if each layer is computed
            as the text says.
        multiply_accumulates_rewritten: The same number as ``build`` computes the network, with
            each ``up conv`` as one layer.
        receptive_field: Side in pixels of the square of the input that one number of the output
            depends on; ``None`` if it is the whole image.
        classifiers: Number of classes of each ``classify`` layer, in the order of the text.
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
        """The network's text in canonical form."""
        return str(self.network)

    @property
    def code_size(self) -> int | None:
        """Number of elements of the code; ``None`` if there is no code."""
        return self.code.size if self.code else None

    def input_area(self, row: int, y: int, x: int) -> tuple[slice, slice]:
        """Return the part of the image that one number after a layer depends on.

        >>> import caelab
        >>> caelab.describe("conv8 pool | up conv3").input_area(2, 0, 5)
        (slice(0, 3, None), slice(9, 13, None))

        Args:
            row: Number of the layer's row, counted from 1; 0 for the image itself.
            y: Row of the number in the layer's output, from 0.
            x: Column of the number.

        Returns:
            Rows and columns of the image. They are empty if the number depends on no pixel.

        Raises:
            IndexError: There is no such row, or its output has no such position.
        """
        if not 0 <= row <= len(self.rows):
            raise IndexError(f"row {row}: the network has {len(self.rows)} rows")
        shape = self.rows[row - 1].shape if row else self.input
        field = self.rows[row - 1].field if row else ReceptiveField()
        found = []
        for position, side, pixels in zip((y, x), shape[1:], self.input[1:], strict=True):
            if not 0 <= position < side:
                raise IndexError(f"position {position}: the output has {side} pixels there")
            first, last = field.at(position) if field else (0, pixels - 1)
            start = min(max(first, 0), pixels)
            found.append(slice(start, max(start, min(last + 1, pixels))))
        rows, columns = found
        return rows, columns

    def as_dict(self) -> dict[str, object]:
        """Return the attributes as JSON values, with the text instead of the tree."""
        found = asdict(self)
        # Only error messages need spans and `weighted`, and the side of a field says enough.
        del found["network"]
        for row in found["rows"]:
            del row["span"], row["weighted"], row["field"]
        return {"text": self.text, **found}

    def as_table(self) -> str:
        """Return a plain-text table, with one row for each layer, and a summary below it."""
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
            f"cost        {self.multiply_accumulates:,} multiply-accumulates for one image",
        ]
        if self.multiply_accumulates_rewritten != self.multiply_accumulates:
            summary.append(
                f"            {self.multiply_accumulates_rewritten:,} as the network is computed,"
                " with each `up conv` as one layer"
            )
        if self.code:
            both = ", the narrowest" if self.code.row in marks else ""
            marks[self.code.row] = f"  ← the code{both}"
            around = ""
            if self.skip_around_code:
                around = " A bracket runs around the code, so it is no bottleneck."
            summary.insert(0, f"code        {_represented(self.code)}.{around}")
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        # The column of layers is aligned left, and the columns of numbers are aligned right.
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
