"""A network's text → every representation on the way: shape, size, weights, cost, receptive field.
No torch.

The size of a representation is ((W − K + 2P)/S + 1)² · C numbers after a square convolution,
rounded down. Two of them have names: the **code**, where the text has its ``|``, and the
**narrowest**, through which everything passes.
"""

from caelab.errors import InputError
from caelab.networks import receptive_field, shapes
from caelab.networks.ast import (
    CodeMark,
    Item,
    Layer,
    Network,
    NetworkError,
    Residual,
    Skip,
    Span,
    format_layer,
    unroll,
)
from caelab.networks.description import Description, LayerRow, Representation
from caelab.networks.receptive_field import Field
from caelab.networks.shapes import MisfitError, Shape, format_shape, size_of

MOST_VALUES = 2**28
MOST_WEIGHTS = 10**9


def describe(
    network: Network,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 32,
    output_channels: int | None = None,
) -> Description:
    """Describe a network on images of C ``channels`` and ``size`` pixels, or (height, width).

    Args:
        network: The network's tree, as ``parse`` returns it.
        channels: Channels C of the images.
        size: Their size in pixels.
        output_channels: If given, the output must be an image of the input's size with that many
            channels.

    Raises:
        NetworkError: A shape does not fit, or the network is absurdly large;
            with a caret.
        InputError: ``channels`` or ``size`` is not positive.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(channels, height, width) < 1 or channels * height * width > MOST_VALUES:
        raise InputError(
            f"an image of {channels} channels and {height}×{width} pixels: each must be at least 1,"
            f" and their product at most {MOST_VALUES}."
        )
    image = (channels, height, width)
    walk = _Walk(network, image=image)
    output, field = walk.sequence(network.items, image, receptive_field.INPUT, depth=0)
    description = Description(
        network=network,
        input=image,
        output=output,
        rows=tuple(walk.rows),
        code=walk.code,
        narrowest=_narrowest(walk.rows),
        skip_around_code=walk.skip_around_code,
        weights=sum(row.weights for row in walk.rows),
        multiply_accumulates=sum(row.multiply_accumulates for row in walk.rows),
        multiply_accumulates_rewritten=sum(row.multiply_accumulates for row in walk.rows)
        - walk.saved,
        receptive_field=field.extent if field else None,
        classifiers=tuple(walk.classifiers),
    )
    if output_channels is not None:
        require_image_output(description, channels=output_channels)
    return description


def require_image_output(description: Description, *, channels: int = 3) -> None:
    """Raise unless the output has the input's height and width, and ``channels`` channels.

    Raises:
        NetworkError: It has not; the message says at which layer the size was lost, and what would
            do.
    """
    rows = description.rows
    height, width = description.input[1:]
    wanted = (channels, height, width)
    if description.output == wanted:
        return
    problem = (
        f"the output is {format_shape(description.output)}, not the image's {format_shape(wanted)}"
    )
    culprit = rows[-1]
    if description.output[1:] == (height, width):
        culprit = next(
            (row for row in reversed(rows) if row.kind in ("conv", "deconv", "dense")), culprit
        )
        advice = f"Expected a last layer that leaves {channels} channels, such as conv{channels}."
    else:
        lossy = next((index for index, row in enumerate(rows) if row.remainder), None)
        advice = ""
        if lossy is not None:
            culprit = rows[lossy]
            problem += _name_rest(rows, lossy, description.input)
        sizes = _sizes_that_fit(description.network, description.input)
        if sizes:
            advice = f"Images of {' or '.join(sizes)} pixels would do. "
        elif height % description.output[1] == width % description.output[2] == 0:
            factor = height // description.output[1]
            advice = (
                f"The output is {factor}× too small: a further up{factor if factor > 2 else ''}"
                " would do. "
            )
        advice += "Expected as much upsampling as downsampling, and padding 'same'."
    raise NetworkError(problem, text=description.text, span=culprit.span, expected=advice)


def require_enlargeable(description: Description, *, channels: int = 3) -> None:
    """Raise unless the network also takes its images enlarged by a quarter, and gives ``channels``
    channels of them.

    Raises:
        InputError: It does not, or their sides are no multiples of 4.
    """
    inputs, height, width = description.input
    if height % 4 or width % 4:
        raise InputError(
            f"`test_time.scale`: images of {height}×{width} pixels cannot be enlarged by a"
            " quarter. The sides must be multiples of 4."
        )
    size = (height * 5 // 4, width * 5 // 4)
    try:
        require_image_output(
            describe(description.network, channels=inputs, size=size), channels=channels
        )
    except NetworkError as error:
        raise InputError(
            f"`test_time.scale`: of images of {size[0]}×{size[1]} pixels, {error}"
        ) from error


class _Walk:
    """One way through the network, gathering rows.

    Where ``image`` is given, the error of a bracket that loses pixels says which sizes would do
    instead.
    """

    def __init__(self, network: Network, *, image: Shape | None = None) -> None:
        self.network = network
        self.image = image
        self.rows: list[LayerRow] = []
        self.code: Representation | None = None
        self.skip_around_code = False
        self.classifiers: list[int] = []
        self.weights = 0
        self.saved = 0

    def fail(self, problem: str, span: Span, expected: str) -> NetworkError:
        return NetworkError(problem, text=self.network.text, span=span, expected=expected)

    def sequence(
        self, items: tuple[Item, ...], shape: Shape, field: Field | None, *, depth: int
    ) -> tuple[Shape, Field | None]:
        previous: Item | None = None
        for item in unroll(items):
            match item:
                case Layer():
                    if isinstance(previous, Layer) and shapes.merges(previous, item):
                        self.count_saving(previous, item, shape)
                    shape, field = self.layer(item, shape, field, depth)
                case Residual() | Skip():
                    shape, field = self.bracket(item, shape, field, depth)
                case CodeMark():
                    behind = len(self.rows)
                    where = f"behind {behind}, {self.rows[-1].text}" if self.rows else "the input"
                    self.code = Representation(
                        shape=shape, size=size_of(shape), row=behind, where=where
                    )
                    self.skip_around_code = depth > 0
            previous = item
        return shape, field

    def layer(
        self, layer: Layer, shape: Shape, field: Field | None, depth: int
    ) -> tuple[Shape, Field | None]:
        try:
            after = shapes.output_shape(layer, shape)
        except MisfitError as error:
            expected = f"The layer is given {format_shape(shape)} (channels×height×width)."
            raise self.fail(
                f"{format_layer(layer)} does not fit: {error}", layer.span, expected
            ) from error
        if size_of(after) > MOST_VALUES:
            raise self.fail(
                f"a representation of {format_shape(after)}",
                layer.span,
                f"At most {MOST_VALUES} numbers are allowed.",
            )
        if layer.name == "classify":
            self.classifiers.append(shapes.number(layer))
        weights = shapes.weight_count(layer, shape)
        self.weights += weights
        if self.weights > MOST_WEIGHTS:
            raise self.fail(
                f"{self.weights} weights", layer.span, f"At most {MOST_WEIGHTS} are allowed."
            )
        field = receptive_field.through(layer, field)
        self.rows.append(
            LayerRow(
                text=format_layer(layer),
                kind=layer.name,
                shape=after,
                size=size_of(after),
                weights=weights,
                multiply_accumulates=shapes.multiply_accumulates(layer, shape),
                receptive_field=field.extent if field else None,
                depth=depth,
                remainder=shapes.remainder(layer, shape),
                span=layer.span,
            )
        )
        return after, field

    def bracket(
        self, bracket: Residual | Skip, shape: Shape, field: Field | None, depth: int
    ) -> tuple[Shape, Field | None]:
        begun = len(self.rows)
        inner, inner_field = self.sequence(bracket.items, shape, field, depth=depth + 1)
        kind = "residual" if isinstance(bracket, Residual) else "skip"
        fits = inner == shape if kind == "residual" else inner[1:] == shape[1:]
        if not fits:
            does = "adds" if kind == "residual" else "concatenates"
            needs = "the same shape" if kind == "residual" else "the same height and width"
            problem = (
                f"the {kind} {does} x of {format_shape(shape)} and f(x) of {format_shape(inner)}"
            )
            expected = f"Expected layers in the bracket that come back to {needs}."
            lossy = next(
                (index for index in range(begun, len(self.rows)) if self.rows[index].remainder),
                None,
            )
            if lossy is not None and self.image:
                problem += _name_rest(self.rows, lossy, self.image)
                if sizes := _sizes_that_fit(self.network, self.image):
                    expected = f"Images of {' or '.join(sizes)} pixels would do. {expected}"
            raise self.fail(problem, bracket.span, expected)
        after = shape if kind == "residual" else (shape[0] + inner[0], *inner[1:])
        field = receptive_field.union(field, inner_field)
        self.rows.append(
            LayerRow(
                text="x + f(x)" if kind == "residual" else "[x, f(x)]",
                kind=kind,
                shape=after,
                size=size_of(after),
                weights=0,
                multiply_accumulates=0,
                receptive_field=field.extent if field else None,
                depth=depth,
                remainder=0,
                span=bracket.span,
            )
        )
        return after, field

    def count_saving(self, up: Layer, convolution: Layer, shape: Shape) -> None:
        """``shape`` is that between the two. A transposed convolution with K + S − 1 weights a side
        does both.
        """
        factor = shapes.number(up)
        literal = shapes.multiply_accumulates(convolution, shape)
        rewritten = (
            literal * (convolution.kernel + factor - 1) ** 2 // (convolution.kernel * factor) ** 2
        )
        self.saved += max(0, literal - rewritten)


def _narrowest(rows: list[LayerRow]) -> Representation:
    passed = [index for index, row in enumerate(rows) if row.depth == 0]
    index = min(passed[:-1] or passed, key=lambda index: rows[index].size)
    row = rows[index]
    return Representation(
        shape=row.shape, size=row.size, row=index + 1, where=f"behind {index + 1}, {row.text}"
    )


def _name_rest(rows: list[LayerRow] | tuple[LayerRow, ...], index: int, image: Shape) -> str:
    """How an error goes on about the row at ``index``, whose stride left pixels over."""
    before = rows[index - 1].shape if index else image
    return (
        f"; {rows[index].text} made {format_shape(rows[index].shape)} of {format_shape(before)},"
        " with a rest"
    )


def _sizes_that_fit(network: Network, image: Shape) -> list[str]:
    """The nearest smaller and larger image sizes, if any within 64 pixels, that come out as they
    went in.
    """
    channels, height, width = image
    found = []
    for step in (-1, 1):
        sides = []
        for axis, side in enumerate((height, width)):
            for distance in range(65):
                if (candidate := side + step * distance) < 1:
                    break
                try:
                    shape = (channels, candidate, candidate)
                    output, _ = _Walk(network).sequence(
                        network.items, shape, receptive_field.INPUT, depth=0
                    )
                except NetworkError:
                    continue
                if output[1 + axis] == candidate:
                    sides.append(candidate)
                    break
        if len(sides) == 2:
            found.append(f"{sides[0]}×{sides[1]}")
    return found
