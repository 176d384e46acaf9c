import re
import tomllib
from pathlib import Path

import pytest

from caelab.report.language import TEMPLATES, Language

WORDS = sorted(TEMPLATES.glob("*/words.toml"))


@pytest.mark.parametrize("file", WORDS, ids=lambda file: file.parent.name)
def test_every_language_has_the_same_words_and_fills_in_the_same_numbers(file: Path) -> None:
    english, words = (
        tomllib.loads(each.read_text(encoding="utf-8"))
        for each in (TEMPLATES / "en" / "words.toml", file)
    )
    assert list(words) == list(english)
    for key, text in words.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", english[key])), key


@pytest.mark.parametrize(("name", "shown"), [("en", "MSE 0.00123"), ("de", "MSE 0,00123")])
def test_numbers_are_filled_in_as_the_language_writes_them(name: str, shown: str) -> None:
    language = Language(name=name, words={"error": "{name} {mse}"})
    assert language.word("error", name="MSE", mse=0.00123) == shown
