"""Process many pictures: read, process in batches, write; a failure does not stop the others."""

import itertools
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from caelab.errors import InputError, printable
from caelab.pictures.comparison import Comparison
from caelab.pictures.encode import encode, format_for, refuse_existing, write_picture
from caelab.pictures.formats import holds_several
from caelab.pictures.inputs import Job
from caelab.pictures.picture import Picture
from caelab.pictures.read import PIXEL_LIMIT, read_pages

_LOGGER = logging.getLogger(__name__)

BATCH_PIXELS = 2**20
"""Small pictures are collected up to this many pixels and processed together."""

WRITERS = 8
"""Threads that write results: they wait for the disk more than they compute."""

NO_MEMORY = "it does not fit into memory. Reduce it."
"""Message where a picture, or its result, is too large."""

INPUT_LIMIT = 2**30
"""Largest number of bytes that is read from standard input."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of a job.

    Attributes:
        job: The job.
        error: Message of the failure; ``None`` where it is done.
        notes: What users should know.
        metrics: Errors of the result against the truth, where they were compared and it is known.
    """

    job: Job
    error: str | None = None
    notes: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


Process = Callable[[Sequence[Picture]], list[Picture]]
Compare = Callable[[Picture, Picture], Comparison]
_Read = tuple[Job, list[Picture]]
"""A job, and the pages of its picture."""


def work(
    jobs: Sequence[Job],
    process: Process,
    *,
    compare: Compare | None = None,
    force: bool = False,
    max_pixels: int = PIXEL_LIMIT,
) -> Iterator[Outcome]:
    """Do every job, in order.

    Args:
        jobs: What to read and to write.
        process: Turns pictures into as many results, such as ``colorize`` with a model.
        compare: Draws a picture next to its result, for the job's ``comparison``; of several pages,
            the first.
        force: Overwrite existing files.
        max_pixels: Largest number of pixels of a file.

    Yields:
        One outcome per job.
    """
    worker = _Worker(process=process, compare=compare, force=force, max_pixels=max_pixels)
    waiting: list[_Read] = []
    for job in jobs:
        try:
            pages = worker.read(job)
        except Exception as error:
            yield from worker.finish(waiting)
            waiting = []
            yield Outcome(job=job, error=_message(job, error))
            continue
        waiting.append((job, pages))
        # A picture that does not fit any more starts the next batch. A large one is a batch of its
        # own.
        if sum(math.prod(page.size) for _, pages in waiting for page in pages) > BATCH_PIXELS:
            yield from worker.finish(waiting[:-1])
            waiting = waiting[-1:]
    yield from worker.finish(waiting)


@dataclass(frozen=True, kw_only=True)
class _Worker:
    """The steps of a job; the attributes are the arguments of :func:`work`."""

    process: Process
    compare: Compare | None
    force: bool
    max_pixels: int

    def read(self, job: Job) -> list[Picture]:
        """Read the pages of a picture; refuse what cannot be written before any work is done."""
        if job.target is not None:
            refuse_existing(job.target, force=self.force)
        if self.compare is not None:
            refuse_existing(job.comparison, force=self.force)
        source = _read_stream(job) if job.source is None or job.is_stream else job.source
        pages = read_pages(source, name=job.name, max_pixels=self.max_pixels)
        if job.target is not None:
            format_for(job.target, pages)
        return pages

    def finish(self, batch: Sequence[_Read]) -> Iterator[Outcome]:
        """Process pictures together and write their results."""
        if not batch:
            return
        try:
            flat = self.process([page for _, pages in batch for page in pages])
        except Exception as error:
            if len(batch) > 1:
                # One of them fails: alone, each shows whether it is the one.
                for one in batch:
                    yield from self.finish([one])
                return
            ((job, pages),) = batch
            message = _message(job, error)
            if isinstance(error, InputError):
                message = f"{job.name}: {message}"
            yield Outcome(job=job, error=message, notes=pages[0].notes)
            return
        left = iter(flat)
        results = [list(itertools.islice(left, len(pages))) for _, pages in batch]
        # `map` keeps the order of the jobs, whichever is written first.
        with ThreadPoolExecutor(WRITERS) as pool:
            yield from pool.map(self.write, batch, results)

    def write(self, read: _Read, results: Sequence[Picture]) -> Outcome:
        """Write the pages of a result, and the comparison of the first one."""
        job, pages = read
        notes = tuple(dict.fromkeys(note for page in results for note in page.notes))
        metrics: Mapping[str, float] = {}
        error = None
        try:
            if job.target is None:
                sys.stdout.buffer.write(encode(results))
                # Flushed here, so that an error of the reader belongs to this picture.
                sys.stdout.buffer.flush()
            else:
                notes += write_picture(job.target, results, force=self.force)
            if self.compare is not None:
                comparison = self.compare(pages[0], results[0])
                write_picture(job.comparison, comparison.picture, force=self.force)
                metrics = comparison.metrics
        except BrokenPipeError:
            raise  # the reader of standard output has ended, and so does the command
        except OSError as failure:
            # Only that of standard output is none of a file's, which say more.
            error = f"{job.name}: standard output cannot be written: {failure.strerror}."
        except Exception as failure:
            error = _message(job, failure)
        return Outcome(job=job, error=error, notes=notes, metrics=metrics)


def _message(job: Job, error: Exception) -> str:
    """Return the message of a failure, which must not stop the other jobs."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{job.name}: {NO_MEMORY}"
    # A mistake of this package is no fault of the picture, and must not look like one.
    _LOGGER.debug("while processing %s", job.name, exc_info=error)
    return (
        f"{job.name}: this is an error in caelab, please report it"
        f" ({type(error).__name__}: {printable(str(error))})."
    )


def _read_stream(job: Job) -> bytes:
    """Read the one picture that standard input, or another stream, holds."""
    try:
        # One byte above the limit shows that there is more, without reading it.
        if job.source is None:
            content = sys.stdin.buffer.read(INPUT_LIMIT + 1)
        else:
            with job.source.open("rb") as stream:
                content = stream.read(INPUT_LIMIT + 1)
    except OSError as error:
        raise InputError(f"{job.name} cannot be read: {error.strerror or error}.") from error
    if len(content) > INPUT_LIMIT:
        limit = INPUT_LIMIT // 2**20
        raise InputError(f"{job.name} holds more than {limit} MiB, the limit.")
    if holds_several(content):
        raise InputError(
            f"{job.name} holds several pictures one after another, of which only the first would"
            " be read. Pass them one at a time, or name their files."
        )
    return content
