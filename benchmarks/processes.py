"""A contestant's process: start it, sample its memory, read its line of JSON."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.tasks import Contestant

ROOT = Path(__file__).parents[1]
SAMPLING_SECONDS = 1.0
"""Seconds between two looks at a process's memory; each makes the kernel walk its page tables."""

Answer = dict[str, Any]
"""What a process measured; ``{"missing": …}`` or ``{"failed": …}`` if it could not."""


def measure(contestant: Contestant, *, timeout: float = 3600.0) -> Answer:
    """Run a contestant once and return its answer.

    Besides the contestant's own numbers, the answer has ``wall`` (seconds from start to end of the
    process) and ``peak_memory`` (bytes of the whole process tree, each shared page counted once).
    """
    missing = [package for package in contestant.needs if importlib.util.find_spec(package) is None]
    if missing:
        return {"missing": ", ".join(missing)}
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(_Running(contestant)) for _ in range(contestant.copies)]
        deadline = time.monotonic() + timeout
        while sum(process.alive() for process in running):  # not any(): every one is to be sampled
            if time.monotonic() > deadline:
                return {"failed": f"not done after {timeout:.0f} s"}
            time.sleep(0.05 if contestant.task else 0.002)
        return _together([process.answer() for process in running])


class _Running:
    """A running process, which is ended on leaving the context."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        self.peak_memory = 0
        self.sampled = 0.0

    def __enter__(self) -> "_Running":
        self.output, self.talk = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
        path = os.pathsep.join(
            filter(None, [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH")])
        )
        self.started = time.time()
        command = [sys.executable, *self.contestant.arguments]
        if self.contestant.task:
            command.append(replace(self.contestant.task, started=self.started).as_json())
        self.process = subprocess.Popen(
            command,
            stdout=self.output,
            stderr=self.talk,
            env={**os.environ, **self.contestant.environment, "PYTHONPATH": path},
        )
        self.ended: float | None = None
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.output.close()
        self.talk.close()

    def alive(self) -> bool:
        """True while the process runs; each call samples its memory."""
        if self.process.poll() is None:
            if self.contestant.task and time.monotonic() - self.sampled > SAMPLING_SECONDS:
                self.sampled = time.monotonic()
                self.peak_memory = max(self.peak_memory, tree_memory(self.process.pid))
            return True
        if self.ended is None:
            self.ended = time.time()
        return False

    def answer(self) -> Answer:
        """The ended process's own answer, with wall time and peak memory."""
        self.output.seek(0)
        self.talk.seek(0)
        lines, talk = self.output.read().splitlines(), self.talk.read().splitlines()
        if self.process.returncode:
            said = next((line.strip() for line in reversed(talk) if line.strip()), "")
            return {"failed": f"exit code {self.process.returncode}: {said[:300]}"}
        assert self.ended is not None
        answer: Answer = json.loads(lines[-1]) if self.contestant.task else {}
        answer["wall"] = self.ended - self.started
        if self.contestant.task:
            answer["peak_memory"] = max(self.peak_memory, answer.get("peak_memory", 0))
        return answer


def _together(answers: list[Answer]) -> Answer:
    """Return one answer for copies that ran at once: sums of rates and memory, longest time."""
    first, *_ = answers
    for answer in answers:
        if "failed" in answer:
            return answer
    if len(answers) == 1:
        return first
    added = {
        key: sum(answer[key] for answer in answers)
        for key in ("images_per_second", "peak_memory", "cores")
    }
    return {**first, **added, "wall": max(answer["wall"] for answer in answers)}


def tree_memory(pid: int) -> int:
    """Return the bytes of a process and its descendants, shared pages counted once.

    The number is the sum of the proportional set sizes that Linux reports, and 0 elsewhere, where
    the contestant's own peak is used instead.
    """
    total = 0
    for each in _tree(pid):
        with contextlib.suppress(OSError, ValueError, StopIteration):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return total


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in thread.read_text(encoding="ascii").split():
                yield from _tree(int(child))
