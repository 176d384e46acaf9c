"""Trainings that the page starts, stops and resumes: processes that survive the page."""

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from caelab.errors import InputError
from caelab.files import read_json, write_text

RECORD = "app.json"
"""File in the folder of a record that says which process the page started."""

LOG = "app.log"
"""File in the folder of a record with what the command printed."""


def start(arguments: Sequence[str], folder: Path) -> None:
    """Start a command of caelab in a session of its own, so that it survives the page.

    Args:
        arguments: Arguments of ``caelab``.
        folder: Folder for the record of the process and for its log. It is not the run directory,
            in which a new run wants no other files.

    Raises:
        InputError: The folder cannot be written to, or the process cannot be started.
    """
    command = [sys.executable, "-m", "caelab", *arguments]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG).open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise InputError(f"the training cannot be started: {error.strerror}.") from error
    # Its end must be asked for, or it stays in the system's table as long as the page runs.
    threading.Thread(target=process.wait, daemon=True).start()
    record = {"pid": process.pid, "began": _began(process.pid), "arguments": list(arguments)}
    write_text(folder / RECORD, json.dumps(record, indent=2) + "\n")


def is_running(folder: Path) -> bool:
    """Return whether the process that the page started for a folder still runs."""
    return _process(folder) is not None


def stop(folder: Path) -> None:
    """Interrupt a training as Ctrl-C does: it saves its state and can be resumed.

    Args:
        folder: Folder with the record of the process.

    Raises:
        InputError: The page did not start it, or it has ended.
    """
    process = _process(folder)
    if process is None:
        raise InputError(
            "no training that was started here runs in this folder. Stop one that was started in a"
            " terminal there, with Ctrl-C."
        )
    with contextlib.suppress(ProcessLookupError):  # it ends at this moment
        os.kill(process, signal.SIGINT)


def resume(folder: Path) -> None:
    """Start the recorded command again, which goes on where it was interrupted.

    Args:
        folder: Folder with the record of the process.

    Raises:
        InputError: The page did not start it, or it runs.
    """
    if is_running(folder):
        raise InputError("this training runs already.")
    try:
        arguments = read_json(folder / RECORD)["arguments"]
    except (InputError, KeyError) as error:
        raise InputError(
            "this training was not started here. Resume it by the command that began it."
        ) from error
    start([str(argument) for argument in arguments], folder)


def log_of(folder: Path, most: int = 4000) -> str:
    """Return the end of what a training printed; nothing if the page did not start it.

    Args:
        folder: Folder with the log.
        most: Largest number of characters.
    """
    try:
        return (folder / LOG).read_bytes()[-most:].decode(errors="replace")
    except OSError:
        return ""


def _process(folder: Path) -> int | None:
    """Return the number of the folder's process, if it is still the same process."""
    try:
        record = read_json(folder / RECORD)
        pid, began = int(record["pid"]), record["began"]
    except (InputError, KeyError, TypeError, ValueError):
        return None
    # The system gives the number of a process that has ended to another one.
    return pid if pid > 0 and began is not None and _began(pid) == began else None


def _began(pid: int) -> str | None:
    """Return when a process began, as the system says it; ``None`` if there is none."""
    try:
        if platform.system() == "Linux":
            # The name in parentheses may hold blanks and parentheses itself.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if fields[0] == "Z" else fields[19]
        asked = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, IndexError, subprocess.CalledProcessError):
        return None
