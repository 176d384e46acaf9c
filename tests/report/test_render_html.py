"""The page: valid HTML that asks for nothing from outside, whatever the texts hold."""

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import html5lib
import pytest

from caelab.glossary import read_glossary
from caelab.report.document import Document, Picture
from caelab.report.render_html import render_html

Render = Callable[..., Document]
NASTY = "</script><b onload=\"x\"> & 'quoted' <!-- ü × −"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>'
TEMPLATE = """
# {{ text }}

## {{ text }}

{{ text }}

> **Missing:** {{ text }}

{{ code(text) }}

{% call table("rows", {"a": "<", text: ".2f"}) %}{{ text }}{% endcall %}

{% call figure(picture, text) %}{{ text }}{% endcall %}

## {{ text }}

{% for level in range(2, 7) %}
{{ "#######"[:level]|safe }} Level {{ level }}

x

{% endfor %}
"""


@pytest.fixture(scope="module")
def document(render: Callable[..., Document]) -> Document:
    picture = Picture(name="p", data=SVG, format="svg")
    rows = [(NASTY, 1.234), ("b", None)]
    return render(TEMPLATE, text=NASTY, rows=rows, picture=picture)


def corner() -> dict[str, object]:
    return {"tasks": [], "studies": [{"name": NASTY, "points": []}]}


def classes(tree: Any, name: str) -> list[list[str]]:
    """Classes of the cells of each row."""
    return [[cell.get("class") for cell in row.iter(name)] for row in tree.iter("tr")]


def parse(page: str) -> html5lib.HTMLParser:
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    parser.tree_found = parser.parse(page)
    return parser


def test_the_page_is_valid_and_texts_stay_texts(document: Document) -> None:
    tree = parse(render_html(document, corner())).tree_found
    assert tree.find(".//title").text == tree.find(".//h1").text == NASTY
    assert tree.find(".//main/p").text == NASTY
    assert tree.find(".//main//img").get("alt") == NASTY
    assert [each.text for each in tree.iter("figcaption")] == [NASTY, NASTY]
    assert tree.find(".//blockquote[@class='missing']/p/strong").tail == f" {NASTY}"
    assert tree.find(".//*[@role='region']").get("aria-label") == NASTY
    cells = [(cell.text, cell.get("class")) for cell in tree.iter("td")]
    assert cells == [(NASTY, "left"), ("1.23", "right"), ("b", "left"), ("–", "right")]
    embedded = next(each for each in tree.iter("script") if each.get("id") == "data")
    told = json.loads(embedded.text)
    assert {name: told[name] for name in corner()} == corner()


def test_links_lead_to_headings_and_each_anchor_is_there_once(document: Document) -> None:
    tree = parse(render_html(document, corner())).tree_found
    anchors = [each.get("id") for each in tree.iter() if each.get("id")]
    assert len(set(anchors)) == len(anchors)
    links = [each.get("href") for each in tree.iter("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= set(anchors)
    contents = [each.get("href") for each in tree.find(".//nav").iter("a")]
    headings = [each.get("id") for each in tree.iter() if each.tag in ("h2", "h3")]
    assert contents == [f"#{anchor}" for anchor in headings]


def test_nothing_is_asked_for_from_outside(document: Document) -> None:
    page = render_html(document, corner())
    told = re.findall(
        r"""(?:src|href|action|srcset)\s*=\s*["']([^"']*)|url\(([^)]*)\)|@import|fetch\(|XMLHttp""",
        page,
    )
    assert all(first.startswith(("data:", "#")) for first, _ in told if first)
    assert not any(second for _, second in told)


def test_without_data_there_is_no_interactive_part(document: Document) -> None:
    tree = parse(render_html(document, {"tasks": [], "studies": []})).tree_found
    assert tree.find(".//*[@id='interactive']") is None
    assert tree.find(".//*[@id='try-it']") is None


def test_a_wide_table_shows_its_first_columns_and_the_others_on_demand(render: Render) -> None:
    columns = {
        "name": "<",
        "MSE": ".2f",
        "low": ".2f",
        "high": ".2f",
        **dict.fromkeys("abcdefg", "d"),
    }
    template = f'{{{{ table("rows", {columns}, rows, interval="MSE") }}}}'
    rows = [
        (name, 0.5, *bounds, *range(1, 8))
        for name, bounds in {"a": (0.4, 0.6), "b": (0.45, 0.9), "c": (None, None)}.items()
    ]
    tree = parse(render_html(render(template, rows=rows))).tree_found
    assert classes(tree, "td")[1:] == [["left", *["right"] * 5, *["right more"] * 3]] * 3
    assert [row[1].text for row in tree.iter("tr")][1:] == [
        "0.50 ±\xa00.10",
        "0.50 (0.45\xa0– 0.90)",
        "0.50",
    ]
    assert tree.find(".//input[@class='all-columns']") is not None
    # What is hidden is in the file, with all digits.
    link = tree.find(".//a[@download='rows.csv']").get("href")
    lines = [*csv.reader(io.StringIO(unquote(link.partition(",")[2])))]
    assert lines == [list(columns), *([str(each or "") for each in row] for row in rows)]


def test_a_table_that_a_template_spells_out_is_all_shown(render: Render) -> None:
    template = "| question | answer |\n| :--- | :--- |\n| Why? | So. |"
    tree = parse(render_html(render(template))).tree_found
    assert classes(tree, "td")[1:] == [["left", "left"]]
    link = tree.find(".//a[@download]").get("href")
    assert unquote(link.partition(",")[2]).split() == ["question,answer", "Why?,So."]


def test_the_first_occurrence_of_a_term_leads_to_its_explanation(render: Render) -> None:
    template = """
# PCA

The lab's [PCA](#pca) and `PCA` are no sentences, but PCA and PCA are one term.

{{ table("rows", {"bottleneck": "<"}) }}

*With skip connections.*
"""
    tree = parse(render_html(render(template, rows=[("stride",)]))).tree_found
    links = [each for each in tree.iter("a") if each.get("class") == "term"]
    assert [each.text for each in links] == ["PCA", "skip connections"]
    assert read_glossary()["PCA"].text == links[0].get("title")
    terms = [each.text for each in tree.iter("dt")]
    assert terms == ["PCA", "skip connection"]
    assert [f"#{each.get('id')}" for each in tree.iter("dt")] == [
        each.get("href") for each in links
    ]
    # Related terms are linked where they are explained on this page.
    anchors = {each.get("id") for each in tree.iter("dt")}
    related = {each.get("href")[1:] for entry in tree.iter("dd") for each in entry.iter("a")}
    assert related <= anchors


def test_without_terms_there_is_no_glossary(render: Render) -> None:
    assert parse(render_html(render("Nothing."))).tree_found.find(".//dl") is None
    assert not read_glossary("xx")


def test_a_table_that_is_asked_for_is_folded(render: Render) -> None:
    template = '{% call table("rows", {"a": "d"}, folded=fold) %}About it.{% endcall %}'
    for fold in (True, False):
        tree = parse(render_html(render(template, rows=[(1,)], fold=fold))).tree_found
        summaries = [each.text for each in tree.iterfind(".//figure/details/summary")]
        assert summaries == (["About it."] if fold else [])
        assert [each.text for each in tree.iter("td")] == ["1"]
        assert len([*tree.iter("figcaption")]) == (not fold)
