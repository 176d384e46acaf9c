"""A report as one HTML file that asks for nothing from outside: pictures, style and script are
within.
"""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from caelab.report.document import Block, Code, Document, Note, Paragraph, Picture, Section, Table

_TYPES = {"svg": "image/svg+xml", "png": "image/png"}


@dataclass(frozen=True)
class _Heading:
    """A section with the place that links lead to."""

    section: Section
    anchor: str


def render_html(document: Document, corner: dict[str, Any] | None = None) -> str:
    """Return the page.

    Args:
        document: What it says.
        corner: What the interactive corner shows, as ``lab.corner`` makes it; there is none where
            it is empty.
    """
    environment = Environment(
        loader=PackageLoader("caelab.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals.update(kind=_kind, source=_source)
    shown = corner if corner and (corner.get("tasks") or corner.get("studies")) else None
    return environment.get_template("report.html.j2").render(
        document=document,
        headings=_headings(document),
        corner=shown,
        corner_json=_embedded(shown or {}),
    )


def _headings(document: Document) -> list[_Heading]:
    taken: set[str] = set()
    headings = []
    for section in document.sections:
        anchor = stem = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "section"
        number = 2
        while anchor in taken:
            anchor, number = f"{stem}-{number}", number + 1
        taken.add(anchor)
        headings.append(_Heading(section, anchor))
    return headings


def _kind(block: Block) -> str:
    match block:
        case Paragraph():
            return "paragraph"
        case Note():
            return "note"
        case Code():
            return "code"
        case Table():
            return "table"
        case Picture():
            return "picture"


def _source(picture: Picture) -> str:
    return f"data:{_TYPES[picture.format]};base64,{base64.b64encode(picture.data).decode()}"


def _embedded(content: dict[str, Any]) -> Markup:
    """JSON that can stand in a script element: nothing in it can end the element."""
    return Markup(json.dumps(content, ensure_ascii=False).replace("<", "\\u003c"))
