"""What people see of the lab: its plan, and one display of its progress with the time left."""

import contextlib
import csv
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from caelab.lab.runner import LabProgress, Stage

Watch = Callable[["LabProgress"], None]
"""Takes up the progress whenever something happened."""


def plan_text(progress: "LabProgress") -> str:
    """Return what the lab would train, on which images, and how long that takes."""
    total, done = progress.seconds()
    source, budget = progress.source, progress.budget
    lines = [f"images: {source.name}, {source.where}"]
    lines.append(f"budget: {budget.name}, {budget.takes}")
    lines += [f"  {said}" for said in progress.cuts]
    for stage in progress.stages:
        study = stage.study
        runs = len(study.variants) * len(study.seeds)
        lines.append(
            f"{study.name}: {_count(len(study.variants), 'network')}, {_count(runs, 'run')}"
        )
    there = len(progress.finished)
    lines.append(
        f"about {_duration(max(0.0, total - done))} to go"
        + (f", as {_count(there, 'run')} of these are there already" if there else "")
        + " (on two cores of a server; it is measured anew as runs end)"
    )
    return "\n".join(lines)


@contextlib.contextmanager
def watching(progress: "LabProgress") -> Iterator[Watch]:
    """Show progress on stderr while the block runs: a live display at a terminal, else a line a
    run.
    """
    if not sys.stderr.isatty():
        yield _Lines()
        return

    from rich.console import Console
    from rich.live import Live

    with Live(
        get_renderable=lambda: _live(progress),
        console=Console(stderr=True),
        refresh_per_second=2,
        transient=True,
        redirect_stdout=False,
    ):
        yield lambda _: None


class _Lines:
    """A line for each run that ended."""

    def __init__(self) -> None:
        self.told: set[str] = set()

    def __call__(self, progress: "LabProgress") -> None:
        stage = progress.current
        if stage is None or stage.progress is None:
            return
        state = stage.progress
        new = [name for name in (*state.rows, *state.failures) if name not in self.told]
        self.told.update(new)
        if not state.latest:  # just begun
            click.echo(
                f"{stage.study.name}: {len(state.planned)} runs, {state.reused} from before",
                err=True,
            )
            return
        for name in new:
            planned = state.planned[name]
            label = f"{planned.variant.label}, seed {planned.config.seed}"
            said = (
                f"failed: {state.failures[name]}"
                if name in state.failures
                else _result(state.rows[name])
            )
            click.echo(f"{stage.study.name}: {label}: {said}  ({_left(progress)})", err=True)


def _result(row: Any) -> str:
    return f"test MSE {row.test_mse:.6f}, {row.seconds_per_epoch:.1f} s an epoch"


def _left(progress: "LabProgress") -> str:
    total, done = progress.seconds()
    return f"about {_duration(max(0.0, total - done))} left"


def _live(progress: "LabProgress") -> Any:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    total, done = progress.seconds()
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("")
    for stage in progress.stages:
        table.add_row(
            Text(stage.study.name, style="bold" if stage is progress.current else ""), _stage(stage)
        )
    head = Text(f"the lab: {done / total:.0%}, {_left(progress)}", style="bold")
    return Group(
        head, ProgressBar(total=total, completed=done, width=60), table, Text(_running(progress))
    )


def _stage(stage: "Stage") -> str:
    state = stage.progress
    if state is None:
        return f"{len(stage.study.variants) * len(stage.study.seeds)} runs to come"
    failed = f", {len(state.failures)} failed" if state.failures else ""
    best = (
        f"; best {state.best.label}, validation MSE {state.best.validation_mse:.6f}"
        if state.best
        else ""
    )
    return f"{len(state.rows)} of {len(state.planned)} runs{failed}{best}"


def _running(progress: "LabProgress") -> str:
    """What is being trained, with the epochs that its directory shows."""
    stage = progress.current
    if stage is None or stage.progress is None:
        return ""
    for name, began in list(stage.progress.running.items()):
        planned = stage.progress.planned[name]
        said = (
            f"{planned.variant.label}, seed {planned.config.seed},"
            f" {_duration(time.monotonic() - began)}"
        )
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            with (progress.runs / name / "epochs.csv").open(encoding="utf-8", newline="") as file:
                last = list(csv.DictReader(file))[-1]
            error = float(last["validation_mse"])
            said += (
                f", epoch {float(last['epoch']):.0f} of {planned.config.epochs}, validation MSE"
                f" {error:.6f}"
            )
        return said
    return ""


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
    )
