"""What a report consists of: parts, each a template and the numbers, tables and figures it shows.

Part ──render_markdown──► Document (Markdown text, its pictures and tables) ──► report.md · HTML
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Cell = str | int | float | None
"""Value of a table's cell: numbers are formatted by their column, ``None`` is a missing value."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure.

    Attributes:
        name: Name of its file without the ending; unique in a document.
        data: Bytes of the file.
        format: Kind of file.
        alt: Description for people who cannot see the figure.
        caption: Caption, where the template has none.
    """

    name: str
    data: bytes
    format: Literal["svg", "png"]
    alt: str
    caption: str = ""

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.name}.{self.format}"


@dataclass(frozen=True)
class Part:
    """A part of a report: a template, which holds all sentences, and the values it shows.

    Attributes:
        template: Name of a file in ``templates/`` without its ending ``.md.j2``.
        context: Values by the names that the template uses.
        level: Level of its heading below the report's title: 1 for an exercise, 2 for a part of it.
        name: Name of the part in ``results.json``; the template's, if empty.
    """

    template: str
    context: Mapping[str, Any]
    level: int = 1
    name: str = ""


@dataclass(kw_only=True)
class Document:
    """A rendered report.

    Attributes:
        text: Whole report as GitHub-flavored Markdown; pictures are links into a folder.
        pictures: Pictures by the name of their file.
        tables: Every table as plain values: ``section``, ``name``, ``caption``, ``columns``, ``rows``.
    """

    text: str = ""
    pictures: dict[str, Picture] = field(default_factory=dict)
    tables: list[dict[str, Any]] = field(default_factory=list)


# Blocks of sections that are not templates yet


@dataclass(frozen=True)
class Paragraph:
    """Plain text, no markup."""

    text: str


@dataclass(frozen=True)
class Note:
    """Plain text that stands out."""

    text: str
    kind: Literal["missing", "warning", "remark"] = "remark"


@dataclass(frozen=True)
class Code:
    """Text in a fixed width: a command, a network, a file."""

    text: str


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, the format of its numbers, and where its cells align."""

    name: str
    format: str = ""
    align: Literal["left", "right"] = "right"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of as many cells as there are columns."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"every row of the table should have {len(self.columns)} cells")


Block = Paragraph | Note | Code | Table | Picture
"""What a section is made of."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and the blocks below it."""

    title: str
    blocks: Sequence[Block]
    level: int = 1
