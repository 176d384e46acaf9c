"""The engine of several local processes: each with its share of the threads, and of the GPUs."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from caelab.data import ImageSet
from caelab.data.shared_memory import LentImages, lent
from caelab.experiments.engines import forkserver
from caelab.experiments.engines.job import Event, Failed, Job, Started, attempt
from caelab.experiments.interrupt import Interrupted, uninterrupted

BYTES_OF_A_WORKER = 2_500_000_000
"""Memory that a worker may need, with its own copy of the images."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(kw_only=True)
class _Worker:
    slot: int
    process: BaseProcess
    connection: Connection
    job: Job | None = None


class Processes:
    """Trains as many jobs at the same time as there are workers.

    A worker that is killed is replaced, and its job begun once more: it goes on from its
    checkpoint. A job that loses two workers has failed.

    Args:
        workers: How many processes; by default one a GPU, or one a core, as far as memory goes.
        threads: CPU threads of each; by default the cores, shared out.
    """

    def __init__(self, *, workers: int | None = None, threads: int | None = None) -> None:
        cores = available_cores()
        self._devices = _devices()
        self.workers = workers or len(self._devices) or max(1, min(cores, room_for_workers()))
        self.threads = threads or max(1, cores // self.workers)

    def train(
        self, jobs: Sequence[Job], *, runs: Path, images: ImageSet | None = None
    ) -> Generator[Event, None, None]:
        """Train ``jobs``; see :class:`Engine`."""
        with contextlib.nullcontext() if images is None or not jobs else lent(images) as at_hand:
            yield from self._train(jobs, runs, at_hand)

    def _train(
        self, jobs: Sequence[Job], runs: Path, images: LentImages | None
    ) -> Generator[Event, None, None]:
        waiting, bereft = deque(jobs), set[str]()
        workers: list[_Worker] = []
        try:
            while waiting or any(worker.job for worker in workers):
                idle = [worker for worker in workers if worker.job is None]
                while waiting and (idle or len(workers) < self.workers):
                    if not idle:
                        with uninterrupted():  # else there could be a worker that nobody knows
                            idle.append(self._start(workers, runs, images))
                    job = waiting.popleft()
                    self._hand(idle.pop(), job)
                    yield Started(job.name)
                for ready in wait([worker.connection for worker in workers]):
                    worker = next(worker for worker in workers if worker.connection is ready)
                    busy_with, worker.job = worker.job, None
                    try:
                        event: Event = worker.connection.recv()
                    except (EOFError, OSError):  # it ended
                        worker.process.join()
                        workers.remove(worker)
                        if busy_with is None:
                            continue
                        if busy_with.name not in bereft:
                            bereft.add(busy_with.name)
                            waiting.appendleft(busy_with)
                            continue
                        end = _say_exit(worker.process.exitcode)
                        event = Failed(
                            busy_with.name, f"its worker ended twice, the second time with {end}."
                        )
                    yield event
        finally:
            for worker in workers:
                worker.process.terminate()  # a run that is under way saves its state first
            for worker in workers:
                worker.process.join()

    def _start(self, workers: list[_Worker], runs: Path, images: LentImages | None) -> _Worker:
        """Start a worker and put it among ``workers``."""
        slot = min(set(range(self.workers)) - {worker.slot for worker in workers})
        device = self._devices[slot % len(self._devices)] if self._devices else None
        context = forkserver.context()
        ours, theirs = context.Pipe()
        environment = dict(os.environ)
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        environment.update(dict.fromkeys(THREAD_VARIABLES, str(self.threads)))
        process = context.Process(
            target=_work,
            args=(theirs, runs, images, self.threads, environment),
            name=f"worker-{slot}",
        )
        process.start()
        theirs.close()  # else its end would never be noticed
        worker = _Worker(slot=slot, process=process, connection=ours)
        workers.append(worker)
        return worker

    @staticmethod
    def _hand(worker: _Worker, job: Job) -> None:
        worker.job = job
        with contextlib.suppress(OSError):  # a worker that ended: waiting for its answer will tell
            worker.connection.send(job)


def _work(
    connection: Connection,
    runs: Path,
    images: LentImages | None,
    threads: int,
    environment: dict[str, str],
) -> None:
    """Train what comes through ``connection`` until it is closed."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C at the terminal is for the parent, which then asks each worker once
    os.environ.clear()  # it may have been forked from a server that is older than the environment
    os.environ.update(environment)
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(
        EOFError, OSError, Interrupted
    ):  # the parent has gone, and with it what it lent
        at_hand = None if images is None else images.borrow()
        while True:
            job: Job = connection.recv()
            connection.send(attempt(job, runs, at_hand))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def room_for_workers() -> int:
    """Return for how many workers there is memory; where the system does not tell how much it has,
    two.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 2
    return memory // BYTES_OF_A_WORKER


def _devices() -> list[str]:
    """The CUDA devices, as ``CUDA_VISIBLE_DEVICES`` names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    named = [name.strip() for name in visible.split(",") if name.strip()]
    count = torch.cuda.device_count()
    return named[:count] if named else [str(index) for index in range(count)]


def _say_exit(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
