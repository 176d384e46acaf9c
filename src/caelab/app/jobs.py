"""Work that takes longer than a request: jobs that two queues (lanes) run one after another."""

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
from caelab.memory import release_memory

_LOGGER = logging.getLogger(__name__)

MAX_JOBS = 200
"""Largest number of jobs that are kept. If there are more, the oldest ended jobs are removed."""

MAX_BYTES = 4 * 2**30
"""Size of all jobs' files, in bytes. If they are larger, the oldest ended jobs are removed."""

PATIENCE = 0.5
"""Seconds for which the server, before it ends, waits for running jobs to stop."""


@dataclass(kw_only=True)
class Job:
    """A piece of work, its progress and its result.

    Attributes:
        name: Random name, which is secret: everybody who knows the URL can see the result.
        folder: Folder for the job's files.
        title: Description of the work in a few words.
        total: Number of steps.
        done: Number of steps that have ended.
        state: ``"waiting"``, ``"running"``, ``"done"`` or ``"failed"``.
        error: Message that says why the job failed; otherwise ``None``.
        result: Result of the work, in a form that the view chooses.
        canceled: Event that asks the job to stop at its next step.
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
        """Count a step that has ended; stop the job if the server is about to end.

        Raises:
            InputError: The server is about to end.
        """
        self.done += 1
        if self.canceled.is_set():
            raise InputError("the page was closed.")


class Jobs:
    """All jobs of the server.

    Large jobs, such as a picture of 50 megapixels, have their own lane, so that small jobs do not
    wait for them.
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
        """Make a job whose files the block writes; remove the job if the block fails."""
        job = self.new(title, total)
        try:
            yield job
        except BaseException:
            with self._lock:
                self._jobs.pop(job.name, None)
            shutil.rmtree(job.folder, ignore_errors=True)
            raise

    def new(self, title: str, total: int) -> Job:
        """Make a job with an empty folder. It waits until :meth:`start` is called."""
        name = secrets.token_urlsafe(12)
        job = Job(name=name, folder=self.folder / name, title=title, total=total)
        job.folder.mkdir(mode=0o700)
        with self._lock:
            self._jobs[name] = job
        self._remove_old()
        return job

    def start(self, job: Job, work: Callable[[Job], Any], *, large: bool = False) -> None:
        """Put a job into a lane, where it begins when the jobs before it have ended.

        Args:
            job: The job.
            work: Function that does the work, calls ``job.step()`` after each step, and returns the
                result.
            large: True uses the lane of large jobs.
        """
        self._lanes[large].submit(self._run, job, work)

    def get(self, name: str) -> Job | None:
        """Return the job with a name; ``None`` if it does not exist or was removed."""
        with self._lock:
            return self._jobs.get(name)

    def before(self, job: Job) -> int:
        """Return the number of jobs that were made before this one and have not ended."""
        with self._lock:
            names = list(self._jobs)
            earlier = names[: names.index(job.name)] if job.name in names else []
            return sum(not self._jobs[name].ended for name in earlier)

    def close(self) -> None:
        """Ask all jobs to stop at their next step, and wait for them up to ``PATIENCE`` seconds."""
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
        """True while a job runs."""
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
            # An error in caelab must not end the lane, and must not look like a user's mistake.
            _LOGGER.exception("while %s", job.title)
            name = type(error).__name__
            job.error = (
                f"this is an error in caelab, please report it ({name}: {printable(str(error))})."
            )
            job.state = "failed"
        finally:
            release_memory()

    def _remove_old(self) -> None:
        """Remove the oldest ended jobs until ``MAX_JOBS`` and ``MAX_BYTES`` are respected."""
        with self._lock:
            sizes = {name: _size(job.folder) for name, job in self._jobs.items()}
            for name in [name for name, job in self._jobs.items() if job.ended]:
                if len(self._jobs) <= MAX_JOBS and sum(sizes.values()) <= MAX_BYTES:
                    break
                shutil.rmtree(self._jobs.pop(name).folder, ignore_errors=True)
                del sizes[name]


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
