"""The results of a study: a row a run, as CSV."""

import csv
import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from caelab.errors import InputError
from caelab.files import write_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One finished run of a study.

    Attributes:
        label: The network's name in the study.
        factor: What was varied; empty for the base and for the study's explicit networks.
        level: To which level; empty likewise.
        network: Its canonical text.
        seed: Of the initial weights and the batch order.
        run: The name of the run directory.
        code_size: Numbers at ``|``; ``None`` without one.
        code_shape: The code's (C, H, W).
        narrowest: Numbers of the smallest representation that everything passes through.
        skip_around_code: Whether a bracket runs around the code: then it is no bottleneck.
        weights: Weights and biases.
        multiply_accumulates: For one image, of the text taken literally.
        seconds_per_epoch: Median over the epochs, of training alone.
        epochs: How many were trained.
        validation_mse: Of the best epoch, by which its weights were chosen.
        test_mse: Mean over the test images, in [0, 1].
        test_psnr: Mean of the images' PSNR, in dB.
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


def write_rows(file: Path, rows: Sequence[StudyRow]) -> None:
    """Write ``rows`` atomically; floats keep all their digits, a shape is ``16x8x8``, ``None`` an
    empty cell.

    Raises:
        InputError: The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(getattr(row, name)) for name in COLUMNS] for row in rows)
    write_text(file, text.getvalue())


def read_rows(file: Path) -> list[StudyRow]:
    """Read what ``write_rows`` wrote.

    Raises:
        InputError: The file is missing, or a row is damaged; the message says which and how.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.reader(lines)
            header = next(reader, [])
            numbered = [(reader.line_num, cells) for cells in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"cannot read {file}: {error}") from error
    if tuple(header) != COLUMNS:
        raise InputError(
            f"{file} is not a study's results: its first line should be {','.join(COLUMNS)}."
        )
    return [_row(cells, f"{file}, line {number}") for number, cells in numbered]


def _row(cells: Sequence[str], place: str) -> StudyRow:
    if len(cells) != len(COLUMNS):
        raise InputError(
            f"{place}: {len(cells)} cells instead of {len(COLUMNS)}. `caelab study` writes the file"
            " anew."
        )
    values: dict[str, Any] = {}
    for field, cell in zip(dataclasses.fields(StudyRow), cells, strict=True):
        try:
            values[field.name] = _READ[field.type](cell)
        except (ValueError, KeyError) as error:
            raise InputError(
                f"{place}: {field.name} is {cell[:40]!r}. `caelab study` writes the file anew."
            ) from error
    return StudyRow(**values)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return "" if value is None else str(value)


def _shape(cell: str) -> tuple[int, int, int]:
    channels, height, width = map(int, cell.split("x"))
    return channels, height, width


_READ: Mapping[Any, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
    int | None: lambda cell: int(cell) if cell else None,
    tuple[int, int, int] | None: lambda cell: _shape(cell) if cell else None,
}
"""How a field of each type is read."""
