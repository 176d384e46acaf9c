"""Render the templates of a report as Markdown.

Templates use these expressions:

- ``{{ value }}`` prints a text with Markdown's special characters escaped, a whole number with
  thousands separators, or any other number with three significant digits.
- ``{{ figure(picture) }}`` shows a picture.
- ``{% call table("name", {heading: format}) %}caption{% endcall %}`` prints as a table the rows
  that the context holds under that name.
- ``{{ code(text) }}`` prints a text in fixed width.
- ``objects|cells("attribute", "attribute.of.it")`` makes table rows, one for each object.
"""

import functools
import itertools
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup

from caelab.files import replacing, write_text
from caelab.report import number_format
from caelab.report.document import Cell, Document, Drawing, ImageRows, Part, Picture
from caelab.report.language import Language, read_language

PICTURES = "figures"
"""Folder of the pictures, next to the Markdown file."""


def render_markdown(
    parts: Iterable[Part], *, images: bool = True, language: str = "en"
) -> Document:
    """Render the parts of a report, one after another.

    Args:
        parts: The parts in the order of the report.
        images: True if bitmaps, which contain pixels of the data set, are shown.
        language: Name of the language's folder of templates, such as ``en``.
    """
    document, words = Document(language=language), read_language(language)
    texts = [_Writer(part, document, words, images).text() for part in parts]
    document.text = "\n\n".join(texts) + "\n"
    return document


def render_lines(template: str, context: Mapping[str, Any], language: str = "en") -> str:
    """Render a template of plain text for a terminal, without empty lines.

    Args:
        template: Name of a file in the language's folder without its ending ``.txt.j2``.
        context: Values by the names that the template uses.
        language: Name of the language's folder of templates, such as ``en``.
    """
    text = environment(language).get_template(f"{template}.txt.j2").render(context)
    lines = (line.rstrip() for line in re.sub(r"\\(.)", r"\1", text).splitlines())
    return "\n".join(filter(None, lines))


def write_markdown(document: Document, file: Path) -> None:
    """Write the document to ``file``, and its pictures into the folder ``PICTURES`` next to it.

    Raises:
        InputError: A file cannot be written.
    """
    write_text(file, document.text)
    for name, picture in document.pictures.items():
        with replacing(file.parent / PICTURES / name) as temporary:
            temporary.write_bytes(picture.data)


class _Writer:
    """Renders one part, whose template calls the methods ``table``, ``figure`` and ``code``."""

    def __init__(self, part: Part, document: Document, language: Language, images: bool) -> None:
        self.part, self.document, self.language, self.images = part, document, language, images

    def text(self) -> str:
        """Render the part as Markdown, with one empty line between blocks."""
        template = environment(self.language.name).get_template(f"{self.part.template}.md.j2")
        text = template.render(
            self.part.context, table=self.table, figure=self.figure, code=self.code
        )
        # Indentation in templates must not reach Markdown, where an indented line is code.
        text = re.sub(r"[ \t]*\n[ \t]*", "\n", text.strip())
        return re.sub(r"^(?=#)", "#" * self.part.level, re.sub("\n{3,}", "\n\n", text), flags=re.M)

    def table(
        self,
        name: str,
        columns: Mapping[str, str | Mapping[Cell, str]],
        rows: Sequence[Sequence[Cell]] | None = None,
        *,
        interval: str = "",
        folded: bool = False,
        caller: Callable[[], str] | None = None,
    ) -> Markup:
        """Return rows as a Markdown table, and add the table to the document.

        Args:
            name: Name of the table in ``results.json``.
            columns: Format of each column by heading: a format of numbers, ``<`` for texts, or a
                mapping of the values of some cells to the words that are printed for them.
            rows: Rows of the table; by default those that the part's context holds under ``name``.
            interval: Heading of the column of an estimate whose bounds are in the next two columns;
                the three are printed as one column.
            folded: True if the HTML page shows the table only on demand.
            caller: Function that returns the caption; passed by Jinja.

        Raises:
            ValueError: The number of cells in a row is not the number of columns.
        """
        rows = self.part.context[name] if rows is None else rows
        if any(len(row) != len(columns) for row in rows):
            raise ValueError(f"every row of the table {name} should have {len(columns)} cells")
        caption = _one_line(caller() if caller else "")
        # Printed numbers are rounded; the document keeps the exact ones.
        self.document.tables.append(
            {
                "section": self.part.name or self.part.template,
                "name": name,
                "caption": re.sub(r"\\(.)", r"\1", caption),
                "columns": list(columns),
                "rows": [list(row) for row in rows],
            }
        )
        if interval:
            at = list(columns).index(interval)
            bounded = functools.partial(self._bounded, format_=str(columns[interval]))
            rows = [[*row[:at], bounded(row[at : at + 3]), *row[at + 3 :]] for row in rows]
            bounds = [*columns][at + 1 : at + 3]
            columns = {name: columns[name] for name in columns if name not in bounds}
        self.document.headings.append(list(columns))
        self.document.folded.append(folded)
        formats = columns.values()
        sides = [":---" if each == "<" or isinstance(each, Mapping) else "---:" for each in formats]
        languages = itertools.repeat(self.language)
        cells = [map(format_cell, row, formats, languages) for row in rows]
        lines = [map(escape, columns), sides, *cells]
        return _captioned("\n".join(f"| {' | '.join(line)} |" for line in lines), caption)

    def _bounded(self, cells: Sequence[Any], format_: str) -> Cell:
        """Return an estimate as text, with its bounds if it has any."""
        # NumPy turns `None` into NaN.
        estimate, low, high = np.array(cells, np.float64)
        if not math.isfinite(estimate + low + high):
            return float(estimate)
        half = (high - low) / 2
        # No-break spaces let a narrow column break the line only before an interval or after its
        # dash.
        text = f"{estimate:{format_}} ({low:{format_}}\xa0– {high:{format_}})"
        # ± is only for intervals with the estimate in the middle.
        if abs(high - estimate - half) < 0.05 * half:
            text = f"{estimate:{format_}} ±\xa0{half:{format_.removeprefix('+')}}"
        return escape(self.language.number(text.replace("-", "−")))

    def figure(
        self,
        drawn: Picture | Drawing | ImageRows | None,
        alt: str = "",
        caller: Callable[[], str] | None = None,
    ) -> Markup:
        """Return a link to a picture, and add the picture to the document.

        Args:
            drawn: The picture, or an object that draws the picture in the language; for ``None``
                nothing is shown.
            alt: Description for people who cannot see the picture; by default the picture's own.
            caller: Function that returns the caption; passed by Jinja.
        """
        picture = drawn if isinstance(drawn, Picture | None) else drawn.picture(self.language)
        if picture is None:
            return Markup()
        caption = _one_line(caller() if caller else "")
        if picture.format == "png" and not self.images:
            return Markup()  # the beginning of the report says that pictures are left out
        self.document.pictures[picture.file] = picture
        return _captioned(f"![{escape(alt or picture.alt)}]({PICTURES}/{picture.file})", caption)

    def code(self, text: str) -> Markup:
        """Return a text in fixed width as a fenced block."""
        # The fence is longer than any sequence of backticks in the text, so that none can end it.
        fence = "`" * max(3, *(len(found) + 1 for found in re.findall("`+", text)), 3)
        return Markup(f"\n{fence}\n{text}\n{fence}\n")


class _TagLines(Extension):
    """Extension of Jinja: a line of a template that has only tags does not become an empty line."""

    def preprocess(
        self,
        source: str,
        name: str | None,  # noqa: ARG002 - Jinja passes it
        filename: str | None = None,  # noqa: ARG002 - Jinja passes it
    ) -> str:
        """Join each line that has only tags with the next line.

        Args:
            source: Text of the template.
            name: Not used.
            filename: Not used.
        """
        # Jinja's `trim_blocks` would also join lines that have a text before their last tag.
        tags = r"(?:\{%(?:(?!%\}).)*%\}|\{#.*?#\})+"
        return re.sub(rf"^[ \t]*({tags})[ \t]*\n", r"\1", source, flags=re.M)


@functools.cache
def environment(name: str) -> Environment:
    """Return the environment of Jinja that renders the templates of a language.

    Args:
        name: Name of the language's folder of templates, such as ``en``.
    """
    language = read_language(name)

    def localized(format_: Callable[..., str]) -> Callable[..., str]:
        return lambda *values: language.number(format_(*values))

    def count(number: int, noun: str, plural: str = "") -> str:
        # Most English plurals end in s; templates of other languages state the plural.
        words = noun if number == 1 else plural or f"{noun}s"
        return f"{language.number(f'{number:,}')} {words}"

    def show(value: Any) -> Markup:
        if isinstance(value, Markup):
            return value
        if isinstance(value, int | float):
            text = f"{value:,}" if isinstance(value, int) else number_format.significant(value)
            return escape(language.number(text))
        return escape(str(value))

    made = Environment(
        loader=FileSystemLoader(language.folder),
        autoescape=True,
        finalize=show,
        undefined=StrictUndefined,
        extensions=[_TagLines],
    )
    made.tests |= {"finite": math.isfinite, "nan": math.isnan}
    made.filters |= {
        "cells": lambda rows, *names: [*map(operator.attrgetter(*names), rows)],
        "anchor": anchor,
        "change": localized(number_format.change_in_words),
        "compact": localized(number_format.compact),
        "count": count,
        "decimals": localized(lambda number, digits: f"{number:,.{digits}f}".replace("-", "−")),
        "label": language.label,
        "one_line": lambda text: Markup(_one_line(text)),
        "percent": localized(number_format.percent),
        "significant": localized(number_format.significant),
        "size": localized(number_format.size_in_words),
    }
    return made


def anchor(heading: str) -> str:
    """Return the anchor of a heading, to which links lead, in the form that GitHub gives it.

    >>> anchor("1.1 Data, split and normalization")
    '11-data-split-and-normalization'
    """
    return "-".join(re.sub(r"[^\w\- ]", "", " ".join(heading.lower().split())).split(" "))


def escape(text: str) -> Markup:
    """Put a text on one line, and escape characters that have a meaning in Markdown."""
    text = re.sub(r"([\\`*_<>\[\]|~$&])", r"\\\1", _one_line(text))
    return Markup(re.sub(r"^([#+=-]|\d+(?=[.)](?:\s|$)))", _guard, text))


def format_cell(cell: Cell, format_: str | Mapping[Cell, str], language: Language) -> Markup:
    """Return a table's cell as Markdown; a missing number is a dash.

    Args:
        cell: Value of the cell.
        format_: Format of the column's numbers, or a mapping of some values to words.
        language: Language in which numbers and names are printed.
    """
    if not isinstance(format_, str):
        cell, format_ = format_.get(cell, cell), ""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return Markup("–")
    if isinstance(cell, Markup):
        return cell
    if isinstance(cell, str):
        return escape(language.label(cell))
    return escape(language.number(format(cell, format_.strip("<>")).replace("-", "−")))


def _guard(start: re.Match[str]) -> str:
    """Escape the start of a text that would otherwise begin a heading or a list."""
    mark = start[1]
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"


def _one_line(text: str) -> str:
    # No-break spaces stay; they stand, for example, between a number and its unit.
    return re.sub(r"[^\S\xa0]+", " ", text).strip()


def _captioned(block: str, caption: str) -> Markup:
    return Markup(f"\n{block}\n" + (f"\n*{caption}*\n" if caption else ""))
