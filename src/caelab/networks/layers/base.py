"""The base class of the layer kinds: options, shapes, weights and cost of a layer; no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import gcd, lcm
from typing import TYPE_CHECKING, Any, ClassVar

from caelab.registry import Registry

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]
"""Channels, height, width."""

Span = tuple[int, int]
"""Start and end of a part of a network's text, in characters."""

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
"""Names that may follow the colon. ``leaky`` has slope 0.01; ``none`` is the identity."""

LETTERS = {
    "k": "kernel",
    "s": "stride",
    "p": "padding",
    "d": "dilation",
    "h": "height",
    "w": "width",
}
"""Option letters and the fields of a layer that they set; ``v`` (padding valid) is ``p0``."""


class MisfitError(ValueError):
    """A layer does not fit the shape of its input. The caller knows the position in the text."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """Meaning of the number that follows a layer's name.

    Attributes:
        meaning: What it counts, such as ``channels``.
        min: The smallest number allowed.
        default: The number where none is written; 0 if there is no default.
        optional: True if it may be left out.
        decimal: True if it is a probability p, 0 ≤ p < 1, with at most four decimals.
    """

    meaning: str
    min: int = 1
    default: int = 0
    optional: bool = False
    decimal: bool = False


@dataclass(frozen=True)
class ReceptiveField:
    """Input pixels that output pixel n depends on along one axis, on an image without borders.

    After upsampling the answer depends on the output pixel's phase, so the usual formula
    r + (K − 1)·jump gives only an average. Here the first and last input pixel is kept for every
    phase of one period, which makes :attr:`extent` exact.

    Attributes:
        period: Number of output pixels after which the pattern repeats.
        shift: Number of input pixels by which the next period is shifted.
        phases: First and last input pixel of each output pixel in a period.
    """

    period: int = 1
    shift: int = 1
    phases: tuple[tuple[int, int], ...] = ((0, 0),)

    @property
    def extent(self) -> int:
        """The largest number of input pixels a side."""
        return max(last - first + 1 for first, last in self.phases)

    def windows(self, size: int, stride: int, *, padding: int = 0) -> "ReceptiveField":
        """Return the field after windows of ``size`` pixels, one every ``stride`` pixels.

        Args:
            size: Width of a window in pixels, dilation included.
            stride: Distance in pixels between neighboring windows.
            padding: Number of pixels by which the first window begins before the image.
        """
        # A 1×1 kernel changes nothing; a text may repeat it two thousand times.
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
            first: Output pixel n → the first input pixel that it depends on.
            last: Output pixel n → the last input pixel that it depends on; by default the first.
            stride: Input pixels for one output pixel.
            factor: Output pixels for one input pixel.
        """
        # Windows take every stride-th pixel of the pattern, which repeats earlier if period and
        # stride have a common divisor.
        last = last or first
        common = gcd(self.period, stride)
        period = self.period // common * factor
        return ReceptiveField(
            period,
            self.shift * stride // common,
            tuple((self._at(first(n))[0], self._at(last(n))[1]) for n in range(period)),
        )

    def union(self, other: "ReceptiveField | None") -> "ReceptiveField | None":
        """Return the field of a sum or concatenation; ``None`` is the whole image."""
        # Two branches of different scales move apart across the image, so that no finite field
        # covers both.
        if other is None or self.shift * other.period != other.shift * self.period:
            return None
        period = lcm(self.period, other.period)
        ends = [zip(self._at(n), other._at(n), strict=True) for n in range(period)]
        phases = tuple((min(firsts), max(lasts)) for firsts, lasts in ends)
        return ReceptiveField(period, self.shift * period // self.period, phases)

    def _at(self, n: int) -> tuple[int, int]:
        periods, phase = divmod(n, self.period)
        first, last = self.phases[phase]
        return first + periods * self.shift, last + periods * self.shift


@dataclass(frozen=True, kw_only=True)
class LayerKind:
    """One layer of a network's text; a subclass is one kind of layer.

    A subclass sets the class attributes, defines :meth:`module`, and overrides the other methods
    where its kind differs from a layer that keeps the shape, has no weights and computes each
    output pixel from the input pixel at the same position. ``@caelab.register`` makes it part of
    the network language. A whole example is ``examples/blurpool.py``.

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
        help: One line about it, for ``--help`` and the documentation.
        takes: Meaning of the number after the name; ``None`` if it takes none.
        letters: The option letters it takes, in the order in which they are printed.
        weighted: Whether it is a linear map whose channels can be chosen: then ReLU follows by
            default, and ``number`` is the number of output channels.
        number: The number after the name, or its default; 0 if there is none.
        kernel: Side of the kernel.
        stride: Pixels from one window to the next.
        padding: Zeros around the input; ``None`` is padding "same".
        dilation: Pixels from one tap of the kernel to the next.
        height: Height of the output of ``dense``.
        width: Width of the output of ``dense``.
        probability: The number after the name where it is decimal.
        activation: Name of the activation that follows; ``None`` is the default.
        span: Position in the network's text.
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
        """Print the layer in the canonical form: letters in order, defaults left out."""
        word = self.name
        if self.takes and self.takes.decimal:
            word += f"{self.probability:.4f}".rstrip("0").rstrip(".")
        elif self.takes and self.number != self.takes.default:
            word += str(self.number)
        for letter in self.letters:
            # "v" is a second letter of the padding, and is printed separately.
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
        """Return how the layer is written, such as ``conv[N][k s v p d]``."""
        number = "" if cls.takes is None else "[N]" if cls.takes.optional else "N"
        return f"{cls.name}{number}{f'[{chr(32).join(cls.letters)}]' if cls.letters else ''}"

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker process finds the classes of plug-ins by the registry, not by their module.
        return _make_layer, (self.name, vars(self))

    def as_kind(self, name: str, **changes: Any) -> "LayerKind":
        """Return a layer of the kind ``name`` with this one's options, and ``changes`` to them."""
        return _make_layer(name, {**vars(self), **changes})

    def shape(self, shape: Shape) -> Shape:
        """Return the output's shape (C', H', W') for an input of ``shape`` (C, H, W).

        By default the shape is kept, and :meth:`input_channels` checks its channels.

        Raises:
            MisfitError: The layer does not fit; the message says why.
        """
        # Here input and output have the same channels, so the input is checked like the output.
        self.input_channels(shape[0])
        return shape

    def weights(self, shape: Shape) -> int:  # noqa: ARG002
        """Return the number of trained weights and biases, for an input of ``shape``."""
        return 0

    def multiply_accumulates(self, shape: Shape) -> int:  # noqa: ARG002
        """Return the multiply-accumulates for one image of ``shape``, padding included.

        Only linear maps and attention's products count; biases, norms, pooling, means and
        interpolation do not.
        """
        return 0

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField | None:
        """Return the field after the layer, from the field before; ``None`` is the whole image."""
        return field

    def module(self, shape: Shape) -> "nn.Module":
        """Return a new ``torch.nn.Module`` that computes the layer on an input of ``shape``.

        The activation is not part of it.
        """
        raise NotImplementedError

    def size_formula(self, shape: Shape) -> str:  # noqa: ARG002
        """Return how the output's width and channels come about, as a report's table shows it.

        It is empty where the shape stays.
        """
        return ""

    def remainder(self, shape: Shape) -> int:  # noqa: ARG002
        """Return how many pixels at the right or lower border the layer leaves out.

        A decoder cannot bring them back.
        """
        return 0

    def input_channels(self, outputs: int) -> int:
        """Return the number of input channels for which there are ``outputs`` output channels.

        Raises:
            MisfitError: There is no such number.
        """
        return outputs

    def absorb(self, previous: "LayerKind") -> "LayerKind | None":  # noqa: ARG002
        """Return one layer that computes ``previous`` and this layer faster, or ``None``."""
        return None


def _make_layer(name: str, options: dict[str, Any]) -> LayerKind:
    layer: LayerKind = LayerKind.registry[name](**options)
    return layer


def format_shape(shape: Shape) -> str:
    """Print a shape.

    >>> format_shape((8, 32, 32))
    '8×32×32'
    """
    return "×".join(map(str, shape))


def size_of(shape: Shape) -> int:
    """Return C·H·W: how many numbers a representation holds."""
    return shape[0] * shape[1] * shape[2]


def require_multiple(channels: int, divisor: int, meaning: str) -> None:
    """Raise unless ``divisor`` divides the number of channels.

    Args:
        channels: Number of channels.
        divisor: What they must be a multiple of.
        meaning: The divisor in words, such as ``4 groups``.

    Raises:
        MisfitError: It does not.
    """
    if channels % divisor:
        raise MisfitError(f"{channels} channels are not a multiple of {meaning}")
