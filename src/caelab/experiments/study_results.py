"""The results of a study as CSV, one row per run."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from caelab.errors import InputError
from caelab.files import read_csv, write_csv


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One finished run of a study.

    Attributes:
        label: Name of the network in the study.
        factor: Factor that was varied; empty for the base and for networks without a factor.
        level: Level of the factor; empty if ``factor`` is empty.
        network: Canonical text of the network.
        seed: Seed of the run.
        run: Name of the run directory.
        code_size: Number of values in the code; ``None`` if the network has no code.
        code_shape: Shape (C, H, W) of the code; ``None`` if the network has no code.
        narrowest: Number of values in the smallest representation that everything passes through.
        skip_around_code: True if a skip or residual connection leads around the code. Then the code
            is no bottleneck.
        weights: Number of weights and biases.
        multiply_accumulates: Multiply-accumulates for one image if each layer is computed as the
            network's text states it.
        seconds_per_epoch: Median seconds of training per epoch.
        epochs: Number of trained epochs.
        validation_mse: Smallest validation error of all epochs, that of the epoch whose weights
            were saved.
        test_mse: Mean squared error of the test images, whose pixels are in [0, 1].
        test_psnr: Mean PSNR of the test images, in dB.
    """

    label: str
    factor: str
    level: str
    network: str
    seed: int
    run: str
    code_size: int | None
    code_shape: tuple[int, int, int] | None
    narrowest: int
    skip_around_code: bool
    weights: int
    multiply_accumulates: int
    seconds_per_epoch: float
    epochs: int
    validation_mse: float
    test_mse: float
    test_psnr: float


COLUMNS = tuple(field.name for field in dataclasses.fields(StudyRow))
"""The header of ``results.csv``."""

_ADAPTER = TypeAdapter(StudyRow)


def write_rows(file: Path, rows: Sequence[StudyRow]) -> None:
    """Write rows atomically; a shape is written as ``16x8x8``, and ``None`` as an empty cell.

    Raises:
        InputError: The file cannot be written.
    """
    write_csv(file, COLUMNS, (map(_cell, dataclasses.astuple(row)) for row in rows))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return "" if value is None else str(value)


def read_rows(file: Path) -> list[StudyRow]:
    """Read the rows that :func:`write_rows` wrote.

    Raises:
        InputError: The file is missing or of another version, or a row is damaged. The message
            names the line and the column.
    """
    header, *rows = read_csv(file) or [[]]
    # A file of another version has other columns, and a report must not mix them up.
    if tuple(header) != COLUMNS:
        raise InputError(
            f"{file} is not a study's results: its first line should be {','.join(COLUMNS)}."
        )
    return [_row(cells, f"{file}, line {number}") for number, cells in enumerate(rows, 2)]


def _row(cells: Sequence[str], where: str) -> StudyRow:
    problem = f"{len(cells)} cells instead of {len(COLUMNS)}"
    if len(cells) == len(COLUMNS):
        values: dict[str, Any] = dict(zip(COLUMNS, cells, strict=True))
        # An empty cell stands for a network without a code.
        values["code_size"] = values["code_size"] or None
        values["code_shape"] = tuple(filter(None, values["code_shape"].split("x"))) or None
        try:
            return _ADAPTER.validate_python(values)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            problem = f"{name} is {cells[COLUMNS.index(name)][:40]!r}"
    raise InputError(f"{where}: {problem}. Run `caelab study` to write the file again.")
