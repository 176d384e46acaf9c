"""A report as one HTML file that requests nothing: pictures, style and script are in it."""

import base64
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from markupsafe import Markup, escape

from caelab.report.document import Document, Picture

_TYPES = {"svg": "image/svg+xml", "png": "image/png"}
_KINDS = {"Missing:": "missing", "Beware:": "warning"}
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")


def render_html(document: Document, corner: Mapping[str, Any] | None = None) -> str:
    """Return the page.

    Args:
        document: The report.
        corner: Data of the interactive part, ``tasks`` and ``studies``; the page has no such part
            without them.
    """
    tokens = _PARSER.parse(document.text)
    _set_attributes(tokens, document.pictures)
    nodes = SyntaxTreeNode(tokens).children
    headings = [node for node in nodes if node.type == "heading"]
    second = next((nodes.index(node) for node in headings if node.tag != "h1"), len(nodes))
    shown = corner if corner and (corner.get("tasks") or corner.get("studies")) else None
    environment = Environment(
        loader=PackageLoader("caelab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        language=document.language,
        title=_text(headings[0]) if headings else "",
        head=_html(nodes[:second]),
        body=_html(nodes[second:]),
        contents=[
            (node.tag, node.attrs["id"], _text(node))
            for node in headings
            if node.tag in ("h2", "h3")
        ],
        corner=shown,
        # Nothing in the text can end the script element.
        corner_json=Markup(json.dumps(shown, ensure_ascii=False).replace("<", "\\u003c")),
    )


def _set_attributes(tokens: Iterable[Token], pictures: Mapping[str, Picture]) -> None:
    """Give headings anchors, cells classes, notes kinds, and pictures their bytes."""
    anchors: set[str] = set()
    for token, following in itertools.pairwise(tokens):
        if token.type == "heading_open":
            stem = re.sub(r"[^a-z0-9]+", "-", following.content.lower()).strip("-") or "section"
            token.attrs["id"] = next(
                name
                for number in itertools.count(1)
                if (name := stem if number == 1 else f"{stem}-{number}") not in anchors
            )
            anchors.add(str(token.attrs["id"]))
        elif token.type in ("th_open", "td_open"):
            token.attrs = {"class": str(token.attrs["style"]).removeprefix("text-align:")}
            token.attrs |= {"scope": "col"} if token.tag == "th" else {}
        for child in token.children or ():
            if child.type == "image":
                picture = pictures[str(child.attrs["src"]).rpartition("/")[2]]
                content = base64.b64encode(picture.data).decode()
                child.attrs["src"] = f"data:{_TYPES[picture.format]};base64,{content}"
                child.attrs["class"] = picture.format


def _html(nodes: list[SyntaxTreeNode]) -> Markup:
    """Return nodes as HTML: tables and pictures scroll, captions are below, notes stand out."""
    parts, captions = [], set()
    for node, following in itertools.pairwise([*nodes, None]):
        assert node is not None
        html = _PARSER.renderer.render(node.to_tokens(), _PARSER.options, {})
        picture = _only(node, "image")
        if node in captions:
            continue
        if picture or node.type == "table":
            label, caption = "", ""
            if following is not None and (text := _only(following, "em")):
                captions.add(following)
                label = _text(following)
                caption = _PARSER.renderer.render(text.to_tokens()[1:-1], _PARSER.options, {})
                caption = f"\n<figcaption>{caption}</figcaption>"
            role = "" if picture else f' tabindex="0" role="region" aria-label="{escape(label)}"'
            inner = html.removeprefix("<p>").removesuffix("</p>\n") if picture else html
            html = f'<figure>\n<div class="scroll"{role}>{inner}</div>{caption}\n</figure>\n'
        elif node.type == "blockquote":
            kind = _KINDS.get(_text(node).split(" ")[0], "remark")
            html = html.replace("<blockquote>", f'<blockquote class="{kind}">', 1)
        parts.append(html)
    return Markup("".join(parts))


def _only(node: SyntaxTreeNode, kind: str) -> SyntaxTreeNode | None:
    """Return the one inline element that a paragraph consists of, if it is of this kind."""
    if node.type != "paragraph":
        return None
    children = node.children[0].children
    return children[0] if [child.type for child in children] == [kind] else None


def _text(node: SyntaxTreeNode) -> str:
    return "".join(each.content for each in node.walk() if each.type == "text")
