"""Results of a command on stdout: one JSON document, or a table in plain text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from caelab.files import to_json

PATH = click.Path(path_type=Path)
"""Type of an option or argument that names a file or a folder."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
"""Decorator that adds the option ``--json`` to a command."""

runs_option = click.option(
    "--runs", type=PATH, default="runs", show_default=True, help="Folder of the run directories."
)
"""Decorator that adds the option ``--runs`` to a command."""


def print_json(document: Any) -> None:
    """Print a document as JSON; numbers that are not finite become ``null``."""
    click.echo(to_json(document), nl=False)


def print_errors(
    heading: str, network: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]
) -> None:
    """Print a table of errors, with one row for the network and one for each baseline.

    Args:
        heading: Heading of the first column.
        network: Errors of the network, as ``metrics.summarize_errors`` returns them.
        baselines: Errors of the baselines by their names.
    """
    rows = [
        {
            heading: name,
            "MSE": f"{errors['mse']:.6f}",
            "PSNR, dB": decibel(errors["psnr"]),
            "PSNR of mean, dB": decibel(errors["psnr_of_mean"]),
            "n": str(errors["n"]),
        }
        for name, errors in {"network": network, **baselines}.items()
    ]
    click.echo(table(rows))


def decibel(value: float | None) -> str:
    """Return a PSNR as text; ``None``, as JSON has no infinity, stands for an infinite one."""
    return "∞" if value is None else f"{value:.2f}"


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a table in plain text; columns of numbers are aligned right, all others left.

    Args:
        rows: Cells by heading; every row has the same headings.

    >>> print(table([{"name": "copy", "MSE": "0.5"}, {"name": "pca-128", "MSE": "0.25"}]))
    name      MSE
    copy      0.5
    pca-128  0.25
    """
    columns: list[list[str]] = []
    for heading in rows[0] if rows else ():
        cells = [row[heading] for row in rows]
        # Only letters have an upper case. The first column holds names, which may be numbers.
        has_letters = "".join(cells).upper() != "".join(cells).lower()
        width = max(map(len, [heading, *cells]))
        align = str.ljust if has_letters or not columns else str.rjust
        columns.append([align(cell, width) for cell in (heading, *cells)])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))
