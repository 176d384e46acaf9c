"""Languages of reports: where their sentences are, their words in figures, and their numbers."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from caelab.errors import InputError
from caelab.report.number_format import significant

TEMPLATES = Path(__file__).with_name("templates")
"""Folder of the templates: a folder of sentences for each language."""

# A thin space, the other way to write German thousands, may end a line.
_SEPARATORS = {"de": str.maketrans(",.", ".,")}
"""Characters that a language writes in place of those of English numbers."""


@dataclass(frozen=True, kw_only=True)
class Language:
    """A language that reports are written in.

    Attributes:
        name: Name of its folder of templates, such as ``en``.
        words: Texts of figures, of the page around the sentences and of its interactive part.
    """

    name: str
    words: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Folder of its templates."""
        return TEMPLATES / self.name

    def word(self, key: str, **values: str | float) -> str:
        """Return a text with names and numbers filled in, these with three significant digits.

        >>> read_language("en").word("mean_test", mse=0.00123)
        'test, mean of the best epochs: 0.00123'
        """
        shown = {
            name: self.number(significant(value)) if isinstance(value, float) else value
            for name, value in values.items()
        }
        return self.words[key].format(**shown)

    def number(self, text: str) -> str:
        """Return a number, written as in English, as the language writes it."""
        return text.translate(_SEPARATORS.get(self.name, {}))


def read_language(name: str) -> Language:
    """Return a language that there are templates for.

    Raises:
        InputError: There are none; the message lists the languages.
    """
    # A folder with words alone is a language that nobody has finished yet.
    known = sorted(file.parent.name for file in TEMPLATES.glob("*/report.md.j2"))
    if name not in known:
        raise InputError(f"`language` {name}: should be one of {', '.join(known)}.")
    text = (TEMPLATES / name / "words.toml").read_text(encoding="utf-8")
    return Language(name=name, words=tomllib.loads(text))
