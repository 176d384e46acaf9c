"""Progress for a person at a terminal: on stderr, with the time left; silent everywhere else."""

import contextlib
import sys
from collections.abc import Callable, Iterator


class Bar:
    """A bar that is advanced by calling it with the amount of work done since the last call."""

    def __init__(self, advance: Callable[[float], None], say: Callable[[str], None]) -> None:
        self._advance = advance
        self.say = say
        """Print a line above the bar."""

    def __call__(self, amount: float = 1) -> None:
        """Advance by ``amount``, in the units of the bar's total."""
        self._advance(amount)


@contextlib.contextmanager
def progress(label: str, total: float | None, *, done: float = 0, unit: str = "") -> Iterator[Bar]:
    """Show a bar with the time left while the block runs; quiet when stderr is not a terminal.

    Args:
        label: What is being done, in a few words.
        total: The amount of work, or ``None`` where it is not known.
        done: How much of it was done before (a resumed run).
        unit: ``"bytes"`` shows amounts and rate as file sizes; anything else shows counts.
    """
    if not sys.stderr.isatty():
        yield Bar(lambda _: None, lambda _: None)
        return

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    amounts: tuple[ProgressColumn, ...] = (
        (DownloadColumn(), TransferSpeedColumn())
        if unit == "bytes"
        else (MofNCompleteColumn(), TextColumn(unit))
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        *amounts,
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, completed=int(done))
        yield Bar(
            lambda amount: bar.advance(task, amount),
            lambda text: bar.console.print(text, highlight=False),
        )
