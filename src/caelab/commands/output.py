"""Results of a command on stdout: one JSON document, or a table in plain text."""

import json
import math
import string
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from caelab.errors import printable_lines
from caelab.files import finite, to_json

# Without `exists=True`, because the library's message is more helpful than click's.
PATH = click.Path(path_type=Path)
"""Type of an option or argument that names a file or a folder."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
"""Decorator that adds the option ``--json`` to a command."""

runs_option = click.option(
    "--runs", type=PATH, default="runs", show_default=True, help="Folder of the run directories."
)
"""Decorator that adds the option ``--runs`` to a command."""


def echo(text: str, *, err: bool = False) -> None:
    """Print lines without characters that a terminal acts on, as names of files may have them.

    Args:
        text: The lines.
        err: Print to stderr, where everything goes that is no result.
    """
    click.echo(printable_lines(text), err=err)


def print_json(document: Any) -> None:
    """Print a document as JSON; numbers that are not finite become ``null``."""
    text = to_json(document)
    try:
        # A file's name may have bytes that are no characters.
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(finite(document), indent=2) + "\n"  # with escapes, in ASCII
    click.echo(text, nl=False)


def print_errors(
    heading: str, network: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]
) -> None:
    """Print a table of errors, with one row for the network and one for each baseline.

    Args:
        heading: Heading of the first column.
        network: Errors of the network, as ``metrics.summarize_errors`` returns them.
        baselines: Errors of the baselines by their names.
    """
    columns = {
        heading: "{0}",
        "MSE": "{1[mse]:.6f}",
        "PSNR, dB": "{1[psnr]:.2f}",
        "PSNR of mean, dB": "{1[psnr_of_mean]:.2f}",
        "n": "{1[n]:}",
    }
    # JSON has no infinity: the PSNR of an image without any error is stored as `null`.
    rows = [
        (name, {key: math.inf if value is None else value for key, value in errors.items()})
        for name, errors in {"network": network, **baselines}.items()
    ]
    echo(table(rows, columns))


def table(rows: Iterable[Sequence[object]], columns: Mapping[str, str]) -> str:
    """Return a table in plain text.

    Args:
        rows: Objects that each row shows, the same number in every row.
        columns: Formats of the cells by heading, which ``str.format`` applies to the objects of a
            row. A format with a colon is that of a number, which is aligned right; texts are
            aligned left.

    >>> print(table([("copy", 0.5), ("pca-128", None)], {"name": "{0}", "MSE": "{1:.3f}"}))
    name       MSE
    copy     0.500
    pca-128      –
    """
    cells = [[_FORMATTER.format(each, *row) for each in columns.values()] for row in rows]
    aligned = []
    for cell_format, *column in zip(columns.values(), columns, *cells, strict=True):
        align = str.rjust if ":" in cell_format else str.ljust
        # Including the heading, which is mostly wider than its numbers.
        width = max(map(len, column))
        aligned.append([align(cell, width) for cell in column])
    return "\n".join("  ".join(line).rstrip() for line in zip(*aligned, strict=True))


class _CellFormatter(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> Any:
        """Format a value; a missing one, such as the size of a missing code, is a dash."""
        if value is None or value == math.inf:
            return "–" if value is None else "∞"
        return super().format_field(value, format_spec)


_FORMATTER = _CellFormatter()
