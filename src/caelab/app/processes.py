"""Start, stop and resume trainings as processes that continue when the server of the page ends."""

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
"""Name of the file that records which process the page started."""

LOG = "app.log"
"""Name of the file with the output of the process."""


def start(arguments: Sequence[str], folder: Path) -> None:
    """Start a caelab command in its own session, so that it continues when the server ends.

    Args:
        arguments: Arguments of ``caelab``.
        folder: Folder for the record of the process and for its log. It must not be the run
            directory, because a new run refuses a folder that contains other files.

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
    # If nobody waits for the process, it stays in the system's table after its end, as a zombie.
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
        InputError: The page did not start the training, or the training has ended.
    """
    process = _process(folder)
    if process is None:
        raise InputError(
            "this page has started no training here that still runs. If a terminal started it, stop"
            " it there with Ctrl-C."
        )
    with contextlib.suppress(ProcessLookupError):  # it has ended just now
        os.kill(process, signal.SIGINT)


def resume(folder: Path) -> None:
    """Start the recorded command again. Training resumes where it was interrupted.

    Args:
        folder: Folder with the record of the process.

    Raises:
        InputError: The page did not start the training, or the training is running.
    """
    if is_running(folder):
        raise InputError("this training is running already.")
    try:
        arguments = read_json(folder / RECORD)["arguments"]
    except (InputError, KeyError) as error:
        raise InputError(
            "this page did not start this training. Resume it with the command that started it."
        ) from error
    start([str(argument) for argument in arguments], folder)


def log_of(folder: Path, most: int = 4000) -> str:
    """Return the end of a training's output; an empty text if the page did not start it.

    Args:
        folder: Folder with the log.
        most: Largest number of bytes.
    """
    try:
        return (folder / LOG).read_bytes()[-most:].decode(errors="replace")
    except OSError:
        return ""


def _process(folder: Path) -> int | None:
    """Return the ID of the process that a folder records; ``None`` if it has ended."""
    try:
        record = read_json(folder / RECORD)
        pid, began = int(record["pid"]), record["began"]
    except (InputError, KeyError, TypeError, ValueError):
        return None
    # The system may have given the ID of an ended process to another one, which began later.
    return pid if pid > 0 and began is not None and _began(pid) == began else None


def _began(pid: int) -> str | None:
    """Return the time when a process began, in the system's format; ``None`` if it has ended."""
    try:
        if platform.system() == "Linux":
            # The name of the process, in parentheses, may itself contain spaces and parentheses.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if fields[0] == "Z" else fields[19]
        asked = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, IndexError, subprocess.CalledProcessError):
        return None
