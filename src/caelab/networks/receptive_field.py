"""Receptive fields, exactly: how many input pixels a side can move one number of a representation.

After upsampling the answer depends on the output pixel's phase, so the usual formula r + (K −
1)·jump gives only an average. Here the first and last input pixel is kept for every phase of one
period; the largest extent is reported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd, lcm

from caelab.networks.ast import Layer
from caelab.networks.shapes import convolution_padding, number, transposed_padding


@dataclass(frozen=True)
class Field:
    """Input pixels behind output pixel n, on an image without borders: from ``first_at(n)`` to
    ``last_at(n)``.

    Attributes:
        period: Output pixels until the pattern repeats, ``shift`` input pixels further on.
        shift: See ``period``.
        first: First input pixel, for each phase.
        last: Last input pixel, for each phase.
    """

    period: int
    shift: int
    first: tuple[int, ...]
    last: tuple[int, ...]

    def first_at(self, n: int) -> int:
        """First input pixel behind output pixel ``n``."""
        return self.first[n % self.period] + n // self.period * self.shift

    def last_at(self, n: int) -> int:
        """Last input pixel behind output pixel ``n``."""
        return self.last[n % self.period] + n // self.period * self.shift

    @property
    def extent(self) -> int:
        """The largest number of input pixels a side."""
        return max(last - first + 1 for first, last in zip(self.first, self.last, strict=True))


INPUT = Field(1, 1, (0,), (0,))
"""A pixel of the image itself."""


WHOLE_IMAGE = ("norm", "dense", "context", "excite", "attend")
"""Layers behind which every number depends on the whole image."""


def through(layer: Layer, field: Field | None) -> Field | None:
    """The field behind ``layer``; ``None`` is the whole image."""
    if field is None or layer.name in WHOLE_IMAGE:
        return None
    value = number(layer)
    match layer.name:
        case "conv":
            before, _ = convolution_padding(layer)
            reach = (layer.kernel - 1) * layer.dilation
            stride = layer.stride
            if reach == before == 0 and stride == 1:
                return field
            return _strided(
                field, stride, lambda n: stride * n - before, lambda n: stride * n - before + reach
            )
        case "deconv":
            padding, _ = transposed_padding(layer)
            stride, reach = layer.stride, layer.kernel - 1
            # Where the kernel leaves gaps the first tap comes after the last: an empty field, as it
            # should be.
            return _grown(
                field,
                stride,
                lambda n: -((reach - n - padding) // stride),
                lambda n: (n + padding) // stride,
            )
        case "pool" | "avgpool" | "unshuffle":
            return _strided(field, value, lambda n: value * n, lambda n: value * n + value - 1)
        case "up" | "shuffle":
            return _grown(field, value, lambda n: n // value, lambda n: n // value)
        case "upbilinear":
            # Output pixel n lies at (n + ½) / S − ½, between the two pixels it is made of.
            return _grown(
                field,
                value,
                lambda n: (2 * n + 1 - value) // (2 * value),
                lambda n: -((value - 1 - 2 * n) // (2 * value)),
            )
    return field


def union(one: Field | None, other: Field | None) -> Field | None:
    """The field behind a sum or concatenation of two representations."""
    if one is None or other is None or one.shift * other.period != other.shift * one.period:
        return None
    period = lcm(one.period, other.period)
    return Field(
        period,
        one.shift * period // one.period,
        tuple(min(one.first_at(n), other.first_at(n)) for n in range(period)),
        tuple(max(one.last_at(n), other.last_at(n)) for n in range(period)),
    )


def _strided(
    field: Field, stride: int, first: Callable[[int], int], last: Callable[[int], int]
) -> Field:
    common = gcd(field.period, stride)
    return _composed(field, field.period // common, field.shift * stride // common, first, last)


def _grown(
    field: Field, factor: int, first: Callable[[int], int], last: Callable[[int], int]
) -> Field:
    return _composed(field, field.period * factor, field.shift, first, last)


def _composed(
    field: Field, period: int, shift: int, first: Callable[[int], int], last: Callable[[int], int]
) -> Field:
    return Field(
        period,
        shift,
        tuple(field.first_at(first(n)) for n in range(period)),
        tuple(field.last_at(last(n)) for n in range(period)),
    )
