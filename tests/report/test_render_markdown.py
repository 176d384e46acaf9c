"""What templates print is read as it was meant, whatever the texts hold."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from caelab.report import language
from caelab.report.document import Document, ImageRows, Part, Picture
from caelab.report.number_format import percent
from caelab.report.render_html import render_html
from caelab.report.render_markdown import (
    environment,
    render_markdown,
    write_markdown,
)

TEXTS = st.text(st.sampled_from("ab1 2.)*_`#+-=>|[]()!<&;~\\$:~\n×")).filter(
    lambda text: text.strip()
)
PNG = Picture(name="p", data=b"\x89PNG", format="png", alt="See.")
Render = Callable[..., Document]


def parsed(document: Document) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(document.text)


def shown(token: Token) -> str:
    """What a reader sees of an inline token that holds nothing but text."""
    assert {child.type for child in token.children or []} <= {"text", "softbreak"}, token.children
    return "".join(child.content or " " for child in token.children or [])


@given(TEXTS)
def test_plain_text_is_read_as_it_was_written(render: Render, text: str) -> None:
    tokens = parsed(render("{{ text }}", text=text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert shown(tokens[1]) == " ".join(text.split())


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_cells_are_read_as_they_were_written(render: Render, rows: list[tuple[str, str]]) -> None:
    document = render('{{ table("rows", {"a|b": "<", "c": ""}) }}', rows=rows)
    cells = [shown(token) for token in parsed(document) if token.type == "inline"]
    assert cells == ["a|b", "c", *(" ".join(cell.split()) for row in rows for cell in row)]


def test_a_table_aligns_formats_and_is_kept_as_numbers(render: Render) -> None:
    rows = [("x", 0.12345, 1234), ("y", None, math.nan)]
    template = """
        {% call table("errors", {"name": "<", "MSE": ".3f", "n": ",d"}) %}
          Of {{ n }} images
          in [0, 1].
        {% endcall %}"""
    document = render(template, errors=rows, n=6400)
    assert (
        "| :--- | ---: | ---: |\n| x | 0.123 | 1,234 |\n| y | – | – |\n\n"
        "*Of 6,400 images in [0, 1].*"
    ) in document.text
    (table,) = document.tables
    assert (table["name"], table["columns"], table["rows"][0]) == (
        "errors",
        ["name", "MSE", "n"],
        ["x", 0.12345, 1234],
    )
    with pytest.raises(ValueError, match="errors should have 3 cells"):
        render(template, errors=[("x",)], n=1)


def test_words_stand_for_some_cells(render: Render) -> None:
    template = '{{ table("rows", {"a": {"k": "word", true: "yes"}, "n": "d"}) }}'
    text = render(template, rows=[("k", 1), (True, 2), ("x|", 3)]).text
    assert "| :--- | ---: |\n| word | 1 |\n| yes | 2 |\n| x\\| | 3 |" in text


@given(st.text(st.sampled_from("abÄ1 2.)*_`-|:(?,×"), min_size=1).filter(str.strip))
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=30, deadline=None)
def test_links_find_their_heading(render: Render, text: str) -> None:
    heading = f"A {text.strip()}"
    html = render_html(render("# {{ t }}\n\n[link](#{{ t|anchor }})", t=heading))
    target = re.search(r'href="#([^"]*)">link', html)
    assert target
    assert f'id="{unquote(target[1])}"' in html


def test_numbers_are_printed_with_separators_or_three_digits(render: Render) -> None:
    text = render("{{ n }} {{ mse }} {{ gain|decimals(1) }}", n=48000, mse=0.00123456, gain=-2.345)
    assert text.text == "48,000 0.00123 −2.3\n"
    assert [percent(value) for value in (0.5, -0.5, 0.012, math.nan)] == [
        "50%",
        "−50%",
        "1.2%",
        "–",
    ]


def test_numbers_are_written_as_in_the_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "part.md.j2").write_text(
        "{{ n }} {{ mse }} {{ 1.5|decimals(2) }} {{ 0.025|percent }} "
        "{{ n|count('Bild', 'Bilder') }}"
        '{{ table("rows", {"a.b": "<", "c": ",.1f"}) }}{{ figure(p) }}'
    )
    (tmp_path / "de" / "report.md.j2").touch()
    (tmp_path / "de" / "words.toml").write_text('image_rows = "Reihen: {rows}"\ntruth = "Original"')
    monkeypatch.setattr(language, "TEMPLATES", tmp_path)
    environment.cache_clear()
    rows = ImageRows("p", {"truth": np.zeros((1, 3, 2, 2), np.float32)})
    part = Part("part", {"n": 48000, "mse": 0.00123, "rows": [("1.5", 1234.5)], "p": rows})
    document = render_markdown([part], language="de")
    environment.cache_clear()
    assert document.text.startswith("48.000 0,00123 1,50 2,5\N{NO-BREAK SPACE}% 48.000 Bilder\n")
    # Names keep their dots; results.json keeps the numbers.
    assert "| a.b | c |" in document.text
    assert "| 1.5 | 1.234,5 |" in document.text
    assert "![Reihen: Original]" in document.text
    assert document.tables[0]["rows"] == [["1.5", 1234.5]]


def test_headings_go_below_the_level_of_the_part(render: Render) -> None:
    template = "# A\n\n\n\n    indented\n## {{ title }}"
    assert render(template, level=2, title="# B").text == "### A\n\nindented\n#### \\# B\n"


def test_code_keeps_every_letter(render: Render) -> None:
    code = 'caelab train "conv8 | conv3"\n```\nfenced'
    tokens = parsed(render("{{ code(text) }}", text=code))
    assert next(token for token in tokens if token.type == "fence").content == f"{code}\n"


def test_pictures_lie_where_the_text_says(render: Render, tmp_path: Path) -> None:
    template = "{% call figure(picture) %}What.{% endcall %}{{ figure(none) }}"
    write_markdown(render(template, picture=PNG), tmp_path / "report.md")
    assert "![See.](figures/p.png)\n\n*What.*" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "figures" / "p.png").read_bytes() == b"\x89PNG"
    # That images are left out is said once, at the beginning of a report.
    without = render(template, picture=PNG, images=False)
    assert not without.text.strip()
    assert not without.pictures
