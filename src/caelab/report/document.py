"""What a report consists of, whatever it is rendered to: HTML, Markdown, or the numbers alone.

Document ──► Section ──► Paragraph · Note · Table · Picture · Code
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Cell = str | int | float | None
"""Of a table: a number is formatted by its column, ``None`` is what there is no value for."""


@dataclass(frozen=True)
class Paragraph:
    """Plain text, no markup."""

    text: str


@dataclass(frozen=True)
class Note:
    """Plain text that stands out.

    Attributes:
        text: What it says.
        kind: ``missing``: what the report should have and has not; ``warning``: what to be careful
            about; ``remark``: what is good to know.
    """

    text: str
    kind: Literal["missing", "warning", "remark"] = "remark"


@dataclass(frozen=True)
class Code:
    """Text in a fixed width: a command, a network, a file."""

    text: str


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its heading.
        format: How its numbers are written, as in ``format(number, ".5f")``; text is taken as it
            is.
        align: ``right`` for numbers.
    """

    name: str
    format: str = ""
    align: Literal["left", "right"] = "right"

    def text(self, cell: Cell) -> str:
        """Return how a cell of this column reads; what there is no value for reads "–"."""
        if cell is None:
            return "–"
        return cell if isinstance(cell, str) else format(cell, self.format)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of as many cells as there are columns.

    Attributes:
        columns: What they are called and how they are written.
        rows: The cells; numbers as numbers, so that they keep their digits.
        caption: What the table shows, in a sentence; may be empty.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"every row of the table should have {len(self.columns)} cells")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure.

    Attributes:
        name: Its file's name where it is written as a file, without the ending; unique in a
            document.
        data: The bytes of the file.
        format: What they are.
        caption: A sentence or two computed from the data.
        alt: What is to be seen, for those who cannot see it.
    """

    name: str
    data: bytes
    format: Literal["svg", "png"]
    caption: str
    alt: str


Block = Paragraph | Note | Code | Table | Picture
"""What a section is made of."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands under it.

    Attributes:
        title: The heading.
        blocks: What stands under it, in order.
        level: 1 for a part of the document, 2 for a part of a part, and so on. Sections are a flat
            list.
    """

    title: str
    blocks: Sequence[Block]
    level: int = 1


@dataclass(frozen=True, kw_only=True)
class Document:
    """A report.

    Attributes:
        title: Of the whole.
        sections: In order.
        lead: What it is about and what it found, in a few sentences; may be empty.
    """

    title: str
    sections: Sequence[Section]
    lead: str = ""
