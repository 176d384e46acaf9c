"""Markdown from a report's templates.

In a template, ``{{ value }}`` prints a text with Markdown's own characters escaped, a whole number
with thousands separators, and any other number with three significant digits. ``{{ figure(picture)
}}`` shows a picture, ``{% call table("name", {heading: format}) %}caption{% endcall %}`` the rows
that the context holds under that name, and ``{{ code(text) }}`` a text in fixed width. The rows of
a table of objects are ``objects|cells("attribute", "attribute.of.it")``.
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
        parts: The parts in order.
        images: Show bitmaps, which contain pixels of the data.
        language: Folder of the templates, such as ``en``.
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
        language: Folder of the templates, such as ``en``.
    """
    text = environment(language).get_template(f"{template}.txt.j2").render(context)
    lines = (line.rstrip() for line in re.sub(r"\\(.)", r"\1", text).splitlines())
    return "\n".join(filter(None, lines))


def write_markdown(document: Document, file: Path) -> None:
    """Write the document to ``file``, and its pictures into the folder ``PICTURES`` next to it.

    Raises:
        InputError: Something cannot be written.
    """
    write_text(file, document.text)
    for name, picture in document.pictures.items():
        with replacing(file.parent / PICTURES / name) as temporary:
            temporary.write_bytes(picture.data)


class _Writer:
    """Functions for the template of one part: ``table``, ``figure`` and ``code``."""

    def __init__(self, part: Part, document: Document, language: Language, images: bool) -> None:
        self.part, self.document, self.language, self.images = part, document, language, images

    def text(self) -> str:
        """Render the part: lines without indentation, blocks with one empty line between them."""
        template = environment(self.language.name).get_template(f"{self.part.template}.md.j2")
        text = template.render(
            self.part.context, table=self.table, figure=self.figure, code=self.code
        )
        # In Markdown an indented line would be code, and templates are indented by their tags.
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
        """Print rows as a table.

        Args:
            name: Name of the table in ``results.json``.
            columns: Format of each column's numbers by heading; ``<`` is a column of texts, and a
                mapping gives the words that stand for some of its cells.
            rows: The rows; those that the part's context holds under ``name``, if left out.
            interval: Heading of an estimate; the bounds in the next two columns are printed with
                it.
            folded: Show the table on demand, where a page can do so.
            caller: Caption.
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
        # A narrow column breaks the line in front of the interval or after its dash.
        text = f"{estimate:{format_}} ({low:{format_}}\xa0– {high:{format_}})"
        # ± would be wrong for an interval that is wider on one side.
        if abs(high - estimate - half) < 0.05 * half:
            text = f"{estimate:{format_}} ±\xa0{half:{format_.removeprefix('+')}}"
        return escape(self.language.number(text.replace("-", "−")))

    def figure(
        self,
        drawn: Picture | Drawing | ImageRows | None,
        alt: str = "",
        caller: Callable[[], str] | None = None,
    ) -> Markup:
        """Show a picture, where there is one.

        Args:
            drawn: The picture, or what draws it in the language.
            alt: Description for people who cannot see it; by default the picture's own.
            caller: Caption.
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
        """Print a text in fixed width."""
        # A text may contain backticks.
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
        return Markup(f"\n{fence}\n{text}\n{fence}\n")


class _TagLines(Extension):
    """Extension that prints no line for a line of a template with only tags."""

    def preprocess(
        self,
        source: str,
        name: str | None,  # noqa: ARG002 - Jinja passes it
        filename: str | None = None,  # noqa: ARG002 - Jinja passes it
    ) -> str:
        """Join lines that hold nothing but tags with the next line.

        Args:
            source: Text of the template.
            name: Not used.
            filename: Not used.
        """
        # `trim_blocks` of Jinja would also join a line that ends in a tag with the next one.
        tags = r"(?:\{%(?:(?!%\}).)*%\}|\{#.*?#\})+"
        return re.sub(rf"^[ \t]*({tags})[ \t]*\n", r"\1", source, flags=re.M)


@functools.cache
def environment(name: str) -> Environment:
    """Return the environment that renders templates of a language, with its number formats."""
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
    """Return the name that a link to a heading needs, as on GitHub.

    >>> anchor("1.1 Data, split and normalization")
    '11-data-split-and-normalization'
    """
    return "-".join(re.sub(r"[^\w\- ]", "", " ".join(heading.lower().split())).split(" "))


def escape(text: str) -> Markup:
    """Escape the characters that Markdown uses, and put a text on one line."""
    text = re.sub(r"([\\`*_<>\[\]|~$&])", r"\\\1", _one_line(text))
    return Markup(re.sub(r"^([#+=-]|\d+(?=[.)](?:\s|$)))", _guard, text))


def format_cell(cell: Cell, format_: str | Mapping[Cell, str], language: Language) -> Markup:
    """Print a table's cell; a missing number is a dash.

    Args:
        cell: Value of the cell.
        format_: Format of its column, or the words that stand for some of its values.
        language: Language of numbers.
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
    mark = start[1]
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"


def _one_line(text: str) -> str:
    # A no-break space, as between a number and its unit, stays one.
    return re.sub(r"[^\S\xa0]+", " ", text).strip()


def _captioned(block: str, caption: str) -> Markup:
    return Markup(f"\n{block}\n" + (f"\n*{caption}*\n" if caption else ""))
