"""Let signals such as Ctrl-C stop training between two steps, when its state is complete."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from caelab.errors import ExpectedError


class Interrupted(ExpectedError):
    """A signal stopped training. The state is saved, and the same command resumes training."""

    outcome = "interrupted"
    exit_code = 130


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay signals that end this process until the block is complete (in the main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    # A signal is remembered and raised again after the block, because the user still wants to stop.
    before = {
        number: signal.signal(number, lambda number, _: pressed.append(number))
        for number in ending_signals()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if pressed:
            signal.raise_signal(pressed[0])


def ending_signals() -> list[signal.Signals]:
    """Return the signals that ask this process to end, except signals that it ignores.

    A process in the background ignores Ctrl-C (SIGINT). A process under ``nohup`` ignores that its
    terminal is closed (SIGHUP).
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    known = [signal.Signals[name] for name in names if name in signal.Signals.__members__]
    return [number for number in known if signal.getsignal(number) != signal.SIG_IGN]


@contextlib.contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Yield an event that SIGINT, SIGTERM and SIGHUP set while the block runs.

    A second signal has its usual effect. Outside the main thread, Python allows no signal handlers,
    so the event is never set.
    """
    # An exception in the middle of a step would leave an inconsistent state; an event does not.
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return

    def request(number: int, _: object) -> None:
        # After a second Ctrl-C the user does not want to wait for the end of the step.
        if requested.is_set():
            signal.signal(number, previous[signal.Signals(number)])
            signal.raise_signal(number)
        requested.set()

    previous = {number: signal.signal(number, request) for number in ending_signals()}
    try:
        yield requested
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
