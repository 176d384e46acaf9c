"""What engines are given and what they tell."""

import contextlib
import logging
import traceback
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from caelab.data import ImageSet
from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.interrupt import Interrupted
from caelab.progress import hidden


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run to be trained, and the name that its directory will have, given the study's data."""

    name: str
    config: RunConfig


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


Event = Started | Finished | Failed


class Engine(Protocol):
    """Trains jobs."""

    @property
    def workers(self) -> int:
        """How many jobs are trained at the same time."""

    def train(
        self, jobs: Sequence[Job], *, runs: Path, images: ImageSet | None = None
    ) -> Generator[Event, None, None]:
        """Train ``jobs``, begun in their order, into folders of ``runs``; yield what happens as it
        happens.

        A job that fails does not stop the others. Closing the iterator stops all work; what was
        under way goes on from its checkpoint when it is trained again.

        Args:
            jobs: What to train.
            runs: Where run directories are put.
            images: The data that the jobs name, if they are loaded already; an engine may do
                without.

        Raises:
            Interrupted: Someone asked to stop; the state is saved.
        """


def attempt(job: Job, runs: Path, images: ImageSet | None = None) -> Finished | Failed:
    """Train a job in this process, on ``images`` or what it names, and write nothing to stderr.

    Raises:
        Interrupted: Someone asked to stop; the state is saved.
    """
    from caelab.experiments.run import run
    from caelab.training.fit import TrainingDiverged

    try:
        with hidden(), _collected_warnings() as notes:
            directory = run(job.config, runs=runs, images=images)
    except Interrupted:
        raise
    except (InputError, TrainingDiverged) as error:
        return Failed(job.name, str(error))
    except Exception as error:  # whatever befalls one run, the others go on
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Failed(
            job.name, f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
        )
    if directory.path.name != job.name:
        return Failed(
            job.name,
            f"the data here are not the study's: the run came out as {directory.path.name}.",
        )
    return Finished(job.name, tuple(notes))


@contextlib.contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """Keep the library's warnings from being shown; collect their messages."""
    messages: list[str] = []
    logger, collector = logging.getLogger("caelab"), logging.Handler()
    collector.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    handlers, propagate = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [collector], False
    try:
        yield messages
    finally:
        logger.handlers, logger.propagate = handlers, propagate
