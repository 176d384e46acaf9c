"""Measured numbers in the documentation are those of a file, or stand with their command."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    *sorted(
        page
        for page in DOCS.rglob("*.md")
        # Reports are written by caelab itself, what was tried was measured by hand, and the
        # reference states no measurements.
        if page.name not in ("report.md", "tried.md") and page.parent.name != "reference"
    ),
]

UNIT = r"(?:\s?(?:s|ms|minutes?|seconds|hours?|dB|GFLOP/s|times)\b)"
MEASURED = re.compile(rf"(?<![\w.,/–-])(\d[\d,]*(?:\.\d{{2,}}|\.\d(?={UNIT}))|\d[\d,]*(?={UNIT}))")
"""Numbers of two decimals or more, and numbers with a unit that is measured."""

CODE = re.compile(r"`([^`]+)`")
COMMAND = re.compile(r"(?:caelab|make|python -m|pytest) \S")
"""What a page must say to make a number that no file holds."""

VERSION = re.compile(r"\b(?:Python|PyTorch|NumPy|caelab|[Vv]ersion|Since) \d[\d.]*(?: to [\d.]+)?")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def sections(text: str) -> Iterator[str]:
    """Yield the text from each heading to the next; tables that benchmarks write are left out."""
    text = re.sub(r"<!-- benchmarks: begin.*?end -->", "", text, flags=re.DOTALL)
    yield from re.split(r"^(?=#)", text, flags=re.MULTILINE)


def blocks(section: str) -> Iterator[str]:
    """Yield paragraphs, items of lists and rows of tables; code blocks are left out."""
    prose = re.sub(r"^( *)```.*?^ *```", "", section, flags=re.DOTALL | re.MULTILINE)
    yield from re.split(r"\n\s*\n|\n(?=\||- |\d+\. )", prose)


def numbers(block: str) -> list[str]:
    """Return the measured numbers of a text as they are written."""
    return MEASURED.findall(VERSION.sub("", LINK.sub("]", CODE.sub("", block))))


def values(content: Any) -> Iterator[float]:
    """Yield all numbers of a JSON document."""
    if isinstance(content, dict | list):
        for each in content.values() if isinstance(content, dict) else content:
            yield from values(each)
    elif isinstance(content, int | float):
        yield content


def holds(file: Path, number: str) -> bool:
    """Return whether a page shows a number, or a results file has one that is rounded to it."""
    text = file.read_text(encoding="utf-8")
    if file.suffix not in (".json", ".csv"):
        return re.search(rf"(?<![\d.,]){re.escape(number)}(?![\d.]*\d)", text) is not None
    if file.suffix == ".json":
        found = list(values(json.loads(text)))
    else:
        cells = (cell for row in csv.reader(text.splitlines()) for cell in row)
        found = [float(cell) for cell in cells if re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell)]
    decimals = len(number.partition(".")[2])
    return any(f"{value:,.{decimals}f}" == number for value in found)


def unsupported(page: Path, text: str) -> list[tuple[str, str]]:
    """Return the numbers that no linked file holds and no command makes, with their text."""
    missing = []
    for section in sections(text):
        made = any(map(COMMAND.match, CODE.findall(section))) or "source" in section.lower()
        for block in blocks(section):
            linked = [page.parent / target for target in LINK.findall(block)]
            files = [file for file in linked if file.suffix in (".md", ".json", ".csv")]
            missing += [
                (number, block.strip())
                for number in numbers(block)
                if not made and not any(holds(file, number) for file in files if file.is_file())
            ]
    return missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_numbers_have_a_source(page: Path) -> None:
    assert unsupported(page, page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("An epoch takes 1.69 s.", ["1.69"]),
        ("An epoch takes 1.69 s (`make bench`).", []),
        ("An epoch takes 1.69 s ([measured](a.json)).", []),
        ("An epoch takes 1.70 s ([measured](a.json)).", ["1.70"]),
        ("- an epoch in 12,345 s ([measured](a.json))\n- 2.5 times, with Python 3.11", ["2.5"]),
        ("| [card](a.json) | 1.686 |\n| [card](a.json) | 1.680 |", ["1.680"]),
        ("## One\n\n`make bench`\n\n## Two\n\nIt takes 20 minutes.", ["20"]),
    ],
)
def test_a_number_without_a_source_is_found(tmp_path: Path, text: str, wrong: list[str]) -> None:
    (tmp_path / "a.json").write_text('{"seconds": [1.686, 12345]}', encoding="utf-8")
    found = unsupported(tmp_path / "page.md", text)
    assert [number for number, _ in found] == wrong
