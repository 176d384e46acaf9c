"""Events of the file system in this process, and what can happen at one: a signal, or an error.

Python reports opening, renaming and removing files by its audit hooks; ``os.fsync`` is wrapped.
Only events in the attacked folder count: what libraries do elsewhere differs between two calls.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.chmod")

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_watch: Callable[[], None] | None = None


def _event(name: str, arguments: tuple[Any, ...]) -> None:
    if _watch is None:
        return
    if name in CHANGES or (name == "open" and _writes(arguments)):
        _happens(arguments[0])


def _writes(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    return bool(flags & WRITING) if mode is None else bool(set(str(mode)) & set("wax+"))


_folder = ""


def _happens(path: object) -> None:
    # A file that is already open is named by its number alone.
    if isinstance(path, int):
        try:
            path = Path(f"/proc/self/fd/{path}").readlink()
        except OSError:
            return
    if isinstance(path, str | bytes | os.PathLike) and _watch is not None:
        where = os.fsdecode(path)
        if where.startswith(_folder):
            _watch()


_fsync = os.fsync


def _watched_fsync(descriptor: int) -> None:
    _happens(descriptor if isinstance(descriptor, int) else descriptor.fileno())
    _fsync(descriptor)


def install(folder: Path) -> None:
    """Begin to report events below a folder; an audit hook cannot be taken away again."""
    global _folder
    _folder = str(folder)
    os.fsync = _watched_fsync
    sys.addaudithook(_event)


def at(number: int, happen: Callable[[], None]) -> Callable[[], int]:
    """Let something happen at an event, counted from 0; return what counts them all."""
    global _watch
    count = 0

    def watch() -> None:
        nonlocal count
        count += 1
        if count == number + 1:
            happen()

    _watch = watch
    return lambda: count


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end_after(seconds: float) -> Callable[[], None]:
    """Return what ends this process later, while it computes or waits for a compiler."""
    # What happens may happen in a thread, which cannot set a handler. The default ends the process.

    def start() -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)

    return start


def send(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def fail(code: int) -> Callable[[], None]:
    def raise_error() -> None:
        raise OSError(code, os.strerror(code))

    return raise_error
