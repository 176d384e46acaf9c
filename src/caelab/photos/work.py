"""Many pictures, one after another: read, restored in batches, written; one that fails does not stop the rest."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from caelab.errors import InputError
from caelab.photos.encode import encode, refuse_existing, write_picture
from caelab.photos.picture import Picture, read_picture
from caelab.photos.sources import Job

TOGETHER_PIXELS = 2**20
"""Small pictures wait for one another up to so many pixels."""

INPUT_LIMIT = 2**30
"""Bytes that are read from standard input at most."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended: ``error`` is the message where it failed, and ``notes`` what people should know."""

    job: Job
    error: str | None = None
    notes: tuple[str, ...] = ()


def work(
    jobs: Sequence[Job], process: Callable[[Sequence[Picture]], list[Picture]], *, force: bool = False
) -> Iterator[Outcome]:
    """Do every job, in order; the caller decides what failures mean.

    Args:
        jobs: What to read and to write.
        process: Turns pictures into as many results, such as ``colorize`` with a model.
        force: Overwrite what exists.

    Yields:
        One outcome a job.
    """
    waiting: list[tuple[Job, Picture]] = []
    pixels = 0
    for job in jobs:
        try:
            picture = _read(job, force=force)
        except InputError as error:
            yield from _finish(waiting, process, force=force)
            waiting, pixels = [], 0
            yield Outcome(job=job, error=str(error))
            continue
        size = picture.size[0] * picture.size[1]
        if waiting and pixels + size > TOGETHER_PIXELS:
            yield from _finish(waiting, process, force=force)
            waiting, pixels = [], 0
        waiting.append((job, picture))
        pixels += size
    yield from _finish(waiting, process, force=force)


def _read(job: Job, *, force: bool) -> Picture:
    if job.target is not None:
        refuse_existing(job.target, force=force)  # before any work is done for it
    if job.source is not None:
        return read_picture(job.source)
    content = sys.stdin.buffer.read(INPUT_LIMIT + 1)
    if len(content) > INPUT_LIMIT:
        raise InputError(f"standard input holds more than {INPUT_LIMIT // 2**20} MiB, the limit.")
    return read_picture(content, name=job.name)


def _finish(
    waiting: Sequence[tuple[Job, Picture]], process: Callable[[Sequence[Picture]], list[Picture]], *, force: bool
) -> Iterator[Outcome]:
    if not waiting:
        return
    try:
        results = process([picture for _, picture in waiting])
    except (InputError, MemoryError) as error:
        if len(waiting) > 1:  # find out whose fault it is
            for one in waiting:
                yield from _finish([one], process, force=force)
        else:
            job = waiting[0][0]
            why = "it does not fit into memory. Reduce it." if isinstance(error, MemoryError) else str(error)
            yield Outcome(job=job, error=f"{job.name}: {why}", notes=waiting[0][1].notes)
        return
    for (job, _), result in zip(waiting, results, strict=True):
        try:
            yield Outcome(job=job, notes=(*result.notes, *_write(job.target, result, force=force)))
        except (InputError, MemoryError) as error:
            yield Outcome(job=job, error=str(error) or f"{job.name} does not fit into memory.", notes=result.notes)


def _write(target: Path | None, picture: Picture, *, force: bool) -> tuple[str, ...]:
    if target is not None:
        return write_picture(target, picture, force=force)
    sys.stdout.buffer.write(encode(picture))
    sys.stdout.buffer.flush()
    return ()
