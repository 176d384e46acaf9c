"""What people see of a study: its plan, its progress while it runs, its results."""

import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from caelab.experiments.study import Study
from caelab.experiments.study_results import StudyRow
from caelab.progress import duration

if TYPE_CHECKING:
    from caelab.experiments.study_runner import Progress

BEST_SHOWN = 8
"""Finished networks in the live table."""


def plan_rows(study: Study) -> list[dict[str, Any]]:
    """Return what a study would train, a row a network."""
    return [
        {
            "label": variant.label,
            "factor": variant.factor,
            "level": variant.level,
            "network": variant.description.text,
            "code_size": variant.description.code.size if variant.description.code else None,
            "narrowest": variant.description.narrowest.size,
            "weights": variant.description.weights,
            "multiply_accumulates": variant.description.multiply_accumulates,
            "epochs": variant.config.epochs,
        }
        for variant in study.variants
    ]


def plan_table(study: Study) -> str:
    """Return the plan for the terminal, costs as multiples of the base's."""
    rows = plan_rows(study)

    def cost(row: dict[str, Any]) -> float:
        return float(row["multiply_accumulates"] * row["epochs"] / (base or 1))

    base = rows[0]["multiply_accumulates"] * rows[0]["epochs"]
    cells = [
        (
            row["label"],
            _number(row["code_size"]),
            _number(row["narrowest"]),
            _number(row["weights"]),
            f"{cost(row):.1f}",
            row["network"],
        )
        for row in rows
    ]
    table = _table(("", "code", "narrowest", "weights", "cost", "network"), cells)
    seeds = ", ".join(map(str, study.seeds))
    runs = f"{len(rows)} networks × seeds {seeds} = {len(rows) * len(study.seeds)} runs"
    return "\n".join(
        [
            *table,
            "",
            (
                f"{runs}; a seed costs {sum(map(cost, rows)):.0f} times the base's"
                " multiply-accumulates"
            ),
        ]
    )


def results_table(rows: Sequence[StudyRow]) -> str:
    """Return the results for the terminal, a row a network, means over seeds."""
    labels = list(dict.fromkeys(row.label for row in rows))
    cells = []
    for label in labels:
        same = [row for row in rows if row.label == label]
        cells.append(
            (
                label,
                _number(same[0].code_size),
                _number(same[0].weights),
                f"{statistics.median(row.seconds_per_epoch for row in same):.1f}",
                f"{statistics.mean(row.test_mse for row in same):.6f}",
                f"{statistics.mean(row.test_psnr for row in same):.2f}",
                str(len(same)),
            )
        )
    return "\n".join(
        _table(("", "code", "weights", "s/epoch", "test MSE", "PSNR, dB", "seeds"), cells)
    )


@contextlib.contextmanager
def watching(study: Study) -> Iterator[Callable[["Progress"], None]]:
    """Show progress on stderr while the block runs: a live table for a person at a terminal, else a
    line a run.

    Yields:
        What takes up the progress whenever something happened.
    """
    if not sys.stderr.isatty():
        yield _say
        return

    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

    latest: list[Progress] = []

    def render() -> RenderableType:
        return _live(study, latest[0]) if latest else Text("reading the data …")

    with Live(
        get_renderable=render,
        console=Console(stderr=True),
        refresh_per_second=2,
        transient=True,
        redirect_stdout=False,
    ):
        yield lambda progress: latest.__setitem__(slice(None), [progress])


def _live(study: Study, progress: "Progress") -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for heading in ("seed", "code", "weights", "s/epoch", "validation MSE", "test MSE", ""):
        table.add_column(heading, justify="right")
    for row in sorted(progress.rows.values(), key=lambda row: row.validation_mse)[:BEST_SHOWN]:
        numbers = (
            f"{row.seconds_per_epoch:.1f}",
            f"{row.validation_mse:.6f}",
            f"{row.test_mse:.6f}",
        )
        table.add_row(
            Text(row.label),
            str(row.seed),
            _number(row.code_size),
            _number(row.weights),
            *numbers,
            "",
        )
    for name, began in list(progress.running.items()):
        run = progress.planned[name]
        code, weights = run.variant.description.code, run.variant.description.weights
        table.add_row(
            Text(run.variant.label), str(run.config.seed), _number(code.size if code else None), _number(weights),
            "", "", "", f"running {duration(time.monotonic() - began)}", style="bold",
        )  # fmt: skip
    failures = [
        Text(
            f"failed: {progress.planned[name].variant.label}: {message.splitlines()[0]}",
            style="red",
            overflow="fold",
        )
        for name, message in list(progress.failures.items())[-3:]
    ]
    return Group(
        Text(f"{study.name}: {_counts(progress)}", style="bold"), Text(""), table, *failures
    )


def _say(progress: "Progress") -> None:
    name = progress.latest
    if not name:
        click.echo(_counts(progress), err=True)
        return
    label, seed = progress.planned[name].variant.label, progress.planned[name].config.seed
    if name in progress.rows:
        row = progress.rows[name]
        errors = (
            f"validation {row.validation_mse:.6f}  test {row.test_mse:.6f} "
            f" {row.seconds_per_epoch:.1f} s an epoch"
        )
        click.echo(f"{label}, seed {seed}: {errors}  ({_counts(progress)})", err=True)
    elif name in progress.failures:
        click.echo(f"{label}, seed {seed}: failed: {progress.failures[name]}", err=True)


def _counts(progress: "Progress") -> str:
    failed = f", {len(progress.failures)} failed" if progress.failures else ""
    reused = f" ({progress.reused} from before)" if progress.reused else ""
    seconds, best = progress.seconds_left(), progress.best
    more = bool(progress.left or progress.running)
    time_left = f"; about {duration(seconds)} left" if seconds is not None and more else ""
    best_so_far = f"; best {best.label}, {best.validation_mse:.6f}" if best else ""
    return (
        f"{len(progress.rows)} done{reused}, {len(progress.running)} running, {len(progress.left)}"
        f" left{failed}{time_left}{best_so_far}"
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns are aligned right, but for the first and texts of networks."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    left = {0} | ({len(header) - 1} if header[-1] == "network" else set())
    return [
        "  ".join(
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
