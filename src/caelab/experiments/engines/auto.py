"""The engine that looks at the machine: on a CPU, a run a core where there are several runs."""

from collections.abc import Generator, Sequence
from pathlib import Path

import torch

from caelab.data import ImageSet
from caelab.experiments.engines.job import Engine, Event, Job
from caelab.experiments.engines.processes import Processes, available_cores, room_for_workers
from caelab.experiments.engines.serial import ThisProcess


class AsFits:
    """Trains with what brings all jobs to their end soonest.

    On a CPU, threads that share a run's batches out wait for each other at every step; runs that
    have a core each do not: two of them take less time than the same two one after the other with
    two threads. So there are as many workers as cores, if there are so many jobs and so much
    memory, and as jobs, if these are fewer than two a core. Where there are several GPUs, each has
    a worker; with one, or on Apple's, this process trains.
    """

    def __init__(self) -> None:
        self.workers = 1

    def train(
        self, jobs: Sequence[Job], *, runs: Path, images: ImageSet | None = None
    ) -> Generator[Event, None, None]:
        """Train ``jobs``; see :class:`Engine`."""
        self.workers = usual_workers(len(jobs))
        engine: Engine = ThisProcess() if self.workers == 1 else Processes(workers=self.workers)
        yield from engine.train(jobs, runs=runs, images=images)


def usual_workers(jobs: int) -> int:
    """Return how many of these jobs are trained at the same time."""
    if torch.cuda.is_available():
        return max(1, min(jobs, torch.cuda.device_count()))
    if torch.backends.mps.is_available():
        return 1
    cores = available_cores()
    at_once = (
        jobs if cores > 1 and jobs < 2 * cores else cores
    )  # else cores would be idle in a second round
    return max(1, min(jobs, at_once, room_for_workers()))
