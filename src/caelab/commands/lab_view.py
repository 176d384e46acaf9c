"""Show the lab in the terminal: its plan, and its progress with the remaining time."""

import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from caelab.commands.output import table
from caelab.commands.study_view import event_line, live_view, progress_summary
from caelab.errors import InputError
from caelab.progress import duration

if TYPE_CHECKING:
    from caelab.lab.runner import LabProgress, Stage


def plan_text(progress: "LabProgress") -> str:
    """Return a text that says what the lab would train, on which images, and for how long."""
    from caelab.report.render_markdown import render_lines

    source, budget = progress.images.source, progress.budget
    lines = [f"images: {source.name}, {source.where}", f"budget: {budget.name}"]
    lines += render_lines("budget", {"lab": progress.record}).splitlines()
    for stage in progress.stages:
        networks, runs = len(stage.study.variants), _runs(stage)
        lines.append(f"{stage.study.name}: {_count(networks, 'network')}, {_count(runs, 'run')}")
    known = len({name for stage in progress.stages for name in stage.progress.rows})
    reused = f", as {_count(known, 'run')} of these are there already" if known else ""
    lines.append(
        f"about {_time_left(progress)} to go{reused}, by some steps of each network on this machine"
    )
    return "\n".join(lines)


def live_lab_view(
    progress: "LabProgress",
) -> AbstractContextManager[Callable[["LabProgress"], None]]:
    """Show the lab's progress while the block runs; see :func:`study_view.live_view`."""
    return live_view(lambda _: _text(progress), _line)


def _line(progress: "LabProgress") -> str:
    """Return a line about the latest event for a log, or an empty text."""
    stage = progress.current
    if stage is None:
        return ""
    line = event_line(stage.progress, f"about {_time_left(progress)} left")
    return line and f"{stage.study.name}: {line}"


def _text(progress: "LabProgress") -> str:
    total, done = progress.seconds()
    stages = [
        (
            stage.study.name,
            progress_summary(stage.progress) if stage.begun else f"{_runs(stage)} to come",
        )
        for stage in progress.stages
    ]
    head = f"the lab: {done / max(total, 1e-9):.0%}, about {_time_left(progress)} left"
    return "\n".join([head, table(stages, {"": "{0}", "runs": "{1}"}), _running(progress)])


def _running(progress: "LabProgress") -> str:
    """Return a line about the run that is being trained, with its last finished epoch."""
    from caelab.experiments.run_directory import RunDirectory

    stage = progress.current
    if stage is None:
        return ""
    for name, start in list(stage.progress.running.items()):
        run = stage.progress.planned[name]
        text = f"{run.title}, {duration(time.monotonic() - start)}"
        with contextlib.suppress(InputError, KeyError, IndexError):
            last = RunDirectory(progress.runs / name).read_epochs()[-1]
            text += f", epoch {last['epoch']:.0f} of {run.config.epochs}"
            text += f", validation MSE {last['validation_mse']:.6f}"
        return text
    return ""


def _runs(stage: "Stage") -> int:
    return len(stage.progress.planned)


def _time_left(progress: "LabProgress") -> str:
    total, done = progress.seconds()
    return duration(total - done)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
