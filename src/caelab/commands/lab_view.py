"""What people see of the lab: its plan, and one display of its progress with the time left."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from caelab.errors import InputError
from caelab.progress import duration

if TYPE_CHECKING:
    from caelab.lab.runner import LabProgress, Stage

Watch = Callable[["LabProgress"], None]
"""Function that is called with the progress whenever something happened."""


def plan_text(progress: "LabProgress") -> str:
    """Return what the lab would train, on which images, and how long that takes."""
    source, budget = progress.source, progress.budget
    lines = [f"images: {source.name}, {source.where}"]
    lines += [f"note: {source.note}"] if source.note else []
    lines.append(f"budget: {budget.name}, {budget.takes}")
    lines += [f"  {cut}" for cut in progress.cuts]
    for stage in progress.stages:
        networks, runs = len(stage.study.variants), _runs(stage)
        lines.append(f"{stage.study.name}: {_count(networks, 'network')}, {_count(runs, 'run')}")
    known = len(progress.finished)
    reused = f", as {_count(known, 'run')} of these are there already" if known else ""
    return "\n".join(
        [
            *lines,
            (
                f"about {_time_left(progress)} to go{reused} (on two cores of a server; the"
                " estimate improves as runs end)"
            ),
        ]
    )


@contextlib.contextmanager
def watching(progress: "LabProgress") -> Iterator[Watch]:
    """Show progress on stderr while the block runs.

    A person at a terminal sees a live display; elsewhere each run is a line.
    """
    if not sys.stderr.isatty():
        yield _line_writer()
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


def _line_writer() -> Watch:
    """Return what writes a line for each run that ended."""
    written: set[str] = set()

    def write(progress: "LabProgress") -> None:
        stage = progress.current
        state = stage.progress if stage else None
        if stage is None or state is None:
            return
        study = stage.study.name
        new = [name for name in (*state.rows, *state.failures) if name not in written]
        written.update(new)
        if not state.latest:  # just begun
            click.echo(f"{study}: {len(state.planned)} runs, {state.reused} from before", err=True)
            return
        for name in new:
            result = f"failed: {state.failures.get(name)}"
            if name in state.rows:
                row = state.rows[name]
                result = f"test MSE {row.test_mse:.6f}, {row.seconds_per_epoch:.1f} s per epoch"
            left = f"(about {_time_left(progress)} left)"
            click.echo(f"{study}: {_label(stage, name)}: {result}  {left}", err=True)

    return write


def _live(progress: "LabProgress") -> Any:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    total, done = progress.seconds()
    table = Table(box=None, pad_edge=False, show_header=False)
    for stage in progress.stages:
        style = "bold" if stage is progress.current else ""
        table.add_row(Text(stage.study.name, style=style), _stage(stage))
    head = f"the lab: {done / total:.0%}, about {_time_left(progress)} left"
    bar = ProgressBar(total=total, completed=done, width=60)
    return Group(Text(head, style="bold"), bar, table, Text(_running(progress)))


def _stage(stage: "Stage") -> str:
    state = stage.progress
    if state is None:
        return f"{_count(_runs(stage), 'run')} to come"
    text = f"{len(state.rows)} of {_count(len(state.planned), 'run')}"
    text += f", {len(state.failures)} failed" if state.failures else ""
    if state.best:
        text += f"; best {state.best.label}, validation MSE {state.best.validation_mse:.6f}"
    return text


def _running(progress: "LabProgress") -> str:
    """Return what is being trained, with the last epoch that its directory shows."""
    from caelab.experiments.run_directory import RunDirectory

    stage = progress.current
    if stage is None or stage.progress is None:
        return ""
    for name, began in list(stage.progress.running.items()):
        text = f"{_label(stage, name)}, {duration(time.monotonic() - began)}"
        with contextlib.suppress(InputError, KeyError):
            last = RunDirectory(progress.runs / name).read_epochs()[-1]
            epochs = stage.progress.planned[name].config.epochs
            text += f", epoch {last['epoch']:.0f} of {epochs}"
            text += f", validation MSE {last['validation_mse']:.6f}"
        return text
    return ""


def _label(stage: "Stage", name: str) -> str:
    assert stage.progress is not None
    planned = stage.progress.planned[name]
    return f"{planned.variant.label}, seed {planned.config.seed}"


def _runs(stage: "Stage") -> int:
    return len(stage.study.variants) * len(stage.study.seeds)


def _time_left(progress: "LabProgress") -> str:
    total, done = progress.seconds()
    return duration(max(0.0, total - done))


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
