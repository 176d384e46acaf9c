"""Work that takes longer than an answer of the server: jobs in order, in two lanes."""

import contextlib
import logging
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caelab.errors import InputError, printable

_LOGGER = logging.getLogger(__name__)

MAX_JOBS = 200
"""Jobs that are kept with their files; older ones that have ended are removed."""

MAX_BYTES = 4 * 2**30
"""Size up to which the files of ended jobs are kept, in bytes."""

PATIENCE = 0.5
"""Seconds for which the end of the server waits for the next step of the jobs that run."""


@dataclass(kw_only=True)
class Job:
    """A piece of work, its progress and its result.

    Attributes:
        name: Random name, which is the job's secret: whoever has the URL sees the result.
        folder: Folder for its files.
        title: What it does, in words.
        total: Number of its steps.
        done: Number of steps that have ended.
        state: ``"waiting"``, ``"running"``, ``"done"`` or ``"failed"``.
        error: Why it failed, in a line.
        result: What it gives, as the view needs it.
    """

    name: str
    folder: Path
    title: str
    total: int
    done: int = 0
    state: str = "waiting"
    error: str | None = None
    result: Any = None
    canceled: threading.Event = field(default_factory=threading.Event)

    @property
    def ended(self) -> bool:
        """True if the job is done or has failed."""
        return self.state in ("done", "failed")

    def step(self) -> None:
        """Count a step; stop the job if the server is about to end.

        Raises:
            InputError: The server ends.
        """
        self.done += 1
        if self.canceled.is_set():
            raise InputError("the page was closed.")


class Jobs:
    """All jobs of the server.

    A large job, such as a picture of 50 megapixels, waits in a lane of its own, so that small ones
    need not wait for it.
    """

    def __init__(self, folder: Path) -> None:
        """Start without jobs.

        Args:
            folder: Folder for the files of all jobs.
        """
        self.folder = folder
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._lanes = {
            large: ThreadPoolExecutor(1, "large-jobs" if large else "small-jobs")
            for large in (False, True)
        }

    @contextlib.contextmanager
    def prepare(self, title: str, total: int) -> Iterator[Job]:
        """Make a job whose files are written within the block; if that fails, it is removed."""
        job = self.new(title, total)
        try:
            yield job
        except BaseException:
            with self._lock:
                self._jobs.pop(job.name, None)
            shutil.rmtree(job.folder, ignore_errors=True)
            raise

    def new(self, title: str, total: int) -> Job:
        """Make a job with an empty folder; ``start`` begins it."""
        name = secrets.token_urlsafe(12)
        job = Job(name=name, folder=self.folder / name, title=title, total=total)
        job.folder.mkdir(mode=0o700)
        with self._lock:
            self._jobs[name] = job
        self._remove_old()
        return job

    def start(self, job: Job, work: Callable[[Job], Any], *, large: bool = False) -> None:
        """Begin a job when those before it in its lane have ended.

        Args:
            job: The job.
            work: Function that does it and returns its result. It calls ``job.step()``.
            large: Put it into the lane of large jobs.
        """
        self._lanes[large].submit(self._run, job, work)

    def get(self, name: str) -> Job | None:
        """Return a job; ``None`` if there is none of this name, or no longer."""
        with self._lock:
            return self._jobs.get(name)

    def before(self, job: Job) -> int:
        """Return how many jobs that have not ended were made before this one."""
        with self._lock:
            names = list(self._jobs)
            earlier = names[: names.index(job.name)] if job.name in names else []
            return sum(not self._jobs[name].ended for name in earlier)

    def close(self) -> None:
        """Stop all jobs at their next step, and wait a moment for that."""
        with self._lock:
            for job in self._jobs.values():
                job.canceled.set()
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)
        end = time.monotonic() + PATIENCE
        while self.busy and time.monotonic() < end:
            time.sleep(0.01)

    @property
    def busy(self) -> bool:
        """True while a job runs; a thread that computes cannot be stopped from outside."""
        with self._lock:
            return any(job.state == "running" for job in self._jobs.values())

    @staticmethod
    def _run(job: Job, work: Callable[[Job], Any]) -> None:
        job.state = "running"
        try:
            job.result = work(job)
            job.state = "done"
        except InputError as error:
            job.error, job.state = str(error), "failed"
        except MemoryError:
            job.error, job.state = "there is too little memory. Choose smaller files.", "failed"
        except Exception as error:
            # A mistake of this package must not end the lane, and must not look like the user's.
            _LOGGER.exception("while %s", job.title)
            name = type(error).__name__
            job.error = (
                f"this is an error in caelab, please report it ({name}: {printable(str(error))})."
            )
            job.state = "failed"

    def _remove_old(self) -> None:
        """Remove ended jobs, the oldest first, until the others are few and small enough."""
        with self._lock:
            sizes = {name: _size(job.folder) for name, job in self._jobs.items()}
            for name in [name for name, job in self._jobs.items() if job.ended]:
                if len(self._jobs) <= MAX_JOBS and sum(sizes.values()) <= MAX_BYTES:
                    break
                shutil.rmtree(self._jobs.pop(name).folder, ignore_errors=True)
                del sizes[name]


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
