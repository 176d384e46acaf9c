"""Glossary: the terms of the field that caelab uses, explained in ``glossary.toml``."""

import difflib
import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from caelab.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One term and its explanation.

    Attributes:
        term: The term as it is written in a sentence.
        text: Explanation in a few sentences.
        also: Other names of the term.
        see: Related terms, each of which has an entry.
    """

    term: str
    text: str
    also: Sequence[str] = ()
    see: Sequence[str] = ()


@functools.cache
def read_glossary(language: str = "en") -> Mapping[str, Entry]:
    """Return all entries by term, in alphabetical order; empty if the language has no glossary.

    >>> read_glossary()["code"].also
    ['latent', 'latent representation', 'embedding']
    """
    name = "glossary.toml" if language == "en" else f"glossary.{language}.toml"
    file = Path(__file__).with_name(name)
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return {term: Entry(term=term, **entry) for term, entry in tomllib.loads(text).items()}


def look_up(term: str) -> Entry:
    """Find the entry of a term by its name or another name of it, in upper or lower case.

    >>> look_up("latent").term
    'code'

    Raises:
        InputError: There is no such term.
    """
    # Case is ignored, because people type SOAP as well as soap.
    names = {
        name.casefold(): entry
        for entry in read_glossary().values()
        for name in (*entry.also, entry.term)
    }
    found = names.get(term.casefold())
    if found is None:
        near = difflib.get_close_matches(term.casefold(), names, n=1)
        advice = f"Did you mean {near[0]}?" if near else "`caelab glossary` lists all terms."
        raise InputError(f"the glossary has no term '{term}'. {advice}")
    return found
