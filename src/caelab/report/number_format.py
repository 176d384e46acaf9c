"""Numbers as text, for figures and templates, and the languages that reports are written in."""

from decimal import Decimal
from pathlib import Path

from caelab.errors import InputError

TEMPLATES = Path(__file__).with_name("templates")
"""Folder of the templates: one folder of sentences for each language."""

_SEPARATORS = {"de": str.maketrans(",.", ".,")}
"""Characters that a language writes in place of those of English numbers."""


def check_language(language: str) -> str:
    """Return a language that there are templates for.

    Raises:
        InputError: There are none; the message lists the languages.
    """
    known = sorted(folder.name for folder in TEMPLATES.iterdir() if folder.is_dir())
    if language not in known:
        raise InputError(f"`language` {language}: should be one of {', '.join(known)}.")
    return language


def localize(number: str, language: str) -> str:
    """Return an English number as another language writes it.

    >>> localize("1,234.5", "de"), localize("1,234.5", "en")
    ('1.234,5', '1,234.5')
    """
    return number.translate(_SEPARATORS.get(language, {}))


def significant(value: float, digits: int = 3) -> str:
    """Return a number with that many significant digits and no exponent.

    A nonzero number never prints as zero.

    >>> significant(0.00450), significant(1234567.0), significant(-0.5, 2)
    ('0.00450', '1230000', '−0.50')
    """
    return "0" if value == 0 else f"{Decimal(f'{value:.{digits - 1}e}'):f}".replace("-", "−")


def change_in_words(ratio: float) -> str:
    """Return how much more or less than 1 a ratio is, in percent with its sign.

    >>> change_in_words(1.1), change_in_words(0.5)
    ('+10%', '−50%')
    """
    sign = "+" if ratio > 1 else "−" if ratio < 1 else ""
    return f"{sign}{size_in_words(ratio)}"


def size_in_words(ratio: float) -> str:
    """Return how far a ratio is from 1, in percent without a sign.

    >>> size_in_words(0.76)
    '24%'
    """
    digits = 4 if ratio < 0.01 else 2  # −100% would claim that nothing is left
    return f"{significant(abs(ratio - 1) * 100, digits)}%"
