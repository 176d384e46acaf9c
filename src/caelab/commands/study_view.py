"""What people see of a study: its plan, its progress while it runs, its results."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import click

from caelab.commands.output import columns
from caelab.experiments.study import Study
from caelab.experiments.study_results import StudyRow
from caelab.progress import duration, live

if TYPE_CHECKING:
    from caelab.experiments.study_runner import Progress

BEST_SHOWN = 8
"""Number of finished runs in the live display."""

LEFT = ("", "network", "state")
"""Headings of columns that are aligned left."""


def plan_rows(study: Study) -> list[dict[str, Any]]:
    """Return the plan of a study, one row for each network."""
    return [
        {
            "label": variant.label,
            "factor": variant.factor,
            "level": variant.level,
            "network": variant.description.text,
            "code_size": variant.description.code_size,
            "narrowest": variant.description.narrowest.size,
            "weights": variant.description.weights,
            "multiply_accumulates": variant.description.multiply_accumulates,
            "epochs": variant.config.epochs,
        }
        for variant in study.variants
    ]


def plan_table(study: Study) -> str:
    """Return the plan for the terminal, with costs as multiples of the base's."""
    rows = plan_rows(study)
    costs = [row["multiply_accumulates"] * row["epochs"] for row in rows]
    base = costs[0] or 1
    cells = [
        (
            row["label"],
            *(_number(row[name]) for name in ("code_size", "narrowest", "weights")),
            f"{cost / base:.1f}",
            row["network"],
        )
        for row, cost in zip(rows, costs, strict=True)
    ]
    table = columns(("", "code", "narrowest", "weights", "cost", "network"), cells, left=LEFT)
    seeds = ", ".join(map(str, study.seeds))
    return (
        f"{table}\n\n{len(rows)} networks × seeds {seeds} = {len(rows) * len(study.seeds)} runs; a"
        f" seed costs {sum(costs) / base:.0f} times the base's multiply-accumulates"
    )


def results_table(rows: Sequence[StudyRow]) -> str:
    """Return the results for the terminal: one row for each network, means over seeds.

    Args:
        rows: Results of runs; those of one network follow each other.
    """
    cells = []
    for label, group in groupby(rows, key=lambda row: row.label):
        same = list(group)
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
    header = ("", "code", "weights", "s/epoch", "test MSE", "PSNR, dB", "seeds")
    return columns(header, cells, left=LEFT)


ProgressT = TypeVar("ProgressT")


@contextlib.contextmanager
def watching(
    table: Callable[[ProgressT | None], str], line: Callable[[ProgressT], str]
) -> Iterator[Callable[[ProgressT], None]]:
    """Show progress on stderr while the block runs.

    Args:
        table: Function that returns what a person at a terminal sees of the latest progress;
            ``None`` stands for the time before the first.
        line: Function that returns a line on what happened last, for other readers; may be empty.

    Yields:
        Function to call with the progress whenever something happened.
    """
    latest: ProgressT | None = None

    def watch(progress: ProgressT) -> None:
        nonlocal latest
        latest = progress
        if not shown and (text := line(progress)):
            click.echo(text, err=True)

    with live(lambda: table(latest)) as shown:
        yield watch


def watching_study(study: Study) -> AbstractContextManager[Callable[["Progress"], None]]:
    """Show a study's progress while the block runs; see :func:`watching`."""
    return watching(partial(_table, study.name), lambda state: event(state, counts(state)))


def _table(name: str, progress: "Progress | None") -> str:
    if progress is None:
        return f"{name}: reading the data …"
    rows = [
        (
            row.label,
            str(row.seed),
            _number(row.code_size),
            _number(row.weights),
            f"{row.validation_mse:.6f}",
            f"test {row.test_mse:.6f}, {row.seconds_per_epoch:.1f} s/epoch",
        )
        for row in sorted(progress.rows.values(), key=lambda row: row.validation_mse)[:BEST_SHOWN]
    ]
    for run_name, start in list(progress.running.items()):
        run = progress.planned[run_name]
        rows.append(
            (
                run.variant.label,
                str(run.config.seed),
                _number(run.variant.description.code_size),
                _number(run.variant.description.weights),
                "",
                f"running {duration(time.monotonic() - start)}",
            )
        )
    header = ("", "seed", "code", "weights", "validation MSE", "state")
    failures = [
        f"failed: {progress.planned[run_name].variant.label}: {message.splitlines()[0]}"
        for run_name, message in list(progress.failures.items())[-3:]
    ]
    table = columns(header, rows, left=LEFT)
    return "\n".join([f"{name}: {counts(progress)}", "", table, *failures])


def event(progress: "Progress", summary: str) -> str:
    """Return a line on what happened last, or ``""`` where it is not worth one.

    Args:
        progress: Progress of a study.
        summary: State of the study in words.
    """
    name = progress.latest
    if not name:
        return summary
    run = progress.planned[name]
    if name in progress.failures:
        return f"{run.title}: failed: {progress.failures[name]}"
    if name not in progress.rows:
        return ""
    row = progress.rows[name]
    errors = f"validation MSE {row.validation_mse:.6f}, test MSE {row.test_mse:.6f}"
    return f"{run.title}: {errors}, {row.seconds_per_epoch:.1f} s per epoch  ({summary})"


def counts(progress: "Progress") -> str:
    """Return how far a study has come: runs done, running and left, time left, the best network."""
    text = f"{len(progress.rows)} done"
    text += f" ({progress.reused} from before)" if progress.reused else ""
    text += f", {len(progress.running)} running, {len(progress.left)} left"
    text += f", {len(progress.failures)} failed" if progress.failures else ""
    seconds, best = progress.seconds_left(), progress.best
    if seconds is not None and (progress.left or progress.running):
        text += f"; about {duration(seconds)} left"
    return text + (f"; best {best.label}, {best.validation_mse:.6f}" if best else "")


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
