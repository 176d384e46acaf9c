"""Jobs, the events of their training, the base class of engines, and the serial engine."""

import contextlib
import logging
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from caelab.data.image_set import ImageSet
from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.files import BusyError
from caelab.interrupt import Interrupted
from caelab.progress import hidden


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run that an engine should train.

    Attributes:
        name: Name of the run directory; the job fails if the loaded images lead to another name.
        config: Configuration of the run.
        threads: CPU threads that the plan of the study gives the run; ``None`` for the number of
            threads of the engine.
    """

    name: str
    config: RunConfig
    threads: int | None = None


@dataclass(frozen=True)
class Started:
    """Training of the job ``name`` has begun."""

    name: str


@dataclass(frozen=True)
class Finished:
    """The job's run directory is complete; ``notes`` are the warnings that the run logged."""

    name: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The job cannot be trained; ``message`` says why."""

    name: str
    message: str


@dataclass(frozen=True)
class Busy:
    """Another process is training the job now."""

    name: str


Event = Started | Finished | Failed | Busy


class Engine:
    """Base class of engines, which train jobs.

    Attributes:
        workers: Largest number of jobs that are trained at the same time.
        threads: CPU threads of each job.
        plans: Whether :meth:`plan` chooses the threads of each run; if not, each has ``threads``.
    """

    workers = 1
    threads = 1
    plans = False

    def plan(
        self,
        count: int,
        side_by_side: Callable[[int, int], bool],  # noqa: ARG002 - AutoEngine uses it
    ) -> list[int]:
        """Return the number of CPU threads of each run of a study, for the costliest run first.

        Args:
            count: Number of all runs, finished or not.
            side_by_side: Function of a number of processes and of the threads of each process. It
                measures whether the processes together train faster than one process with all
                threads.
        """
        return [self.threads] * count

    def train(
        self, jobs: Sequence[Job], *, runs: Path, images: ImageSet | None = None
    ) -> Generator[Event, None, None]:
        """Train jobs in the given order; yield each event as it happens.

        A job that fails does not stop the others. Closing the iterator stops all work; a job that
        was running continues from its checkpoint when it is trained again.

        Args:
            jobs: Runs to train.
            runs: Folder for the run directories.
            images: Images of all jobs if they are loaded already; an engine may load them again.

        Raises:
            Interrupted: Someone asked to stop; the state is saved.
        """
        raise NotImplementedError


class SerialEngine(Engine):
    """Trains one job after another in this process, with all of PyTorch's threads."""

    def __init__(self) -> None:
        import torch

        from caelab.device import limit_threads

        limit_threads()
        self.threads = torch.get_num_threads()

    def train(
        self, jobs: Sequence[Job], *, runs: Path, images: ImageSet | None = None
    ) -> Generator[Event, None, None]:
        """Train jobs one after another; see :meth:`Engine.train`.

        Args:
            jobs: Runs to train.
            runs: Folder for the run directories.
            images: Images of all jobs if they are loaded already.
        """
        for job in jobs:
            yield Started(job.name)
            yield train_job(job, runs, images)


def train_job(job: Job, runs: Path, images: ImageSet | None = None) -> Finished | Failed | Busy:
    """Train a job in this process and return how it ended; write nothing to stderr.

    Args:
        job: Run to train.
        runs: Folder for the run directory.
        images: Images of the job if they are loaded already.

    Raises:
        Interrupted: Someone asked to stop; the state is saved.
    """
    from caelab.experiments.run import run
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
    """Collect the messages of caelab's warnings in the block, instead of showing the warnings."""
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
