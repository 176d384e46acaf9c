import json
import subprocess
from collections.abc import Callable

import pytest

from caelab.errors import InputError
from caelab.glossary import look_up, read_glossary

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("language", ["en", "de"])
def test_names_are_unique_and_references_lead_somewhere(language: str) -> None:
    entries = read_glossary(language)
    names = [name.casefold() for each in entries.values() for name in (each.term, *each.also)]
    assert len(names) == len(set(names))
    without_accents = str.maketrans("äöü", "aou")
    order = {term: term.casefold().translate(without_accents) for term in entries}
    assert list(entries) == sorted(entries, key=order.__getitem__)
    assert entries
    for entry in entries.values():
        assert entry.text.endswith(".")
        assert set(entry.see) <= entries.keys() - {entry.term}


def test_a_term_is_found_by_any_of_its_names() -> None:
    assert look_up("Latent") is look_up("code") is read_glossary()["code"]
    with pytest.raises(InputError, match="Did you mean latent"):
        look_up("latnt")


def test_the_command(caelab: Call) -> None:
    everything = caelab("glossary", "--json")
    assert [entry["term"] for entry in json.loads(everything.stdout)] == list(read_glossary())
    answer = caelab("glossary", "receptive field")
    assert answer.stdout.startswith("receptive field")
    assert caelab("glossary").stdout.replace("\n", " ").count(", ") == len(read_glossary()) - 1
    assert caelab("glossary", "zzz").returncode == 2
