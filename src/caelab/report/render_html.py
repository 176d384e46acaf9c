"""A report as one HTML file, which contains all pictures, styles and scripts."""

import base64
import csv
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from markupsafe import Markup, escape

from caelab.glossary import Entry, read_glossary
from caelab.report.document import Document
from caelab.report.language import read_language
from caelab.report.render_markdown import anchor

WIDE, SHOWN = 8, 6
"""A table with more than ``WIDE`` columns shows the first ``SHOWN``, and the others on demand."""

_TYPES = {"svg": "image/svg+xml", "png": "image/png"}
_ANCHORS = ("contents", "text", "interactive", "try-it", "glossary")
"""Anchors that the page uses itself, so that no heading of the text may have one of them."""

# Names of networks and of classes come from users: HTML in them must stay text.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")


def render_html(document: Document, interactive: Mapping[str, Any] | None = None) -> str:
    """Return a report as an HTML page.

    Args:
        document: Rendered report.
        interactive: Data of the interactive part by kind; the page has no interactive part if all
            data are empty.
    """
    language = read_language(document.language)
    environment = Environment(
        loader=PackageLoader("caelab.report"),
        autoescape=True,
        # A misspelled name should raise an error instead of printing nothing.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"word": language.word, "language": language.name, "anchor": term_anchor}
    tokens = _PARSER.parse(document.text)
    terms = _link_terms(tokens, read_glossary(language.name))
    nodes = SyntaxTreeNode(tokens).children
    headings = [node for node in nodes if node.type == "heading"]
    _set_anchors(headings)
    data = {"words": language.words, **(interactive or {})}
    return environment.get_template("report.html.j2").render(
        title=_text(headings[0]) if headings else "",
        blocks=_blocks(nodes, document),
        contents=[
            (node.tag, node.attrs["id"], _text(node))
            for node in headings
            if node.tag in ("h2", "h3")
        ],
        interactive=any((interactive or {}).values()),
        # `<` is escaped, so that no text can end the script element.
        data=Markup(json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")),
        glossary=[(entry, Markup(_PARSER.renderInline(entry.text))) for entry in terms],
        explained={entry.term for entry in terms},
    )


def _link_terms(tokens: Sequence[Token], entries: Mapping[str, Entry]) -> list[Entry]:
    """Link the first occurrence of each term to the glossary; return the terms that were found.

    The terms are in the order of the glossary. Headings, links, and table cells that do not end
    with a period stay as they are.
    """
    # Names of one or two letters are left out: some, such as `up`, are common English words.
    names = {
        name: entry
        for entry in entries.values()
        for name in (entry.term, *entry.also)
        if len(name) > 2
    }
    # Longer names come first: of two names that begin alike, the longer one is meant. Names with
    # capitals must match exactly: `Lab` is a color space, and `lab` is not.
    ordered = "|".join(
        f"(?i:{re.escape(name)})" if name.islower() else re.escape(name)
        for name in sorted(names, key=len, reverse=True)
    )
    pattern = re.compile(rf"\b({ordered})(?:s|es)?\b")
    found: set[str] = set()

    def link(match: re.Match[str]) -> str:
        entry = names.get(match[1]) or names[match[1].lower()]
        if entry.term in found:
            return match[0]
        found.add(entry.term)
        attributes = f'class="term" href="#{term_anchor(entry.term)}" title="{escape(entry.text)}"'
        return f"<a {attributes}>{match[0]}</a>"

    linked = False
    for token, following in itertools.pairwise(tokens if names else ()):
        sentence = token.type == "td_open" and following.content.endswith(".")
        if token.type == "paragraph_open" or sentence:
            for child in following.children or ():
                # Text inside a link is skipped, because a link cannot contain another link.
                linked = child.type == "link_open" or (linked and child.type != "link_close")
                if child.type == "text" and not linked:
                    child.type = "html_inline"
                    child.content = pattern.sub(link, escape(child.content))
    return [entry for term, entry in entries.items() if term in found]


def term_anchor(term: str) -> str:
    """Return the anchor of a term's entry in the glossary.

    >>> term_anchor("ΔE₀₀"), term_anchor("skip connection")
    ('term-ΔE₀₀', 'term-skip-connection')
    """
    return "term-" + "-".join(term.split())


def _set_anchors(headings: Iterable[SyntaxTreeNode]) -> None:
    seen = Counter(_ANCHORS)
    for heading in headings:
        stem = anchor(_text(heading)) or "section"
        # Equal headings are numbered as on GitHub, so that links to them work there, too.
        heading.attrs["id"] = f"{stem}-{seen[stem]}" if seen[stem] else stem
        seen[stem] += 1


def _blocks(nodes: Sequence[SyntaxTreeNode], document: Document) -> Iterator[dict[str, Any]]:
    """Yield the values that the template prints for each block, such as its HTML and caption."""
    tables = [*zip(document.headings, document.tables, document.folded, strict=True)]
    # The first word of a block quote is its kind, in the words of the language.
    words = read_language(document.language).words
    kinds = {words[kind]: kind for kind in ("missing", "warning")}
    caption = None
    for node, following in itertools.pairwise([*nodes, None]):
        if node is None or node is caption:
            continue
        block: dict[str, Any] = {"kind": node.type, "caption": "", "label": "", "folded": False}
        image = _only(node, "image")
        # In Markdown, a caption is a paragraph in italics below a picture or a table.
        if (image or node.type == "table") and (text := _only(following, "em")):
            caption = following
            block |= {"label": _text(text), "caption": _render(text.to_tokens()[1:-1])}
        if image:
            picture = document.pictures[str(image.attrs["src"]).rpartition("/")[2]]
            # Embedded, so that the page is a single file.
            content = base64.b64encode(picture.data).decode()
            source = f"data:{_TYPES[picture.format]};base64,{content}"
            block |= {"kind": "image", "source": source, "alt": _text(image), "file": picture.file}
        elif node.type == "table":
            cells = [[*row.children] for part in node.children for row in part.children]
            printed = [[_text(cell) for cell in row] for row in cells]
            name, rows = "table", printed
            # A table that a template writes in Markdown is not among the document's tables.
            if tables and [" ".join(each.split()) for each in tables[0][0]] == printed[0]:
                _, table, block["folded"] = tables.pop(0)
                name, rows = table["name"], [table["columns"], *table["rows"]]
            shown = SHOWN if len(cells[0]) > WIDE else len(cells[0])
            _set_classes(cells, shown)
            block |= {"name": name, "csv": _csv(rows), "hidden": len(cells[0]) > shown}
            block["columns"] = str(len(cells[0]))
        elif node.type == "blockquote":
            node.attrs["class"] = kinds.get(_text(node).split(" ")[0], "remark")
        yield {**block, "html": _render(node.to_tokens())}


def _set_classes(cells: Sequence[Sequence[SyntaxTreeNode]], shown: int) -> None:
    """Set the classes of cells: their alignment, and ``more`` if they are shown on demand."""
    for row in cells:
        for index, cell in enumerate(row):
            side = str(cell.attrs.pop("style", "left")).removeprefix("text-align:")
            cell.attrs["class"] = side if index < shown else f"{side} more"
            if cell.tag == "th":
                cell.attrs["scope"] = "col"


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as CSV, escaped for a data URI; numbers are not rounded."""
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return quote(file.getvalue())


def _render(tokens: Sequence[Token]) -> Markup:
    return Markup(_PARSER.renderer.render(tokens, _PARSER.options, {}))


def _only(node: SyntaxTreeNode | None, kind: str) -> SyntaxTreeNode | None:
    """Return a paragraph's only inline element if it is of this kind, otherwise ``None``."""
    if node is None or node.type != "paragraph":
        return None
    children = node.children[0].children
    return children[0] if [child.type for child in children] == [kind] else None


def _text(node: SyntaxTreeNode) -> str:
    """Return the text of a node as a reader sees it, without tags and links."""
    shown = [each for each in node.walk() if each.type in ("text", "code_inline", "html_inline")]
    # Texts in which `_link_terms` linked terms are HTML, so their tags are removed.
    return "".join(
        Markup(re.sub("<[^>]*>", "", each.content)).unescape()
        if each.type == "html_inline"
        else each.content
        for each in shown
    )
