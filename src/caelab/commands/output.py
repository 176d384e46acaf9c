"""Results of a command on stdout: one JSON document, or a table in plain text."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from caelab.files import to_json

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
"""Decorator that adds the option ``--json`` to a command."""

runs_option = click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder of the run directories.",
)
"""Decorator that adds the option ``--runs`` to a command."""


def print_json(document: Any) -> None:
    """Print a document as JSON; numbers that are not finite become ``null``."""
    click.echo(to_json(document), nl=False)


def errors_table(rows: Mapping[str, Mapping[str, Any]], *, heading: str) -> str:
    """Return a table of errors with one row for each model.

    Args:
        rows: Summaries of errors by the model's name, as ``metrics.summarize_errors`` returns them.
        heading: Heading of the first column.
    """
    cells = [
        (
            name,
            f"{row['mse']:.6f}",
            *map(decibel, (row["psnr"], row["psnr_of_mean"])),
            str(row["n"]),
        )
        for name, row in rows.items()
    ]
    return columns((heading, "MSE", "PSNR, dB", "PSNR of mean, dB", "n"), cells, left=[heading])


def decibel(value: float | None) -> str:
    """Return a PSNR as text; ``None``, as JSON has no infinity, stands for an infinite one."""
    return "∞" if value is None else f"{value:.2f}"


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Collection[str]) -> str:
    """Return a table in plain text.

    Args:
        header: Headings of the columns.
        rows: Cells, as many in each row as there are headings.
        left: Headings of the columns that are aligned left; the others are aligned right.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if heading in left else cell.rjust(width)
            for heading, cell, width in zip(header, row, widths, strict=True)
        ).rstrip()
        for row in (header, *rows)
    )
