"""Process many picture files in batches; a picture that fails does not stop the others."""

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
"""Largest number of pixels in a batch of small pictures; a larger picture is processed alone."""

WRITERS = 8
"""Number of threads that write results. It may exceed the number of cores, because these threads
mostly wait for the disk."""

NO_MEMORY = "the picture does not fit into memory. Reduce its size."
"""Message if the memory is too small for a picture or its result."""

INPUT_LIMIT = 2**30
"""Largest number of bytes that are read from standard input or a pipe."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of one job, which may have failed.

    Attributes:
        job: The job that was done or has failed.
        error: Message that says why the job failed; ``None`` if it was done.
        notes: Remarks for the user, such as what the format of the result cannot store.
        metrics: PSNR in dB and CIEDE2000 of the result against the truth, by name; empty if the
            truth is not known or no comparison was drawn.
    """

    job: Job
    error: str | None = None
    notes: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


Process = Callable[[Sequence[Picture]], list[Picture]]
Compare = Callable[[Picture, Picture], Comparison]
_Read = tuple[Job, list[Picture]]
"""A job and the pages of its source."""


def work(
    jobs: Sequence[Job],
    process: Process,
    *,
    compare: Compare | None = None,
    force: bool = False,
    max_pixels: int = PIXEL_LIMIT,
) -> Iterator[Outcome]:
    """Read, process and write the pictures of all jobs.

    Args:
        jobs: Source and target of each picture.
        process: Function that returns one result for each picture, such as ``colorize`` with a
            model.
        compare: Function that draws a picture next to its result; the drawing of a file's first
            page is written to the job's ``comparison``. ``None`` draws nothing.
        force: Overwrite existing files.
        max_pixels: Largest number of pixels in a file, all pages together.

    Yields:
        One outcome per job, in the order of the jobs.
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
        # A picture that would make the batch too large starts the next batch.
        if sum(math.prod(page.size) for _, pages in waiting for page in pages) > BATCH_PIXELS:
            yield from worker.finish(waiting[:-1])
            waiting = waiting[-1:]
    yield from worker.finish(waiting)


@dataclass(frozen=True, kw_only=True)
class _Worker:
    """Reads, processes and writes pictures; its attributes are the arguments of :func:`work`."""

    process: Process
    compare: Compare | None
    force: bool
    max_pixels: int

    def read(self, job: Job) -> list[Picture]:
        """Read the pages of a picture; raise an error if its result could not be written."""
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
        """Process the pictures of a batch together, write the results and yield the outcomes."""
        if not batch:
            return
        try:
            all_results = self.process([page for _, pages in batch for page in pages])
        except Exception as error:
            if len(batch) > 1:
                # At least one picture fails. Processing each one alone shows which.
                for one in batch:
                    yield from self.finish([one])
                return
            ((job, pages),) = batch
            message = _message(job, error)
            if isinstance(error, InputError):
                message = f"{job.name}: {message}"
            yield Outcome(job=job, error=message, notes=pages[0].notes)
            return
        remaining = iter(all_results)
        results = [list(itertools.islice(remaining, len(pages))) for _, pages in batch]
        # `map` yields outcomes in the order of the jobs, whichever file is finished first.
        with ThreadPoolExecutor(WRITERS) as pool:
            yield from pool.map(self.write, batch, results)

    def write(self, read: _Read, results: Sequence[Picture]) -> Outcome:
        """Write the results of a job's pages and, if wanted, the comparison of the first page."""
        job, pages = read
        notes = tuple(dict.fromkeys(note for page in results for note in page.notes))
        metrics: Mapping[str, float] = {}
        error = None
        try:
            if job.target is None:
                sys.stdout.buffer.write(encode(results))
                # Flushed now, so that a failure is reported for this picture, not for a later one.
                sys.stdout.buffer.flush()
            else:
                notes += write_picture(job.target, results, force=self.force)
            if self.compare is not None:
                comparison = self.compare(pages[0], results[0])
                write_picture(job.comparison, comparison.picture, force=self.force)
                metrics = comparison.metrics
        except BrokenPipeError:
            raise  # the program that reads standard output has ended, so this command ends too
        except OSError as failure:
            # Files that cannot be written raise `InputError`, so this is about standard output.
            error = f"{job.name}: standard output cannot be written: {failure.strerror}."
        except Exception as failure:
            error = _message(job, failure)
        return Outcome(job=job, error=error, notes=notes, metrics=metrics)


def _message(job: Job, error: Exception) -> str:
    """Return the message that tells the user why a job failed."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{job.name}: {NO_MEMORY}"
    # A mistake in this package must not look like a damaged picture.
    _LOGGER.debug("while processing %s", job.name, exc_info=error)
    return (
        f"{job.name}: this is an error in caelab, please report it"
        f" ({type(error).__name__}: {printable(str(error))})."
    )


def _read_stream(job: Job) -> bytes:
    """Return the content of standard input or of another stream, which must be one picture."""
    try:
        # One byte above the limit shows that the stream is too long, without reading all of it.
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
