import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caelab.data.cifar10 import CLASSES
from caelab.experiments.config import RunConfig
from caelab.experiments.run import run
from caelab.experiments.study import read_study
from caelab.metrics.colorization_shortcomings import SECTORS
from caelab.report.language import TEMPLATES, Language, read_language
from caelab.report.report import write_report

RECIPES = Path(__file__).parents[2] / "recipes"
OTHERS = sorted({file.parent.name for file in TEMPLATES.glob("*/report.md.j2")} - {"en"})
WORDS = sorted(TEMPLATES.glob("*/words.toml"))


@pytest.mark.parametrize("file", WORDS, ids=lambda file: file.parent.name)
def test_every_language_has_the_same_words_and_fills_in_the_same_numbers(file: Path) -> None:
    english, words = (
        tomllib.loads(each.read_text(encoding="utf-8"))
        for each in (TEMPLATES / "en" / "words.toml", file)
    )
    for each in (english, words):
        each.pop("labels", None)
    assert list(words) == list(english)
    for key, text in words.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", english[key])), key


@pytest.mark.parametrize(("name", "shown"), [("en", "MSE 0.00123"), ("de", "MSE 0,00123")])
def test_numbers_are_filled_in_as_the_language_writes_them(name: str, shown: str) -> None:
    language = Language(name=name, words={"error": "{name} {mse}"})
    assert language.word("error", name="MSE", mse=0.00123) == shown


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("one pooling stage, code 1,024", "eine Pooling-Stufe, Code 1.024"),
        ("U-Net, flips, shifts and zoom", "U-Net, Spiegeln, Schieben und Zoom"),
        ("blur1+noise0.05", "Unschärfe 1+Rauschen 0,05"),
        ("total variation, weight 0.08", "Totalvariation, Gewicht 0,08"),
        ("(8·2)² · 16 = 4,096", "(8·2)² · 16 = 4.096"),
        ("my own {} network 0.5", "my own {} network 0.5"),
        ("1.5", "1.5"),
    ],
)
def test_names_have_words_part_by_part(label: str, words: str) -> None:
    assert read_language("de").label(label) == words
    assert read_language("en").label(label) == label


@pytest.mark.parametrize("name", OTHERS)
def test_every_name_that_comes_with_caelab_has_words(name: str) -> None:
    ideas, architectures = (
        read_study(RECIPES / f"{recipe}.toml").variants
        for recipe in ("colorize-ideas", "architectures")
    )
    names = {*SECTORS, *CLASSES, *(each.label for each in (*ideas, *architectures))}
    names |= {each.factor.replace("_", " ") for each in architectures if each.factor}
    label = read_language(name).label
    own = {"8×8×12", "16×16×3", "4×4×48", "2×2×192", "8×8×12, AdamW", "orange", "magenta", "cyan"}
    assert {each for each in names - own if label(each) == each} == set()


# Templates of other languages


def structure(text: str) -> tuple[list[str], Counter[str]]:
    """Return the tags of a template in order, and the values that it prints in any order."""
    text = re.sub(r"\{#.*?#\}", "", text, flags=re.S)
    tags = [re.sub('"[^"]*"', '""', tag) for tag in re.findall(r"\{%-?(.*?)%\}", text, re.S)]
    return tags, Counter(re.findall(r"\{\{.*?\}\}", text, re.S))


@pytest.mark.parametrize("name", OTHERS)
def test_every_language_has_the_same_templates_with_the_same_logic(name: str) -> None:
    english, other = (
        {file.name: file.read_text(encoding="utf-8") for file in (TEMPLATES / each).glob("*.j2")}
        for each in ("en", name)
    )
    assert other.keys() == english.keys()
    for file, text in english.items():
        (tags, values), (other_tags, other_values) = structure(text), structure(other[file])
        assert other_tags == tags, file
        assert other_values == values, file


@pytest.mark.parametrize("name", OTHERS)
def test_remarks_begin_with_the_words_that_the_page_knows(name: str) -> None:
    words = read_language(name).words
    for file in (TEMPLATES / "en").glob("*.j2"):
        english, other = (
            re.findall(r"^> \*\*(.*?)\*\*", text.read_text(encoding="utf-8"), re.M)
            for text in (file, TEMPLATES / name / file.name)
        )
        kinds = {"Missing:": words["missing"], "Beware:": words["warning"]}
        assert len(other) == len(english)
        for one, two in zip(english, other, strict=True):
            assert kinds.get(one, two) == two, file.name


# Reports


@pytest.mark.parametrize("name", OTHERS)
def test_a_report_says_the_same_numbers(
    name: str,
    small_study: Any,
    pictures: Path,
    tmp_path: Path,
    same_numbers: Callable[[str, str], None],
) -> None:
    options = {
        "network": "conv4 pool conv4 up conv3", "data": str(pictures), "size": 16, "batch_size": 16,
        "epochs": 1,
    }  # fmt: skip
    runs = [
        run(RunConfig().replace(**{**options, **each}), runs=tmp_path / "runs").path
        for each in (
            {"degradation": "gray", "target": "rgb"},
            {"degradation": "gray", "target": "chroma"},
            {"degradation": "downscale2", "network": "conv4 conv3"},
        )
    ]
    lines, markdown, results = {}, {}, {}
    for each in ("en", name):
        out = tmp_path / each
        file, lines[each] = write_report(
            [small_study.folder, *runs], out=out, runs=small_study.runs, language=each
        )
        markdown[each] = (out / "report.md").read_text(encoding="utf-8")
        results[each] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    same_numbers(lines["en"], lines[name].replace(str(tmp_path / name), str(tmp_path / "en")))
    same_numbers(markdown["en"], markdown[name])
    assert results[name]["answers"] == results["en"]["answers"]
    tables = [[table["rows"] for table in results[each]["tables"]] for each in ("en", name)]
    assert tables[0] == tables[1]
    page = file.read_text(encoding="utf-8")
    assert f'<html lang="{name}">' in page
    assert 'class="term"' in page
    for figure in (tmp_path / name / "figures").glob("*.svg"):
        for text in re.findall(r"<text.*?>(.*?)</text>", figure.read_text(encoding="utf-8")):
            assert not re.search(r"(?<!\w)\d+\.\d{1,2}(?!\d)|\b(the|of|with)\b", text), figure
