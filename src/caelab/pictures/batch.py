"""Process many pictures: read, process in batches, write; a failure does not stop the others."""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from caelab.errors import InputError
from caelab.pictures.comparison import Comparison
from caelab.pictures.encode import encode, refuse_existing, write_picture
from caelab.pictures.inputs import Job
from caelab.pictures.picture import Picture, read_picture

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
_Read = tuple[Job, Picture]


def work(
    jobs: Sequence[Job], process: Process, *, compare: Compare | None = None, force: bool = False
) -> Iterator[Outcome]:
    """Do every job, in order.

    Args:
        jobs: What to read and to write.
        process: Turns pictures into as many results, such as ``colorize`` with a model.
        compare: Draws a picture next to its result, for the job's ``comparison``.
        force: Overwrite existing files.

    Yields:
        One outcome per job.
    """

    def read(job: Job) -> Picture:
        # Existing results are refused before any work is done for them.
        if job.target is not None:
            refuse_existing(job.target, force=force)
        if compare is not None:
            refuse_existing(job.comparison, force=force)
        if job.source is not None:
            return read_picture(job.source)
        # One byte above the limit shows that there is more, without reading it.
        content = sys.stdin.buffer.read(INPUT_LIMIT + 1)
        if len(content) > INPUT_LIMIT:
            limit = INPUT_LIMIT // 2**20
            raise InputError(f"standard input holds more than {limit} MiB, the limit.")
        return read_picture(content, name=job.name)

    def write(read: _Read, result: Picture) -> Outcome:
        job, picture = read
        notes, metrics, error = result.notes, {}, None
        try:
            if job.target is None:
                sys.stdout.buffer.write(encode(result))
                # Flushed here, so that an error of the reader belongs to this picture.
                sys.stdout.buffer.flush()
            else:
                notes += write_picture(job.target, result, force=force)
            if compare is not None:
                comparison = compare(picture, result)
                write_picture(job.comparison, comparison.picture, force=force)
                metrics = comparison.metrics
        except InputError as refusal:
            error = str(refusal)
        except MemoryError:
            error = f"{job.name}: {NO_MEMORY}"
        return Outcome(job=job, error=error, notes=notes, metrics=metrics)

    def finish(batch: list[_Read]) -> Iterator[Outcome]:
        if not batch:
            return
        try:
            results = process([picture for _, picture in batch])
        except (InputError, MemoryError) as error:
            if len(batch) > 1:
                # One of them fails: alone, each shows whether it is the one.
                for one in batch:
                    yield from finish([one])
                return
            ((job, picture),) = batch
            reason = NO_MEMORY if isinstance(error, MemoryError) else error
            yield Outcome(job=job, error=f"{job.name}: {reason}", notes=picture.notes)
            return
        # `map` keeps the order of the jobs, whichever is written first.
        with ThreadPoolExecutor(WRITERS) as pool:
            yield from pool.map(write, batch, results)

    waiting: list[_Read] = []
    for job in jobs:
        try:
            picture = read(job)
        except InputError as error:
            yield from finish(waiting)
            waiting = []
            yield Outcome(job=job, error=str(error))
            continue
        waiting.append((job, picture))
        # A picture that does not fit any more starts the next batch. A large one is a batch of its
        # own.
        if sum(math.prod(each.size) for _, each in waiting) > BATCH_PIXELS:
            yield from finish(waiting[:-1])
            waiting = waiting[-1:]
    yield from finish(waiting)
