"""Numbers as text, for figures and templates."""

import math
from decimal import Decimal


def significant(value: float, digits: int = 3) -> str:
    """Return a number with ``digits`` significant digits and without an exponent.

    A nonzero number never prints as zero.

    >>> significant(0.00450), significant(1234567.0), significant(-0.5, 2)
    ('0.00450', '1230000', '−0.50')
    """
    # The exponent format rounds; `Decimal` then writes the number without an exponent.
    return "0" if value == 0 else f"{Decimal(f'{value:.{digits - 1}e}'):f}".replace("-", "−")


def compact(value: float) -> str:
    """Return a number with up to three significant digits, without zeros at the end.

    >>> compact(0.05), compact(0.0053333), compact(2.0), compact(20000)
    ('0.05', '0.00533', '2', '20,000')
    """
    if value == int(value):
        return f"{int(value):,}"
    return significant(value).rstrip("0")


def change_in_words(ratio: float) -> str:
    """Return the difference of a ratio from 1, in percent with its sign.

    >>> change_in_words(1.1), change_in_words(0.5)
    ('+10%', '−50%')
    """
    sign = "+" if ratio > 1 else "−" if ratio < 1 else ""
    return f"{sign}{size_in_words(ratio)}"


def size_in_words(ratio: float) -> str:
    """Return the difference of a ratio from 1, in percent without a sign.

    >>> size_in_words(0.76)
    '24%'
    """
    digits = 4 if ratio < 0.005 else 2  # so that 0.004 is not shown as a change of −100%
    return f"{significant(abs(ratio - 1) * 100, digits)}%"


def percent(ratio: float) -> str:
    """Return a ratio in percent, with at least two significant digits; a dash if not finite.

    >>> percent(0.5), percent(0.0123), percent(float("nan"))
    ('50%', '1.2%', '–')
    """
    if not math.isfinite(ratio):
        return "–"
    # Small ratios are not rounded to whole percent, because 0.4% would become 0%.
    if abs(ratio) < 0.1:
        return f"{significant(ratio * 100, 2)}%"
    return f"{ratio * 100:.0f}%".replace("-", "−")
