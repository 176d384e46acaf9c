"""Jobs, the events of their training, and the engine that trains in this process."""

import contextlib
import logging
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from caelab.data.image_set import ImageSet
from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.interrupt import Interrupted
from caelab.progress import hidden


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run to be trained.

    Attributes:
        name: Name that the run directory must get.
        config: The run.
        threads: CPU threads by the plan of its study; ``None`` for those of the engine.
    """

    name: str
    config: RunConfig
    threads: int | None = None


@dataclass(frozen=True)
class Started:
    """The job of that name is being trained."""

    name: str


@dataclass(frozen=True)
class Finished:
    """The job's run directory is complete; the notes are the warnings that it logged."""

    name: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The job cannot be trained; the message says why."""

    name: str
    message: str


@dataclass(frozen=True)
class Busy:
    """Another process trains the job now."""

    name: str


Event = Started | Finished | Failed | Busy


class Engine:
    """Trains jobs.

    Attributes:
        workers: Number of jobs that are trained at the same time.
        threads: CPU threads of each.
        plans: Whether :meth:`plan` decides for each run; otherwise all runs have ``threads``.
    """

    workers = 1
    threads = 1
    plans = False

    def plan(
        self,
        count: int,
        side_by_side: Callable[[int, int], bool],  # noqa: ARG002 - other engines measure
    ) -> list[int]:
        """Return the threads of each of ``count`` runs of a study, the longest first.

        Args:
            count: Number of all runs, finished or not.
            side_by_side: Function of a number of processes and of threads of each; it measures
                whether these train faster side by side than one process with all threads.
        """
        return [self.threads] * count

    def train(
        self, jobs: Sequence[Job], *, runs: Path, images: ImageSet | None = None
    ) -> Generator[Event, None, None]:
        """Train jobs in their order into folders of ``runs``; yield each event as it happens.

        A job that fails does not stop the others. Closing the iterator stops all work; a job that
        was running continues from its checkpoint when it is trained again.

        Args:
            jobs: Runs to train.
            runs: Folder for the run directories.
            images: Data that all jobs name, if they are loaded already; an engine may ignore them.

        Raises:
            Interrupted: Someone asked to stop; the state is saved.
        """
        raise NotImplementedError


class SerialEngine(Engine):
    """Trains one job after the other in this process, with all of PyTorch's threads."""

    def __init__(self) -> None:
        import torch

        from caelab.device import limit_threads

        limit_threads()
        self.threads = torch.get_num_threads()

    def train(
        self, jobs: Sequence[Job], *, runs: Path, images: ImageSet | None = None
    ) -> Generator[Event, None, None]:
        """Train jobs one after the other; see :meth:`Engine.train`.

        Args:
            jobs: Runs to train.
            runs: Folder for the run directories.
            images: Data that the jobs name, if they are loaded already.
        """
        for job in jobs:
            yield Started(job.name)
            yield train_job(job, runs, images)


def train_job(job: Job, runs: Path, images: ImageSet | None = None) -> Finished | Failed | Busy:
    """Train a job in this process without writing to stderr.

    Args:
        job: Run to train.
        runs: Folder for the run directory.
        images: Data that the job names, if they are loaded already.

    Raises:
        Interrupted: Someone asked to stop; the state is saved.
    """
    from caelab.experiments.run import run
    from caelab.experiments.run_directory import BusyError
    from caelab.training.fit import TrainingDiverged

    try:
        with hidden(), collected_warnings() as notes:
            run(job.config, runs=runs, images=images, wait=0, expected=job.name)
    except Interrupted:
        raise
    except BusyError:
        return Busy(job.name)
    except (InputError, TrainingDiverged) as error:
        return Failed(job.name, str(error))
    except Exception as error:  # an error in one run must not stop the others
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Failed(
            job.name, f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"
        )
    return Finished(job.name, tuple(notes))


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Keep the library's warnings from being shown; collect their messages."""
    messages: list[str] = []
    logger, collector = logging.getLogger("caelab"), logging.Handler()
    emit = lambda record: messages.append(record.getMessage())  # noqa: E731
    collector.emit = emit  # type: ignore[method-assign]
    handlers, propagate = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [collector], False
    try:
        yield messages
    finally:
        logger.handlers, logger.propagate = handlers, propagate
