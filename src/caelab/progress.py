"""Progress bars with the time left, on stderr. Nothing is shown if stderr is not a terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from caelab.errors import printable_lines

_hidden = False


class Bar:
    """A progress bar. Call it with the amount of work that was done since the last call."""

    def __init__(self, advance: Callable[[float], None], say: Callable[[str], None]) -> None:
        self._advance = advance
        self.say = say
        """Print a line above the bar."""

    def __call__(self, amount: float = 1) -> None:
        """Advance by ``amount``, in the units of the bar's total."""
        self._advance(amount)


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Show no bars while the block runs, for instance because several runs share a terminal."""
    global _hidden
    before, _hidden = _hidden, True
    try:
        yield
    finally:
        _hidden = before


@contextlib.contextmanager
def progress(label: str, total: float | None, *, done: float = 0, unit: str = "") -> Iterator[Bar]:
    """Show a bar with the time left while the block runs, if stderr is a terminal.

    Args:
        label: Name of the work, in a few words.
        total: Amount of work; ``None`` if it is not known.
        done: Amount of work done before, by a run that is resumed.
        unit: Unit of the amounts, which is shown after them. ``"bytes"`` shows file sizes and the
            rate.
    """
    if _hidden or not sys.stderr.isatty():
        yield Bar(lambda _: None, lambda _: None)
        return

    from rich import progress as columns
    from rich.console import Console

    amounts: tuple[columns.ProgressColumn, ...] = (
        (columns.DownloadColumn(), columns.TransferSpeedColumn())
        if unit == "bytes"
        else (columns.MofNCompleteColumn(), columns.TextColumn(unit))
    )
    with columns.Progress(
        columns.TextColumn("{task.description}"),
        columns.BarColumn(),
        *amounts,
        columns.TimeRemainingColumn(),
        columns.TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(label, total=total, completed=int(done))
        yield Bar(
            lambda amount: bar.advance(task, amount),
            lambda text: bar.console.print(printable_lines(text), highlight=False),
        )


@contextlib.contextmanager
def live(render: Callable[[], str]) -> Iterator[bool]:
    """Show a text that is updated twice a second while the block runs.

    Args:
        render: Function that returns the current text.

    Yields:
        True if the text is shown, which is so if stderr is a terminal.
    """
    if not sys.stderr.isatty():
        yield False
        return

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(
        get_renderable=lambda: Text(printable_lines(render()), no_wrap=True, overflow="ellipsis"),
        console=Console(stderr=True),
        refresh_per_second=2,
        transient=True,
        redirect_stdout=False,
    ):
        yield True


def duration(seconds: float) -> str:
    """Return a time as minutes and seconds, or as hours, minutes and seconds from one hour on.

    >>> duration(75), duration(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
