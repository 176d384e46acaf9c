"""A document as Markdown, its pictures as files beside it."""

import re
from pathlib import Path

from caelab.files import replacing, write_text
from caelab.report.document import (
    Block,
    Code,
    Column,
    Document,
    Note,
    Paragraph,
    Picture,
    Section,
    Table,
)

PICTURES = "figures"
"""The folder of the pictures, beside the text."""

_KINDS = {"missing": "Missing", "warning": "Beware", "remark": "Note"}


def render_markdown(document: Document) -> str:
    """Return the document as GitHub-flavored Markdown that shows pictures from the folder
    ``PICTURES``.
    """
    parts = [f"# {_plain(document.title)}"]
    if document.lead:
        parts.append(_plain(document.lead))
    parts += [_section(section) for section in document.sections]
    return "\n\n".join(parts) + "\n"


def write_markdown(document: Document, file: Path) -> None:
    """Write the document to ``file``, and its pictures into the folder ``PICTURES`` beside it.

    Raises:
        InputError: Something cannot be written.
    """
    write_text(file, render_markdown(document))
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Picture):
                with replacing(file.parent / PICTURES / _file(block)) as temporary:
                    temporary.write_bytes(block.data)


def _section(section: Section) -> str:
    heading = f"{'#' * min(6, section.level + 1)} {_plain(section.title)}"
    return "\n\n".join([heading, *map(_block, section.blocks)])


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return _plain(block.text)
        case Note():
            return f"> **{_KINDS[block.kind]}:** {_plain(block.text)}"
        case Code():
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", block.text)), 3)
            return f"{fence}\n{block.text}\n{fence}"
        case Table():
            return _table(block)
        case Picture():
            return f"![{_plain(block.alt)}]({PICTURES}/{_file(block)})\n\n*{_plain(block.caption)}*"


def _table(table: Table) -> str:
    def row(cells: list[str]) -> str:
        return f"| {' | '.join(cells)} |"

    lines = [
        row([_plain(column.name) for column in table.columns]),
        row([_rule(column) for column in table.columns]),
    ]
    lines += [
        row([_plain(column.text(cell)) for column, cell in zip(table.columns, cells, strict=True)])
        for cells in table.rows
    ]
    text = "\n".join(lines)
    return f"{text}\n\n*{_plain(table.caption)}*" if table.caption else text


def _rule(column: Column) -> str:
    return "---:" if column.align == "right" else ":---"


def _file(picture: Picture) -> str:
    return f"{picture.name}.{picture.format}"


def _plain(text: str) -> str:
    """Escape what Markdown would take for its own, and keep a text to one line."""
    text = re.sub(r"([\\`*_<>\[\]|~$&])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^([#+=-]|\d+(?=[.)](?:\s|$)))", _guard, text)


def _guard(start: re.Match[str]) -> str:
    mark = start[1]
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"
