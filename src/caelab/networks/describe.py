"""Tree → every representation on the way: shape, size, weights, cost, receptive field. No torch.

The size of a representation is ((W − K + 2P)/S + 1)² · C numbers after a square convolution,
rounded down. Two of them have names: the **code**, where the text has its ``|``, and the
**narrowest**, through which everything passes.
"""

from collections.abc import Sequence
from typing import Any

from caelab.errors import InputError
from caelab.networks.ast import (
    Bracket,
    CodeMark,
    Item,
    Network,
    NetworkError,
    Residual,
    unroll,
)
from caelab.networks.description import Description, LayerRow, Representation
from caelab.networks.layers.base import (
    LayerKind,
    MisfitError,
    ReceptiveField,
    Shape,
    format_shape,
    size_of,
)

MAX_VALUES = 2**28
MAX_WEIGHTS = 10**9
MAX_SIZE_CHANGE = 64
"""Pixels a side by which an error's proposal of another image size may differ."""


def describe(
    network: Network,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 32,
) -> Description:
    """Describe a network on images of C ``channels`` and ``size`` pixels, or (height, width).

    >>> from caelab.networks import parse
    >>> found = describe(parse("reference"))
    >>> found.code.shape, found.narrowest.size, found.weights
    ((16, 8, 8), 768, 4911)

    Args:
        network: The network's tree, as ``parse`` returns it.
        channels: Channels C of the images.
        size: Their side in pixels, or (height, width).

    Raises:
        NetworkError: A shape does not fit, or the network is absurdly large.
        InputError: ``channels`` or ``size`` is not positive.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(channels, height, width) < 1 or channels * height * width > MAX_VALUES:
        raise InputError(
            f"an image of {channels} channels and {height}×{width} pixels: each must be at least 1,"
            f" and their product at most {MAX_VALUES}."
        )
    image = (channels, height, width)
    walk = _Walk(network, image=image)
    walk.sequence(network.items, image, ReceptiveField())
    last = walk.rows[-1]
    multiply_accumulates = sum(row.multiply_accumulates for row in walk.rows)
    return Description(
        network=network,
        input=image,
        output=last.shape,
        rows=tuple(walk.rows),
        code=walk.code,
        narrowest=_narrowest(walk.rows),
        skip_around_code=walk.skip_around_code,
        weights=walk.weights,
        multiply_accumulates=multiply_accumulates,
        multiply_accumulates_rewritten=multiply_accumulates - walk.saved,
        receptive_field=last.receptive_field,
        classifiers=tuple(walk.classifiers),
    )


def require_image_output(description: Description, *, channels: int = 3) -> None:
    """Raise unless the output has the input's height and width, and ``channels`` channels.

    Raises:
        NetworkError: It has not; the message says at which layer the size was lost, and what to do.
    """
    rows = description.rows
    height, width = description.input[1:]
    expected = (channels, height, width)
    if description.output == expected:
        return
    problem = (
        f"the output is {format_shape(description.output)}, not the image's"
        f" {format_shape(expected)}"
    )
    if description.output[1:] == (height, width):
        # Only a layer whose channels are free can be changed; norms and pooling pass theirs on.
        culprit = next((row for row in reversed(rows) if row.weighted), rows[-1])
        advice = f"Expected a last layer that leaves {channels} channels, such as conv{channels}."
    else:
        remainder, lossy = _name_remainder(rows, 0, description.input)
        problem += remainder
        culprit = lossy or rows[-1]
        advice = _advise_sizes(description.network, description.input)
        high, wide = description.output[1:]
        # A whole factor on both sides is probably a forgotten `up`.
        if not advice and height % high == width % wide == 0:
            factor = height // high
            advice = f"The output is {factor}× too small: add an up{factor if factor > 2 else ''}. "
        # If other sizes fit, nothing is wrong with the network.
        advice = advice or "Expected as much upsampling as downsampling, and padding 'same'."
    raise description.network.error(problem, culprit.span, advice)


def require_enlargeable(description: Description, *, channels: int = 3) -> None:
    """Raise unless the network also takes its images enlarged by a quarter.

    Args:
        description: The network on its images of the usual size.
        channels: Channels that the output must have.

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
        enlarged = describe(description.network, channels=inputs, size=size)
        require_image_output(enlarged, channels=channels)
    except NetworkError as error:
        raise InputError(
            f"`test_time.scale`: for images of {size[0]}×{size[1]} pixels, {error}"
        ) from error


class _Walk:
    """One pass through the network, gathering rows.

    With ``image``, the error of a bracket that loses pixels says which image sizes would fit.
    """

    def __init__(self, network: Network, *, image: Shape | None = None) -> None:
        self.network = network
        self.image = image
        self.rows: list[LayerRow] = []
        self.code: Representation | None = None
        self.skip_around_code = False
        self.classifiers: list[int] = []
        self.depth = self.weights = self.saved = 0

    def sequence(
        self, items: tuple[Item, ...], shape: Shape, field: ReceptiveField | None
    ) -> tuple[Shape, ReceptiveField | None]:
        previous: Item | None = None
        before = shape
        for item in unroll(items):
            match item:
                case LayerKind():
                    if isinstance(previous, LayerKind) and (merged := item.absorb(previous)):
                        # `build` computes the two layers as one. The table shows the layers as they
                        # are written, and the saving is kept apart.
                        literal = item.multiply_accumulates(shape)
                        self.saved += literal - merged.multiply_accumulates(before)
                    before = shape
                    shape, field = self.layer(item, shape, field)
                case CodeMark():
                    # Inside a bracket the code is not all that reaches the decoder: x goes around
                    # it.
                    self.code = _representation(self.rows, len(self.rows), shape)
                    self.skip_around_code = self.depth > 0
                case _:
                    shape, field = self.bracket(item, shape, field)
            previous = item
        return shape, field

    def layer(
        self, layer: LayerKind, shape: Shape, field: ReceptiveField | None
    ) -> tuple[Shape, ReceptiveField | None]:
        try:
            after = layer.shape(shape)
        except MisfitError as error:
            raise self.network.error(
                f"{layer} does not fit: {error}",
                layer.span,
                f"The layer's input is {format_shape(shape)} (channels×height×width).",
            ) from error
        weights = layer.weights(shape)
        self.weights += weights
        # A short text can ask for more than any memory holds: refused before it is allocated.
        for count, what, most in (
            (size_of(after), f"a representation of {format_shape(after)}", MAX_VALUES),
            (self.weights, f"{self.weights} weights", MAX_WEIGHTS),
        ):
            if count > most:
                raise self.network.error(what, layer.span, f"At most {most} numbers are allowed.")
        if layer.name == "classify":
            self.classifiers.append(layer.number)
        # None stands for the whole image, which stays the whole image in all later layers.
        field = field and layer.receptive_field(field)
        self.add_row(
            layer,
            after,
            field,
            text=str(layer),
            kind=layer.name,
            weights=weights,
            weighted=layer.weighted,
            multiply_accumulates=layer.multiply_accumulates(shape),
            remainder=layer.remainder(shape),
        )
        return after, field

    def bracket(
        self, bracket: Bracket, shape: Shape, field: ReceptiveField | None
    ) -> tuple[Shape, ReceptiveField | None]:
        # Pixels that were lost before the bracket do not matter: x has lost the same pixels.
        begun = len(self.rows)
        self.depth += 1
        inner, inner_field = self.sequence(bracket.items, shape, field)
        self.depth -= 1
        # Both are marked by a row of their own, as the shape after the bracket is not f(x)'s.
        if isinstance(bracket, Residual):
            kind, text, does, needs = "residual", "x + f(x)", "adds", "the same shape"
            after = expected = shape
        else:
            kind, text, does = "skip", "[x, f(x)]", "concatenates"
            needs = "the same height and width"
            expected = (inner[0], *shape[1:])
            after = (shape[0] + inner[0], *shape[1:])
        if inner != expected:
            remainder, culprit, advice = "", None, ""
            if self.image:
                remainder, culprit = _name_remainder(self.rows, begun, self.image)
            if self.image and culprit:
                advice = _advise_sizes(self.network, self.image)
            raise self.network.error(
                f"the {kind} {does} x of {format_shape(shape)} and f(x) of {format_shape(inner)}"
                f"{remainder}",
                culprit.span if culprit else bracket.span,
                f"{advice}Expected layers in the bracket that come back to {needs}.",
            )
        # The output depends on what x depends on, and on what f(x) depends on.
        field = field and field.union(inner_field)
        self.add_row(bracket, after, field, text=text, kind=kind)
        return after, field

    def add_row(
        self, item: LayerKind | Bracket, shape: Shape, field: ReceptiveField | None, **more: Any
    ) -> None:
        row = LayerRow(
            shape=shape,
            size=size_of(shape),
            receptive_field=field.extent if field else None,
            depth=self.depth,
            span=item.span,
            **more,
        )
        self.rows.append(row)


def _representation(rows: Sequence[LayerRow], row: int, shape: Shape) -> Representation:
    """Describe the tensor after the row counted from 1, or the input where that is 0."""
    where = f"after layer {row}, {rows[row - 1].text}" if row else "the input"
    return Representation(shape=shape, size=size_of(shape), row=row, where=where)


def _narrowest(rows: list[LayerRow]) -> Representation:
    # Inside a bracket a representation is not all there is: x passes outside. The output does not
    # count, unless it is the only one: its size is the image's.
    passed = [index for index, row in enumerate(rows) if row.depth == 0]
    index = min(passed[:-1] or passed, key=lambda index: rows[index].size)
    return _representation(rows, index + 1, rows[index].shape)


def _name_remainder(
    rows: Sequence[LayerRow], begun: int, image: Shape
) -> tuple[str, LayerRow | None]:
    """Name the first row from ``begun`` on whose stride left pixels over, if there is one."""
    for index, row in enumerate(rows[begun:], begun):
        if row.remainder:
            made = format_shape(row.shape)
            of = format_shape(rows[index - 1].shape if index else image)
            return f"; {row.text} makes {made} of {of} and leaves pixels over", row
    return "", None


def _advise_sizes(network: Network, image: Shape) -> str:
    """Name the nearest smaller and larger image sizes, if any, that come out as they went in."""
    channels = image[0]

    # Sizes are tried, not computed: strides, paddings and kernels interact too much for a formula.
    def keeps(side: int, axis: int) -> bool:
        try:
            output, _ = _Walk(network).sequence(network.items, (channels, side, side), None)
        except NetworkError:
            return False
        return output[axis] == side

    def nearest(axis: int, step: int) -> int | None:
        tried = range(image[axis], max(0, image[axis] + step * (MAX_SIZE_CHANGE + 1)), step)
        return next((side for side in tried if keeps(side, axis)), None)

    found = [(nearest(1, step), nearest(2, step)) for step in (-1, 1)]
    sizes = [f"{high}×{wide}" for high, wide in found if high and wide]
    return f"Images of {' or '.join(sizes)} pixels would fit. " if sizes else ""
