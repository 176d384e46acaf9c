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
    """Return the results for the terminal: one row for each network, means over seeds.

    Args:
        rows: Results of runs; those of one network follow each other.
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
                # The median, because other programs on the machine slow single runs down.
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
        text: Function that returns the text that a terminal shows for the latest progress, which is
            ``None`` at first.
        line: Function that returns a line about the latest event for logs; may be empty.

    Yields:
        Function to call with the progress after each event.

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
    """Return the text that a terminal shows for the progress of a study."""
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
    # Copies, because the study changes them while the thread of the display reads them.
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
    """Return a line about the latest event; empty if the event is of no interest.

    Args:
        progress: Progress of a study.
        summary: State of the study in words.
    """
    name = progress.latest
    # Before the first event there is only the state.
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
    """Return finished, running and remaining runs, the remaining time, and the best network."""
    text = f"{len(progress.rows)} done"
    # Finished runs of other studies count, too, if their configuration is the same.
    text += f" ({progress.reused} from before)" if progress.reused else ""
    text += f", {len(progress.running)} running, {len(progress.left)} left"
    text += f", {len(progress.failures)} failed" if progress.failures else ""
    seconds, best = progress.seconds_left(), progress.best
    if seconds is not None and (progress.left or progress.running):
        text += f"; about {duration(seconds)} left"
    return text + (f"; best {best.label}, {best.validation_mse:.6f}" if best else "")
