"""The page: valid HTML that asks for nothing from outside, whatever the texts hold."""

import json
import re
from collections.abc import Callable

import html5lib
import pytest

from caelab.report.document import Document, Picture
from caelab.report.render_html import render_html

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
    embedded = next(each for each in tree.iter("script") if each.get("id") == "corner-data")
    assert json.loads(embedded.text) == corner()


def test_links_lead_to_headings_and_each_anchor_is_there_once(document: Document) -> None:
    tree = parse(render_html(document, corner())).tree_found
    anchors = [each.get("id") for each in tree.iter() if each.get("id")]
    assert len(set(anchors)) == len(anchors)
    targets = [each.get("href")[1:] for each in tree.iter("a")]
    assert set(targets) <= set(anchors)
    assert len(targets) == len(set(targets))


def test_nothing_is_asked_for_from_outside(document: Document) -> None:
    page = render_html(document, corner())
    told = re.findall(
        r"""(?:src|href|action|srcset)\s*=\s*["']([^"']*)|url\(([^)]*)\)|@import|fetch\(|XMLHttp""",
        page,
    )
    assert all(first.startswith(("data:", "#")) for first, _ in told if first)
    assert not any(second for _, second in told)


def test_without_a_corner_there_is_no_script(document: Document) -> None:
    tree = parse(render_html(document, {"tasks": [], "studies": []})).tree_found
    assert tree.find(".//script") is None
    assert tree.find(".//*[@id='try-it']") is None
