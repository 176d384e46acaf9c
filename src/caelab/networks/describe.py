"""Describe a network: the shapes, sizes, weights, costs and receptive fields of its layers.

A representation is the output of a layer for one image, and its size is its number of elements.
After a convolution of W×W pixels with C' output channels, a K×K kernel, padding P and stride S, the
size is ⌊(W − K + 2P)/S + 1⌋² · C'. Two representations have names: the **code**, at the text's
``|``, and the **narrowest**, the smallest one that everything passes through. This module needs no
PyTorch.
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
"""Largest number of elements of one representation."""

MAX_WEIGHTS = 10**9
"""Largest number of weights of a network."""

MAX_SIZE_CHANGE = 64
"""Largest difference, in pixels a side, between the images and a size that an error proposes."""


def describe(
    network: Network,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 32,
) -> Description:
    """Return the layers, shapes, weights and cost of a network for images of one size.

    >>> from caelab.networks import parse
    >>> found = describe(parse("reference"))
    >>> found.code.shape, found.narrowest.size, found.weights
    ((16, 8, 8), 768, 4911)

    Args:
        network: The network's tree, as ``parse`` returns it.
        channels: Number of channels C of the images.
        size: Side of the images in pixels, or (height, width).

    Raises:
        NetworkError: A layer does not fit its input, or the network is larger than ``MAX_VALUES``
            or ``MAX_WEIGHTS`` allow.
        InputError: ``channels`` or ``size`` is not positive, or an image is larger than
            ``MAX_VALUES`` allows.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(channels, height, width) < 1 or channels * height * width > MAX_VALUES:
        raise InputError(
            f"an image of {channels} channels and {height}×{width} pixels: each number must be at"
            f" least 1, and their product at most {MAX_VALUES}."
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
        NetworkError: The output has another shape. The message shows the layer to change, and says
            what to do.
    """
    rows = description.rows
    height, width = description.input[1:]
    expected = (channels, height, width)
    if description.output == expected:
        return
    problem = (
        f"the output has shape {format_shape(description.output)}, not the expected"
        f" {format_shape(expected)}"
    )
    if description.output[1:] == (height, width):
        # The error points to the last layer whose channels can be chosen: norms and pooling keep
        # the number of channels of their input.
        culprit = next((row for row in reversed(rows) if row.weighted), rows[-1])
        advice = f"Expected a layer with {channels} channels at the end, such as conv{channels}."
    else:
        remainder, lossy = _name_remainder(rows, 0, description.input)
        problem += remainder
        culprit = lossy or rows[-1]
        advice = _advise_sizes(description.network, description.input)
        output_height, output_width = description.output[1:]
        # If both sides are the same whole factor too small, an `up` was probably forgotten.
        factor = height // output_height
        if not advice and (height, width) == (factor * output_height, factor * output_width):
            advice = f"The output is {factor}× too small: add an up{factor if factor > 2 else ''}. "
        # If images of other sizes would fit, the network itself needs no change.
        advice = advice or "Expected as much upsampling as downsampling, and padding 'same'."
    raise description.network.error(problem, culprit.span, advice)


def require_enlargeable(description: Description, *, channels: int = 3) -> None:
    """Raise unless the network also takes images whose sides are a quarter longer.

    Args:
        description: Description of the network for images of the usual size.
        channels: Number of channels that the output must have.

    Raises:
        InputError: The longer images do not fit the network, or the usual sides are not multiples
            of 4.
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
    """One pass through a network, which collects a row for each layer and bracket.

    If ``image``, the shape of the images, is given, the error about a bracket that loses pixels
    says which image sizes would fit.
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
                        # `build` computes the two layers as one. The rows show the layers as they
                        # are written, so the saved multiply-accumulates are counted separately.
                        literal = item.multiply_accumulates(shape)
                        self.saved += literal - merged.multiply_accumulates(before)
                    before = shape
                    shape, field = self.layer(item, shape, field)
                case CodeMark():
                    # If the code is inside a bracket, x passes around it and reaches the decoder,
                    # too.
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
        # A short text can ask for more than any memory holds, so the limits are checked before
        # memory is allocated.
        for count, problem, limit in (
            (size_of(after), f"the output of {layer} has {size_of(after)} numbers", MAX_VALUES),
            (self.weights, f"the network has {self.weights} weights up to here", MAX_WEIGHTS),
        ):
            if count > limit:
                raise self.network.error(problem, layer.span, f"At most {limit} are allowed.")
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
        start = len(self.rows)
        self.depth += 1
        inner, inner_field = self.sequence(bracket.items, shape, field)
        self.depth -= 1
        # Each bracket ends with a row of its own, because the bracket's output is not f(x).
        if isinstance(bracket, Residual):
            kind, text, does, needs = "residual", "x + f(x)", "adds", "the shape of x"
            after = expected = shape
        else:
            kind, text, does = "skip", "[x, f(x)]", "concatenates"
            needs = "the height and width of x"
            expected = (inner[0], *shape[1:])
            after = (shape[0] + inner[0], *shape[1:])
        if inner != expected:
            remainder, culprit, advice = "", None, ""
            if self.image:
                remainder, culprit = _name_remainder(self.rows, start, self.image)
            if self.image and culprit:
                advice = _advise_sizes(self.network, self.image)
            raise self.network.error(
                f"the {kind} block {does} x of shape {format_shape(shape)} and f(x) of shape"
                f" {format_shape(inner)}{remainder}",
                culprit.span if culprit else bracket.span,
                f"{advice}Expected layers in the bracket that return {needs}.",
            )
        # The output depends on all pixels that x depends on, and on all that f(x) depends on.
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
            field=field,
            depth=self.depth,
            span=item.span,
            **more,
        )
        self.rows.append(row)


def _representation(rows: Sequence[LayerRow], row: int, shape: Shape) -> Representation:
    """Return the representation after row ``row``, counted from 1; row 0 is the input."""
    where = f"after layer {row}, {rows[row - 1].text}" if row else "the input"
    return Representation(shape=shape, size=size_of(shape), row=row, where=where)


def _narrowest(rows: list[LayerRow]) -> Representation:
    # Representations inside a bracket do not count, because x passes around them. The output counts
    # only if there is no other one, because the task fixes its size.
    passed = [index for index, row in enumerate(rows) if row.depth == 0]
    index = min(passed[:-1] or passed, key=lambda index: rows[index].size)
    return _representation(rows, index + 1, rows[index].shape)


def _name_remainder(
    rows: Sequence[LayerRow], start: int, image: Shape
) -> tuple[str, LayerRow | None]:
    """Return words about the first row from ``start`` on that has a remainder, and the row.

    The words are empty, and the row is ``None``, if no row has a remainder.
    """
    for index, row in enumerate(rows[start:], start):
        if row.remainder:
            after = format_shape(row.shape)
            before = format_shape(rows[index - 1].shape if index else image)
            reason = "because a side is not a multiple of its stride"
            return f"; {row.text} turns {before} into {after}, {reason}", row
    return "", None


def _advise_sizes(network: Network, image: Shape) -> str:
    """Return a sentence about the nearest image sizes that the output keeps; "" if there are none.

    One size is at most as large as ``image``, and the other at least as large.
    """
    channels = image[0]

    # Sizes are tried, because strides, paddings and kernels interact too much for a formula.
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
    sizes = [f"{height}×{width}" for height, width in found if height and width]
    return f"Images of {' or '.join(sizes)} pixels would fit. " if sizes else ""
