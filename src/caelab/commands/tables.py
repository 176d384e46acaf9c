"""Small tables for the terminal, plain text."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any


def errors_table(rows: Mapping[str, Mapping[str, Any]], *, heading: str) -> str:
    """Return a table of what ``measuring.summarize_errors`` gives, a row a model."""
    width = max(len(heading), *(len(name) for name in rows))
    lines = [f"{heading:<{width}}        MSE   PSNR, dB   PSNR of mean, dB        n"]
    lines += [
        f"{name:<{width}}   {row['mse']:.6f} {decibel(row['psnr']):>10}"
        f" {decibel(row['psnr_of_mean']):>18} {row['n']:>8}"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


def decibel(value: float | None) -> str:
    """Return a PSNR as text; ``None``, which is what JSON makes of it, is infinite."""
    return "∞" if value is None else f"{value:.2f}"


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Collection[str]) -> str:
    """Return a table whose columns are aligned right, but for those whose headings are in
    ``left``.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if heading in left else cell.rjust(width)
            for heading, cell, width in zip(header, row, widths, strict=True)
        ).rstrip()
        for row in (header, *rows)
    )
