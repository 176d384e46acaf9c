"""Show a study in the terminal: its plan, its progress and its results."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from caelab.commands.output import echo, table
from caelab.experiments.study import Study
from caelab.experiments.study_results import StudyRow
from caelab.interrupt import Interrupted
from caelab.progress import duration, live

if TYPE_CHECKING:
    from caelab.experiments.study_runner import Progress

ProgressT = TypeVar("ProgressT")


def plan_rows(study: Study) -> list[dict[str, Any]]:
    """Return the plan of a study for JSON: one row for each network, with sizes and epochs."""
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
    """Return the plan for the terminal; the cost of training is 1 for the base network."""
    rows = plan_rows(study)
    costs = [row["multiply_accumulates"] * row["epochs"] for row in rows]
    # A base without multiplications, such as one with only pooling, costs 0.
    base = costs[0] or 1
    columns = {
        "": "{0[label]}",
        "code": "{0[code_size]:,}",
        "narrowest": "{0[narrowest]:,}",
        "weights": "{0[weights]:,}",
        "cost": "{1:.1f}",
        "network": "{0[network]}",
    }
    cells = [(row, cost / base) for row, cost in zip(rows, costs, strict=True)]
    seeds = ", ".join(map(str, study.seeds))
    runs = len(rows) * len(study.seeds)
    return (
        f"{table(cells, columns)}\n\n{len(rows)} networks × seeds {seeds} = {runs} runs; a seed"
        f" costs {sum(costs) / base:.0f} times the base's multiply-accumulates"
    )


def results_table(rows: Sequence[StudyRow]) -> str:
    """Return the results for the terminal: one row for each network, with means over its seeds.

    Args:
        rows: Results of the runs, sorted so that the runs of a network follow each other.
    """
    columns = {
        "": "{0.label}",
        "code": "{0.code_size:,}",
        "weights": "{0.weights:,}",
        "s/epoch": "{1:.1f}",
        "test MSE": "{2:.6f}",
        "PSNR, dB": "{3:.2f}",
        "seeds": "{4:}",
    }
    networks = []
    for _, group in groupby(rows, key=lambda row: row.label):
        same = list(group)
        networks.append(
            (
                same[0],
                # The median ignores single runs that other programs on the machine slowed down.
                statistics.median(row.seconds_per_epoch for row in same),
                statistics.mean(row.test_mse for row in same),
                statistics.mean(row.test_psnr for row in same),
                len(same),
            )
        )
    return table(networks, columns)


@contextlib.contextmanager
def live_view(
    text: Callable[[ProgressT | None], str], line: Callable[[ProgressT], str]
) -> Iterator[Callable[[ProgressT], None]]:
    """Show progress on stderr while the block runs.

    Args:
        text: Function that turns the latest progress, or ``None`` before the first event, into the
            text that a terminal shows.
        line: Function that turns the latest progress into a line for a log, or an empty text.

    Yields:
        Function that must be called with the progress after each event.

    Raises:
        Interrupted: Someone pressed Ctrl-C.
    """
    latest: ProgressT | None = None

    def watch(progress: ProgressT) -> None:
        nonlocal latest
        latest = progress
        # A log gets lines, and a terminal gets a display that is updated.
        if not shown and (news := line(progress)):
            echo(news, err=True)

    with live(lambda: text(latest)) as shown:
        try:
            yield watch
        except KeyboardInterrupt as error:
            raise Interrupted("the state is saved; run the same command again to resume") from error


def study_text(name: str, progress: "Progress | None") -> str:
    """Return the text that a terminal shows for the progress of a study.

    Args:
        name: Name of the study.
        progress: Latest progress; ``None`` before the first event.
    """
    if progress is None:
        return f"{name}: reading the data …"
    best = sorted(progress.rows.values(), key=lambda row: row.validation_mse)
    shown = [(row,) for row in best[:8]]
    columns = {
        "": "{0.label}",
        "seed": "{0.seed:}",
        "code": "{0.code_size:,}",
        "weights": "{0.weights:,}",
        "validation MSE": "{0.validation_mse:.6f}",
        "test MSE": "{0.test_mse:.6f}",
        "s/epoch": "{0.seconds_per_epoch:.1f}",
    }
    # The lists are copies, because the study changes the originals while the display reads them.
    running = [
        f"running: {progress.planned[run].title}, {duration(time.monotonic() - start)}"
        for run, start in list(progress.running.items())
    ]
    failed = [
        f"failed: {progress.planned[run].title}: {message.splitlines()[0]}"
        for run, message in list(progress.failures.items())[-3:]
    ]
    return "\n".join(
        [f"{name}: {progress_summary(progress)}", "", table(shown, columns), *running, *failed]
    )


def event_line(progress: "Progress", summary: str) -> str:
    """Return a line about the latest event; empty if a run has only started.

    Args:
        progress: Progress of a study.
        summary: State of the whole study in words, for the end of the line.
    """
    name = progress.latest
    # Before the first event, only the state of the study is known.
    if not name:
        return summary
    title, row = progress.planned[name].title, progress.rows.get(name)
    if name in progress.failures:
        return f"{title}: failed: {progress.failures[name]}"
    if row is None:
        return ""
    return (
        f"{title}: validation MSE {row.validation_mse:.6f}, test MSE {row.test_mse:.6f},"
        f" {row.seconds_per_epoch:.1f} s per epoch  ({summary})"
    )


def progress_summary(progress: "Progress") -> str:
    """Return numbers of finished, running and remaining runs, remaining time and best network."""
    text = f"{len(progress.rows)} done"
    # These runs were finished before, possibly in another study with the same configuration.
    text += f" ({progress.reused} from before)" if progress.reused else ""
    text += f", {len(progress.running)} running, {len(progress.left)} left"
    text += f", {len(progress.failures)} failed" if progress.failures else ""
    seconds, best = progress.seconds_left(), progress.best
    if seconds is not None and (progress.left or progress.running):
        text += f"; about {duration(seconds)} left"
    return text + (f"; best {best.label}, {best.validation_mse:.6f}" if best else "")
