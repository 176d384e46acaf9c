"""Tables and pictures: a notebook shows them, and other programs print or save them."""

import base64
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import ValidationError, validate_call

from caelab.errors import InputError
from caelab.files import replacing
from caelab.plotting import render
from caelab.report.number_format import significant
from caelab.training.config import reason

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


class Table(list[dict[str, Any]]):
    """List of rows, which are dictionaries with the same keys; ``pandas.DataFrame`` accepts it.

    A notebook shows the list as a table. Numbers are shown with four significant digits, but stored
    with all digits.

    >>> table = Table([{"method": "network", "mse": 0.00451}, {"method": "PCA", "mse": 0.0039}])
    >>> table
    method        mse
    network  0.004510
    PCA      0.003900
    >>> table.column("mse").min()
    np.float64(0.0039)
    """

    def column(self, name: str) -> NDArray[Any]:
        """Return the values of a column, ``(N,)``.

        Args:
            name: Heading of the column.

        Raises:
            InputError: There is no such column.
        """
        if any(name not in row for row in self):
            raise InputError(f"`name` {name!r}: the columns are {', '.join(self[0])}.")
        return np.array([row[name] for row in self])

    def __repr__(self) -> str:
        columns = [
            [cell.rjust(width) if numeric else cell.ljust(width) for cell in cells]
            for cells, numeric in self._columns()
            for width in [max(map(len, cells))]
        ]
        return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))

    def _repr_html_(self) -> str:
        columns = [
            [
                f'<{tag} style="text-align:{"right" if numeric else "left"}">{escape(cell)}</{tag}>'
                for tag, cell in zip(["th", *["td"] * len(self)], cells, strict=True)
            ]
            for cells, numeric in self._columns()
        ]
        rows = (f"<tr>{''.join(row)}</tr>" for row in zip(*columns, strict=True))
        return f"<table>{''.join(rows)}</table>"

    def _columns(self) -> Iterator[tuple[list[str], bool]]:
        """Yield for each column its heading and cells as texts, and whether it holds numbers."""
        for name in self[0] if self else ():
            values = [row[name] for row in self]
            numeric = all(value is None or isinstance(value, int | float) for value in values)
            yield [name, *map(_cell, values)], numeric


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return significant(value, 4) if np.isfinite(value) else str(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


@dataclass(frozen=True)
class Picture:
    """A picture that a notebook shows, and that :meth:`save` writes to a file.

    Attributes:
        data: Content of the picture's file.
        format: ``"svg"`` or ``"png"``.
        alt: Description of the picture, for people who cannot see it.
    """

    data: bytes
    format: Literal["svg", "png"]
    alt: str

    @classmethod
    def of(cls, figure: Figure, kind: Literal["svg", "png"], alt: str) -> "Picture":
        """Return the picture of a figure.

        Args:
            figure: Figure to draw.
            kind: ``"svg"`` for lines, ``"png"`` for images.
            alt: Description of the picture, for people who cannot see it.
        """
        return cls(render(figure, "caelab", kind), kind, alt)

    def save(self, file: str | Path) -> None:
        """Write the picture to a file.

        Args:
            file: Path of the file; it must end in ``.svg`` or ``.png``, as :attr:`format` says.

        Raises:
            InputError: The path has another ending, or the file cannot be written.
        """
        path = Path(file)
        if path.suffix.lower() != f".{self.format}":
            raise InputError(
                f"`file` {file}: the name of this picture should end in .{self.format}."
            )
        with replacing(path) as temporary:
            temporary.write_bytes(self.data)

    def __repr__(self) -> str:
        return f"<picture: {self.alt}>"

    def _repr_html_(self) -> str:
        # An `img` element keeps identifiers within each SVG apart from those of other SVGs.
        kind = "svg+xml" if self.format == "svg" else "png"
        data = base64.b64encode(self.data).decode()
        return f'<img alt="{escape(self.alt)}" src="data:image/{kind};base64,{data}">'


def stacked(*parts: Any) -> str:
    """Return HTML that shows parts one above another.

    Args:
        parts: Tables, pictures, or texts in HTML.
    """
    texts = (part if isinstance(part, str) else part._repr_html_() for part in parts)
    return "".join(f'<div style="overflow-x:auto;margin:.5em 0">{text}</div>' for text in texts)


def checked(function: Callable[P, ResultT]) -> Callable[P, ResultT]:
    """Decorate a public function so that its arguments are checked against their annotations.

    If an argument is wrong, or the configuration that the function makes from its arguments, the
    call raises an ``InputError`` that names each wrong parameter.
    """
    validated = validate_call(config={"arbitrary_types_allowed": True})(function)
    positional = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_POSITIONAL)
    ]

    @wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> ResultT:
        try:
            return validated(*arguments, **named)
        except ValidationError as error:
            messages: dict[str, str] = {}
            for problem in error.errors():
                name, *_ = problem["loc"]
                if isinstance(name, int):  # the position of an argument that was passed by position
                    name = positional[min(name, len(positional) - 1)]
                shown = "" if "missing" in problem["type"] else f" {problem['input']!r:.60}"
                # If a parameter allows several types, there is a problem for each type. The message
                # has only the first one.
                messages.setdefault(name, f"`{name}`{shown}: {reason(problem)}")
            raise InputError(f"{'; '.join(messages.values())}.") from error

    return call
