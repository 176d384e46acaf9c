"""Small tables for the terminal, plain text."""

from collections.abc import Mapping
from typing import Any


def errors_table(rows: Mapping[str, Mapping[str, Any]], *, heading: str) -> str:
    """Return a table of what ``measuring.summarize_errors`` gives, a row a model."""
    width = max(len(heading), *(len(name) for name in rows))
    lines = [f"{heading:<{width}}        MSE   PSNR, dB   PSNR of mean, dB        n"]
    lines += [
        f"{name:<{width}}   {row['mse']:.6f} {_decibel(row['psnr']):>10} {_decibel(row['psnr_of_mean']):>18}"
        f" {row['n']:>8}"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


def _decibel(value: float | None) -> str:
    return "∞" if value is None else f"{value:.2f}"
