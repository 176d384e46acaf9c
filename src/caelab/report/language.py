"""Languages of reports: the folder of sentences, the words in figures, and how numbers look."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from caelab.errors import InputError
from caelab.report.number_format import significant

TEMPLATES = Path(__file__).with_name("templates")
"""Folder of the templates: a folder of sentences for each language."""

# German thousands could also have a thin space, but a line could break there.
_SEPARATORS = {"de": str.maketrans({",": ".", ".": ",", "%": "\N{NO-BREAK SPACE}%"})}
"""Characters that a language writes in place of those of English numbers."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, kw_only=True)
class Language:
    """A language that reports are written in.

    Attributes:
        name: Name of its folder of templates, such as ``en``.
        words: Texts of figures, of the page, and of its interactive part.
        labels: Words for names that are written in English in recipes and in the code; ``{}``
            stands for a number.
    """

    name: str
    words: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Folder of its templates."""
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
        """Return a name in the language's words, part by part; parts without words stay the same.

        >>> read_language("de").label("U-Net, weight decay 0.1")
        'U-Net, Gewichtsabnahme 0,1'
        """
        if text in self.labels:
            return self.labels[text]
        pattern = self.labels.get(_NUMBER.sub("{}", text))
        if pattern is not None:
            return pattern.format(*map(self.number, _NUMBER.findall(text)))
        # A name may join a base and an idea, or several steps of a degradation.
        for mark in (", ", "+"):
            first, found, rest = text.partition(mark)
            if found:
                return self.label(first) + mark + self.label(rest)
        # Only formulas have thousands separators. A dot in a name need not be a decimal point.
        letters = any(map(str.isalpha, text))
        return text if letters or "," not in text else self.number(text)

    def number(self, text: str) -> str:
        """Convert a number from the English notation to that of the language."""
        return text.translate(_SEPARATORS.get(self.name, {}))


def read_language(name: str) -> Language:
    """Return a language that there are templates for.

    Raises:
        InputError: There are none; the message lists the languages.
    """
    # A folder without sentences belongs to a language that nobody has finished yet.
    known = sorted(file.parent.name for file in TEMPLATES.glob("*/report.md.j2"))
    if name not in known:
        raise InputError(f"`language` {name}: should be one of {', '.join(known)}.")
    text = (TEMPLATES / name / "words.toml").read_text(encoding="utf-8")
    words = tomllib.loads(text)
    return Language(name=name, labels=words.pop("labels", {}), words=words)
