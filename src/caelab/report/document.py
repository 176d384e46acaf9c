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
"""Value of a table's cell. A number is formatted by its column; ``None`` is a missing value."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as a file.

    Attributes:
        name: Name of the file without its ending; unique in a document.
        data: Content of the file.
        format: Format of the file, which is also its ending.
        alt: Description for people who cannot see the picture; a description in the template
            replaces it.
    """

    name: str
    data: bytes
    format: Literal["svg", "png"]
    alt: str = ""

    @property
    def file(self) -> str:
        """Name of the file with its ending."""
        return f"{self.name}.{self.format}"


@dataclass(frozen=True)
class Drawing:
    """A figure that is drawn later, when the language of its labels is known.

    Attributes:
        name: Name of the figure's file without its ending; unique in a document.
        draw: Function of the language that returns a matplotlib figure or the content of an SVG
            file; ``None`` if there is nothing to draw.
        alt: Description for people who cannot see the figure; a description in the template
            replaces it.
    """

    name: str
    draw: Callable[[Language], Figure | bytes | None]
    alt: str = ""

    def picture(self, language: Language) -> Picture | None:
        """Draw the figure as SVG with labels in a language; ``None`` if nothing is drawn."""
        drawn = self.draw(language)
        if drawn is None:
            return None
        # A page holds several SVGs. `render` makes their identifiers differ by means of the name.
        data = render(drawn, self.name, "svg") if isinstance(drawn, Figure) else drawn
        return Picture(name=self.name, data=data, format="svg", alt=self.alt)


@dataclass(frozen=True)
class ImageRows:
    """Rows of images that are drawn later, when the language of their labels is known.

    Attributes:
        name: Name of the picture's file without its ending; unique in a document.
        rows: Images ``float32 (K, 3, H, W)`` in [0, 1] by the label of their row. A label is a key
            of the language's words, or a name, to which a second line may add a number.
    """

    name: str
    rows: Mapping[str, np.ndarray]

    def picture(self, language: Language) -> Picture:
        """Draw the rows as PNG, with labels in a language."""
        rows = {_row_label(label, language): images for label, images in self.rows.items()}
        # PNG, because an SVG would contain the same bitmap and be a third larger.
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
    """A part of a report: a template with the sentences, and the values that they contain.

    Attributes:
        template: Name of a file in ``templates/LANGUAGE/`` without its ending ``.md.j2``.
        context: Values by the names that the template uses.
        level: Number of levels by which the template's headings are lowered: 0 for the part with
            the report's title, 1 for the others.
        name: Name of the part in ``results.json``; if empty, the name of the template.
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
        tables: Tables with exact numbers. Each is a mapping with the keys ``section``, ``name``,
            ``caption``, ``columns`` and ``rows``.
        headings: Column headings of each table as printed: an estimate and the bounds of its
            interval, three columns in ``tables``, are one printed column.
        folded: For each table, whether the page shows it only on demand.
    """

    language: str = "en"
    text: str = ""
    pictures: dict[str, Picture] = field(default_factory=dict)
    tables: list[dict[str, Any]] = field(default_factory=list)
    headings: list[list[str]] = field(default_factory=list)
    folded: list[bool] = field(default_factory=list)
