"""The content of a report: parts, each a template and the values that it shows.

Part ──render_markdown──► Document (Markdown text, its pictures and tables) ──► report.md · HTML
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from caelab.plotting import draw_image_rows, render
from caelab.report.language import Language

Cell = str | int | float | None
"""Value of a table's cell: numbers are formatted by their column, ``None`` is a missing value."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure.

    Attributes:
        name: Name of its file without the ending; unique in a document.
        data: Bytes of the file.
        format: Kind of file.
        alt: Description for people who cannot see the figure, where the template has none.
    """

    name: str
    data: bytes
    format: Literal["svg", "png"]
    alt: str = ""

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.name}.{self.format}"


@dataclass(frozen=True)
class Drawing:
    """A figure that is drawn later, when the language of its labels is known.

    Attributes:
        name: Name of its file without the ending; unique in a document.
        draw: Returns the figure or the SVG itself; ``None`` where there is nothing to draw.
        alt: Description for people who cannot see the figure, where the template has none.
    """

    name: str
    draw: Callable[[Language], Figure | bytes | None]
    alt: str = ""

    def picture(self, language: Language) -> Picture | None:
        """Draw the figure."""
        drawn = self.draw(language)
        if drawn is None:
            return None
        # The name makes the identifiers of an SVG unique, because all figures are in one page.
        data = render(drawn, self.name, "svg") if isinstance(drawn, Figure) else drawn
        return Picture(name=self.name, data=data, format="svg", alt=self.alt)


@dataclass(frozen=True)
class ImageRows:
    """Rows of images that are drawn later, when the language of their labels is known.

    Attributes:
        name: Name of the file without the ending; unique in a document.
        rows: Images ``float32 (K, 3, H, W)`` in [0, 1] by label: a key of the language's words, or
            a name, which a number may follow on the next line.
    """

    name: str
    rows: Mapping[str, np.ndarray]

    def picture(self, language: Language) -> Picture:
        """Draw the rows."""
        rows = {_row_label(label, language): images for label, images in self.rows.items()}
        # A bitmap, because an SVG would contain one, too, and be a third larger.
        return Picture(
            name=self.name,
            data=render(draw_image_rows(rows), self.name, "png"),
            format="png",
            alt=language.word("image_rows", rows=", ".join(rows)),
        )


def _row_label(label: str, language: Language) -> str:
    name, line, number = label.partition("\n")
    return language.words.get(label) or language.label(name) + line + language.number(number)


@dataclass(frozen=True)
class Part:
    """A part of a report: a template, which holds all sentences, and the values it shows.

    Attributes:
        template: Name of a file in ``templates/LANGUAGE/`` without its ending ``.md.j2``.
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
        language: Language of the text, such as ``en``.
        text: Whole report as GitHub-flavored Markdown; pictures are links into a folder.
        pictures: Pictures by the name of their file.
        tables: Tables as plain values: ``section``, ``name``, ``caption``, ``columns``, ``rows``.
        headings: Printed headings of each table, in which estimate and interval are one column.
        folded: True for each table that a page shows on demand only.
    """

    language: str = "en"
    text: str = ""
    pictures: dict[str, Picture] = field(default_factory=dict)
    tables: list[dict[str, Any]] = field(default_factory=list)
    headings: list[list[str]] = field(default_factory=list)
    folded: list[bool] = field(default_factory=list)
