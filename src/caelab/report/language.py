"""Languages of reports: folders of templates, words in figures, and the notation of numbers."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from caelab.errors import InputError
from caelab.report.number_format import significant

TEMPLATES = Path(__file__).with_name("templates")
"""Folder that contains a folder of templates for each language."""

# German thousands get dots. Thin spaces are usual, too, but a line could break at them.
_SEPARATORS = {"de": str.maketrans({",": ".", ".": ",", "%": "\N{NO-BREAK SPACE}%"})}
"""Replacements for the characters of English numbers, by language."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, kw_only=True)
class Language:
    """A language that reports are written in.

    Attributes:
        name: Name of the language's folder of templates, such as ``en``.
        words: Texts of figures, of the page, and of its interactive part, by key.
        labels: Translations of names that are English in recipes and in the code; ``{}`` stands for
            a number in both.
    """

    name: str
    words: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Folder of the language's templates."""
        return TEMPLATES / self.name

    def word(self, key: str, **values: str | float) -> str:
        """Return a text with names and numbers filled in; numbers get three significant digits.

        >>> read_language("en").word("mean_test", mse=0.00123)
        'test, mean of the best epochs: 0.00123'
        """
        shown = {
            name: self.number(significant(value)) if isinstance(value, float) else value
            for name, value in values.items()
        }
        return self.words[key].format(**shown)

    def label(self, text: str) -> str:
        """Translate a name; parts of the name without a translation stay the same.

        >>> read_language("de").label("U-Net, weight decay 0.1")
        'U-Net, Gewichtsabnahme 0,1'
        """
        if text in self.labels:
            return self.labels[text]
        pattern = self.labels.get(_NUMBER.sub("{}", text))
        if pattern is not None:
            return pattern.format(*map(self.number, _NUMBER.findall(text)))
        # A name can have several parts: a base and ideas, or the steps of a degradation.
        for mark in (", ", "+"):
            first, found, rest = text.partition(mark)
            if found:
                return self.label(first) + mark + self.label(rest)
        # A text without letters but with a comma is a formula whose numbers have thousands
        # separators. Other texts stay the same: a dot in a name need not be a decimal point.
        letters = any(map(str.isalpha, text))
        return text if letters or "," not in text else self.number(text)

    def number(self, text: str) -> str:
        """Convert the numbers in a text from the English notation to the language's notation."""
        return text.translate(_SEPARATORS.get(self.name, {}))


def read_language(name: str) -> Language:
    """Read the words of a language.

    Args:
        name: Name of the language's folder of templates, such as ``en``.

    Raises:
        InputError: The language has no templates; the message lists the languages that have some.
    """
    # A folder without this template is an unfinished translation.
    known = sorted(file.parent.name for file in TEMPLATES.glob("*/report.md.j2"))
    if name not in known:
        raise InputError(f"`language` {name}: should be one of {', '.join(known)}.")
    text = (TEMPLATES / name / "words.toml").read_text(encoding="utf-8")
    words = tomllib.loads(text)
    return Language(name=name, labels=words.pop("labels", {}), words=words)
