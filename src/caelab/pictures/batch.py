"""Many pictures, one after another: read, restored in batches, written; one that fails does not
stop the rest.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from caelab.errors import InputError
from caelab.pictures.comparison import Comparison
from caelab.pictures.encode import encode, refuse_existing, write_picture
from caelab.pictures.inputs import Job
from caelab.pictures.picture import Picture, read_picture

TOGETHER_PIXELS = 2**20
"""Small pictures wait for one another up to so many pixels."""

WRITERS = 8
"""Threads that write results: they wait for the disk more than they compute."""

INPUT_LIMIT = 2**30
"""Bytes that are read from standard input at most."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: What was to be done.
        error: The message where it failed.
        notes: What people should know.
        metrics: Of the result against the truth, where they were compared and the truth is known.
    """

    job: Job
    error: str | None = None
    notes: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


Process = Callable[[Sequence[Picture]], list[Picture]]
Compare = Callable[[Picture, Picture], Comparison]


def work(
    jobs: Sequence[Job], process: Process, *, compare: Compare | None = None, force: bool = False
) -> Iterator[Outcome]:
    """Do every job, in order; the caller decides what failures mean.

    Args:
        jobs: What to read and to write.
        process: Turns pictures into as many results, such as ``colorize`` with a model.
        compare: Draws what was read beside its result, to be written to the job's ``comparison``.
        force: Overwrite what exists.

    Yields:
        One outcome a job.
    """
    waiting: list[tuple[Job, Picture]] = []
    pixels = 0
    for job in jobs:
        try:
            picture = _read(job, compare=compare is not None, force=force)
        except InputError as error:
            yield from _finish(waiting, process, compare, force=force)
            waiting, pixels = [], 0
            yield Outcome(job=job, error=str(error))
            continue
        size = picture.size[0] * picture.size[1]
        if waiting and pixels + size > TOGETHER_PIXELS:
            yield from _finish(waiting, process, compare, force=force)
            waiting, pixels = [], 0
        waiting.append((job, picture))
        pixels += size
    yield from _finish(waiting, process, compare, force=force)


def _read(job: Job, *, compare: bool, force: bool) -> Picture:
    if job.target is not None:
        refuse_existing(job.target, force=force)  # before any work is done for it
    if compare:
        refuse_existing(job.comparison, force=force)
    if job.source is not None:
        return read_picture(job.source)
    content = sys.stdin.buffer.read(INPUT_LIMIT + 1)
    if len(content) > INPUT_LIMIT:
        raise InputError(f"standard input holds more than {INPUT_LIMIT // 2**20} MiB, the limit.")
    return read_picture(content, name=job.name)


def _finish(
    waiting: Sequence[tuple[Job, Picture]],
    process: Process,
    compare: Compare | None,
    *,
    force: bool,
) -> Iterator[Outcome]:
    if not waiting:
        return
    try:
        results = process([picture for _, picture in waiting])
    except (InputError, MemoryError) as error:
        if len(waiting) > 1:  # find out whose fault it is
            for one in waiting:
                yield from _finish([one], process, compare, force=force)
        else:
            job = waiting[0][0]
            why = (
                "it does not fit into memory. Reduce it."
                if isinstance(error, MemoryError)
                else str(error)
            )
            yield Outcome(job=job, error=f"{job.name}: {why}", notes=waiting[0][1].notes)
        return

    def conclude(each: tuple[Job, Picture], result: Picture) -> Outcome:
        job, picture = each
        try:
            notes = (*result.notes, *_write(job.target, result, force=force))
            metrics = {}
            if compare is not None:
                comparison = compare(picture, result)
                write_picture(job.comparison, comparison.picture, force=force)
                metrics = comparison.metrics
            return Outcome(job=job, notes=notes, metrics=metrics)
        except (InputError, MemoryError) as error:
            return Outcome(
                job=job,
                error=str(error) or f"{job.name} does not fit into memory.",
                notes=result.notes,
            )

    with ThreadPoolExecutor(WRITERS) as pool:
        yield from pool.map(conclude, waiting, results)


def _write(target: Path | None, picture: Picture, *, force: bool) -> tuple[str, ...]:
    if target is not None:
        return write_picture(target, picture, force=force)
    sys.stdout.buffer.write(encode(picture))
    sys.stdout.buffer.flush()
    return ()
