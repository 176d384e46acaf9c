"""The base class of all layer kinds: a layer's options, shapes, weights and cost."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import gcd, lcm
from typing import TYPE_CHECKING, Any, ClassVar

from caelab.registry import Registry

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]
"""Shape (C, H, W) of a tensor: channels, height, width."""

Span = tuple[int, int]
"""Start (included) and end (excluded) of a part of a network's text, in characters from 0."""

ACTIVATIONS = (
    "none",
    "relu",
    "leaky",
    "elu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "tanh",
    "sigmoid",
)
"""Names of activations. ``leaky`` is a ReLU with slope 0.01 below 0; ``none`` is the identity."""

LETTERS = {
    "k": "kernel",
    "s": "stride",
    "p": "padding",
    "d": "dilation",
    "h": "height",
    "w": "width",
}
"""Option letter → the field of a layer that it sets. The letter ``v`` is another way to write
``p0``."""


class MisfitError(ValueError):
    """A layer does not fit the shape of its input; the caller adds the position in the text."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """Meaning of the number that follows a layer's name.

    Attributes:
        meaning: What the number is, such as ``channels``, in one word.
        min: Smallest number that is allowed.
        default: The number if the text has none; 0 if there is no default.
        optional: True if the text may leave the number out.
        decimal: True if the number is a probability p, 0 ≤ p < 1, with at most four decimals.
    """

    meaning: str
    min: int = 1
    default: int = 0
    optional: bool = False
    decimal: bool = False


@dataclass(frozen=True)
class ReceptiveField:
    """Input pixels that each output pixel depends on, along one axis and far from the borders.

    After upsampling, neighboring output pixels can depend on different numbers of input pixels. The
    pattern repeats after a number of output pixels, the period. This class stores the first and the
    last input pixel for every output pixel of one period, so that :attr:`extent` is exact.

    Attributes:
        period: Number of output pixels after which the pattern repeats.
        shift: Distance in input pixels from one period to the next.
        phases: First and last input pixel for each output pixel of the first period.
    """

    period: int = 1
    shift: int = 1
    phases: tuple[tuple[int, int], ...] = ((0, 0),)

    @property
    def extent(self) -> int:
        """Largest number of input pixels, along the axis, that one output pixel depends on."""
        return max(last - first + 1 for first, last in self.phases)

    def windows(self, size: int, stride: int, *, padding: int = 0) -> "ReceptiveField":
        """Return the field after a layer that reads windows of ``size`` pixels.

        Args:
            size: Width of a window in pixels, dilation included.
            stride: Distance in pixels between neighboring windows.
            padding: Number of pixels by which the first window begins before the image.
        """
        # A 1×1 kernel changes nothing. This shortcut matters, because a text may have 2,000 of
        # them.
        if (size, stride, padding) == (1, 1, 0):
            return self
        last = size - 1 - padding
        return self.through(lambda n: stride * n - padding, lambda n: stride * n + last, stride)

    def through(
        self,
        first: Callable[[int], int],
        last: Callable[[int], int] | None = None,
        stride: int = 1,
        factor: int = 1,
    ) -> "ReceptiveField":
        """Return the field after a layer; either ``stride`` or ``factor`` is 1.

        Args:
            first: Function of output pixel n: the first input pixel of the layer that n depends on.
            last: Function of output pixel n: the last input pixel of the layer that n depends on;
                by default ``first``.
            stride: Number of input pixels for one output pixel.
            factor: Number of output pixels for one input pixel.
        """
        # A layer with a stride reads every stride-th pixel of the old pattern. If period and stride
        # have a common divisor, the new pattern repeats after fewer pixels.
        last = last or first
        common = gcd(self.period, stride)
        period = self.period // common * factor
        return ReceptiveField(
            period,
            self.shift * stride // common,
            tuple((self.at(first(n))[0], self.at(last(n))[1]) for n in range(period)),
        )

    def union(self, other: "ReceptiveField | None") -> "ReceptiveField | None":
        """Return the field of a sum or concatenation with a tensor that has the field ``other``.

        ``None`` stands for the whole image.
        """
        # If the scales of the tensors differ, their fields move apart across the image, so that no
        # finite field covers both.
        if other is None or self.shift * other.period != other.shift * self.period:
            return None
        period = lcm(self.period, other.period)
        ends = [zip(self.at(n), other.at(n), strict=True) for n in range(period)]
        phases = tuple((min(firsts), max(lasts)) for firsts, lasts in ends)
        return ReceptiveField(period, self.shift * period // self.period, phases)

    def at(self, n: int) -> tuple[int, int]:
        """Return the first and the last input pixel that output pixel ``n`` depends on.

        Near a border the pixels may lie outside the image. If the output pixel depends on no input
        pixel, the first one comes after the last one.

        >>> ReceptiveField().windows(3, 2, padding=1).at(4)
        (7, 9)
        """
        periods, phase = divmod(n, self.period)
        first, last = self.phases[phase]
        return first + periods * self.shift, last + periods * self.shift


@dataclass(frozen=True, kw_only=True)
class LayerKind:
    """One layer of a network's text; a subclass is one kind of layer.

    A subclass sets the class attributes and defines :meth:`module`. The other methods describe a
    layer that keeps the shape, has no weights and computes each output pixel from the input pixel
    at the same position; a subclass overrides those that do not fit. ``@caelab.register`` makes the
    subclass part of the network language. A complete example is ``examples/blurpool.py``.

    >>> import caelab
    >>> from torch import nn
    >>> @caelab.register
    ... class Sharpen(caelab.LayerKind):
    ...     name = "sharpen"
    ...     help = "trained 3×3 filter of each channel"
    ...
    ...     def weights(self, shape):
    ...         return 9 * shape[0]  # shape is (C, H, W)
    ...
    ...     def receptive_field(self, field):
    ...         return field.windows(3, 1, padding=1)
    ...
    ...     def module(self, shape):
    ...         return nn.Conv2d(shape[0], shape[0], 3, padding=1, groups=shape[0], bias=False)
    >>> [row.weights for row in caelab.describe("conv8 sharpen | conv3").rows]
    [224, 72, 219]

    Attributes:
        name: Name in the text, of lower-case letters.
        help: One line about the layer, for the command line's help and the documentation.
        takes: Meaning of the number after the name; ``None`` if no number may follow.
        letters: Option letters of the layer, in the order in which they are printed.
        weighted: True if the layer is a linear map and ``number`` is its number of output channels.
            The default activation of such a layer is ReLU.
        number: The number after the name, or its default; 0 if there is none.
        kernel: Side of the kernel in pixels.
        stride: Distance in pixels between neighboring windows.
        padding: Number of zeros on each side of the input; ``None`` means padding "same".
        dilation: Distance in pixels between neighboring elements of the kernel.
        height: Height in pixels of the output of ``dense``.
        width: Width in pixels of the output of ``dense``.
        probability: The number after the name if it is a probability (``takes.decimal``).
        activation: Name of the activation after the layer; ``None`` if the text names none.
        span: Start and end of the layer in the network's text.
    """

    registry: ClassVar[Registry[Any]] = Registry("layer", pattern="[a-z]+")
    name: ClassVar[str]
    help: ClassVar[str] = ""
    takes: ClassVar[Number | None] = None
    letters: ClassVar[str] = ""
    weighted: ClassVar[bool] = False

    number: int = 0
    kernel: int = 3
    stride: int = 1
    padding: int | None = None
    dilation: int = 1
    height: int = 1
    width: int = 1
    probability: float = 0.0
    activation: str | None = None
    span: Span = field(default=(0, 0), compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.number and self.takes:
            # A frozen dataclass allows no other way to set a field while it is constructed.
            object.__setattr__(self, "number", self.takes.default)

    def __str__(self) -> str:
        """Return the layer's text in canonical form: letters in order, default values left out."""
        word = self.name
        if self.takes and self.takes.decimal:
            word += f"{self.probability:.4f}".rstrip("0").rstrip(".")
        elif self.takes and self.number != self.takes.default:
            word += str(self.number)
        for letter in self.letters:
            # "v" also sets the padding, and no number follows it.
            if letter == "v":
                word += "v" if self.padding == 0 else ""
                continue
            value = getattr(self, LETTERS[letter])
            # "p0" is printed as "v", so that a layer has one canonical text.
            if value != getattr(LayerKind, LETTERS[letter]) and not (letter == "p" and value == 0):
                word += f"{letter}{value}"
        return word if self.activation is None else f"{word}:{self.activation}"

    @classmethod
    def usage(cls) -> str:
        """Return how the layer is written, such as ``convN[k s v p d]`` or ``pool[N]``."""
        number = "" if cls.takes is None else "[N]" if cls.takes.optional else "N"
        return f"{cls.name}{number}{f'[{chr(32).join(cls.letters)}]' if cls.letters else ''}"

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker process finds the class of a plug-in by its name in the registry, because the
        # plug-in's file may not be importable as a module.
        return _make_layer, (self.name, vars(self))

    def as_kind(self, name: str, **changes: Any) -> "LayerKind":
        """Return a layer of the kind ``name`` with this layer's options, except for ``changes``."""
        return _make_layer(name, {**vars(self), **changes})

    def shape(self, shape: Shape) -> Shape:
        """Return the output's shape (C', H', W') for an input of ``shape`` (C, H, W).

        By default the shape stays the same, and :meth:`input_channels` checks its channels.

        Raises:
            MisfitError: The layer does not fit; the message says why.
        """
        # `input_channels` checks a number of output channels, which is that of the input here.
        self.input_channels(shape[0])
        return shape

    def weights(self, shape: Shape) -> int:  # noqa: ARG002
        """Return the number of trained weights and biases, for an input of ``shape`` (C, H, W)."""
        return 0

    def multiply_accumulates(self, shape: Shape) -> int:  # noqa: ARG002
        """Return the number of multiply-accumulates for one input of ``shape`` (C, H, W).

        Linear maps and the products of attention count, including products with the zeros of
        padding. Biases, norms, pooling, means and interpolation do not count.
        """
        return 0

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField | None:
        """Return the field after the layer, where ``field`` is the one before it.

        ``None`` stands for the whole image.
        """
        return field

    def module(self, shape: Shape) -> "nn.Module":
        """Return a new ``torch.nn.Module`` that computes the layer on an input of ``shape``.

        The module does not apply the activation: ``build`` adds it.
        """
        raise NotImplementedError

    def size_formula(self, shape: Shape) -> str:  # noqa: ARG002
        """Return the formula of the output's size, with its numbers, for a table in a report.

        The formula of a layer that keeps the shape is empty.
        """
        return ""

    def remainder(self, shape: Shape) -> int:  # noqa: ARG002
        """Return how many pixels a side is away from a multiple of the stride, or 0.

        Upsampling cannot restore a side that is not a multiple, so error messages name the layer.
        """
        return 0

    def input_channels(self, outputs: int) -> int:
        """Return the number of input channels with which the layer has ``outputs`` output channels.

        Raises:
            MisfitError: The layer cannot have so many output channels.
        """
        return outputs

    def absorb(self, previous: "LayerKind") -> "LayerKind | None":  # noqa: ARG002
        """Return one layer that replaces ``previous`` and this layer and is faster, or ``None``."""
        return None


def _make_layer(name: str, options: dict[str, Any]) -> LayerKind:
    layer: LayerKind = LayerKind.registry[name](**options)
    return layer


def format_shape(shape: Shape) -> str:
    """Return a shape as text.

    >>> format_shape((8, 32, 32))
    '8×32×32'
    """
    return "×".join(map(str, shape))


def size_of(shape: Shape) -> int:
    """Return C·H·W, the number of elements of a tensor of ``shape``."""
    return shape[0] * shape[1] * shape[2]


def require_multiple(channels: int, divisor: int, meaning: str) -> None:
    """Raise unless ``divisor`` divides the number of channels.

    Args:
        channels: Number of channels.
        divisor: Number that must divide ``channels``.
        meaning: The divisor in words, such as ``4 groups``.

    Raises:
        MisfitError: ``divisor`` does not divide ``channels``.
    """
    if channels % divisor:
        raise MisfitError(f"{channels} channels are not a multiple of {meaning}")
