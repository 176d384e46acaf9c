"""Print the results of a command to stdout, as one JSON document or as plain text."""

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

# `exists=True` is left out, because the library's message is more helpful than click's.
PATH = click.Path(path_type=Path)
"""Type of an option or argument that names a file or a folder."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print results as JSON.")
"""Decorator that adds the option ``--json`` to a command."""

runs_option = click.option(
    "--runs", type=PATH, default="runs", show_default=True, help="Folder of the run directories."
)
"""Decorator that adds the option ``--runs`` to a command."""


def echo(text: str, *, err: bool = False) -> None:
    """Print text, and escape control characters, which names of files may contain.

    Args:
        text: One or more lines.
        err: Print to stderr, because the text is no result.
    """
    click.echo(printable_lines(text), err=err)


def print_json(document: Any) -> None:
    """Print a document as JSON; numbers that are not finite become ``null``."""
    text = to_json(document)
    try:
        # The name of a file may contain bytes that are no characters in UTF-8.
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
    # An infinite PSNR, which means no error at all, is stored as `null` in JSON.
    rows = [
        (name, {key: math.inf if value is None else value for key, value in errors.items()})
        for name, errors in {"network": network, **baselines}.items()
    ]
    echo(table(rows, columns))


def table(rows: Iterable[Sequence[object]], columns: Mapping[str, str]) -> str:
    """Return a table in plain text.

    Args:
        rows: For each row, the objects that its cells show; every row has the same number.
        columns: For each heading, a format that ``str.format`` applies to the objects of a row.
            Columns whose format has a colon hold numbers and are aligned right; others are aligned
            left.

    >>> print(table([("copy", 0.5), ("pca-128", None)], {"name": "{0}", "MSE": "{1:.3f}"}))
    name       MSE
    copy     0.500
    pca-128      –
    """
    cells = [[_FORMATTER.format(each, *row) for each in columns.values()] for row in rows]
    aligned = []
    for cell_format, *column in zip(columns.values(), columns, *cells, strict=True):
        align = str.rjust if ":" in cell_format else str.ljust
        # `column` begins with its heading, which is often wider than the numbers.
        width = max(map(len, column))
        aligned.append([align(cell, width) for cell in column])
    return "\n".join("  ".join(line).rstrip() for line in zip(*aligned, strict=True))


class _CellFormatter(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> Any:
        """Format a value; ``None``, such as the size of a missing code, becomes a dash."""
        if value is None or value == math.inf:
            return "–" if value is None else "∞"
        return super().format_field(value, format_spec)


_FORMATTER = _CellFormatter()
