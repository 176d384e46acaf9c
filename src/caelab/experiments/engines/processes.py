"""Engines that train in several local processes, each with its share of the threads and GPUs.

On Linux, a server process imports the code of a run once and is forked for each worker. On other
systems forking is unsafe, so each worker is a new Python interpreter. PyTorch is imported only
inside functions, so that :func:`start_server` can be called before this process imports PyTorch.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from caelab.data.shared_memory import SharedImages, share_images
from caelab.experiments.engines.base import (
    Engine,
    Event,
    Failed,
    Job,
    SerialEngine,
    Started,
    train_job,
)
from caelab.interrupt import Interrupted, uninterrupted
from caelab.processors import available_cores, available_memory, chosen_threads

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

    from caelab.data.image_set import ImageSet

WORKER_BYTES = 2_500_000_000
"""Bytes of memory that a worker may need, its own copy of the images included."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which numerical libraries choose their number of threads."""

PRELOADED = "caelab.experiments.run"
"""Module that the server imports; importing it starts no threads, so that forking is safe."""

FORKS = sys.platform == "linux"
"""Whether workers are forked from a server process."""


def start_server() -> None:
    """Start the server process that is forked for each worker, unless it is running already.

    This function does not wait until the server is ready. A terminal sends Ctrl-C (SIGINT) to all
    processes, but only this process should handle it, so SIGINT is blocked in the server and in its
    workers.
    """
    if not FORKS:
        return
    from multiprocessing import forkserver, resource_tracker

    # Otherwise forkserver.ensure_running() would start the tracker, and that unblocks SIGINT.
    resource_tracker.ensure_running()
    forkserver.set_forkserver_preload([PRELOADED])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def worker_context() -> "ForkServerContext | SpawnContext":
    """Return the :mod:`multiprocessing` context in which worker processes are started."""
    if not FORKS:
        return multiprocessing.get_context("spawn")
    start_server()
    return multiprocessing.get_context("forkserver")


@dataclass(kw_only=True)
class _Worker:
    """A worker process; its ``slot`` is a number from 0 that also chooses its GPU."""

    slot: int
    process: BaseProcess
    connection: Connection
    job: Job | None = None


class ProcessEngine(Engine):
    """Train several jobs at the same time, one in each worker process.

    A worker that is killed is replaced, and its job continues from its checkpoint. A job that loses
    its worker twice counts as failed.

    Args:
        workers: Number of processes; by default one per GPU, or without GPUs as many as the cores
            and the memory allow.
        threads: CPU threads of each worker; by default the number in ``OMP_NUM_THREADS``, or
            without it an equal share of the cores.
    """

    def __init__(self, *, workers: int | None = None, threads: int | None = None) -> None:
        cores, threads = available_cores(), threads or chosen_threads()
        self._devices = _devices()
        self.workers = workers or len(self._devices) or workers_for(threads or 1)
        self.threads = threads or max(1, cores // self.workers)

    def train(
        self, jobs: Sequence[Job], *, runs: Path, images: "ImageSet | None" = None
    ) -> Generator[Event, None, None]:
        """Train jobs in worker processes; see :meth:`Engine.train`.

        Args:
            jobs: Runs to train.
            runs: Folder for the run directories.
            images: Images of all jobs if they are loaded already; workers share their memory.
        """
        with (
            contextlib.nullcontext()
            if images is None or not jobs
            else share_images(images) as shared
        ):
            yield from self._train(jobs, runs, shared)

    def _train(
        self, jobs: Sequence[Job], runs: Path, images: SharedImages | None
    ) -> Generator[Event, None, None]:
        waiting, lost_once = deque(jobs), set[str]()
        workers: list[_Worker] = []
        try:
            while waiting or any(worker.job for worker in workers):
                idle = [worker for worker in workers if worker.job is None]
                while waiting and (idle or len(workers) < self.workers):
                    if not idle:
                        # If a signal interrupted the start of a worker, the worker could not be
                        # stopped later.
                        with uninterrupted():
                            idle.append(self._start(workers, runs, images))
                    job, worker = waiting.popleft(), idle.pop()
                    worker.job = job
                    with contextlib.suppress(OSError):  # wait() below notices an ended worker
                        worker.connection.send(job)
                    yield Started(job.name)
                for ready in wait([worker.connection for worker in workers]):
                    worker = next(worker for worker in workers if worker.connection is ready)
                    trained, worker.job = worker.job, None
                    try:
                        event: Event = worker.connection.recv()
                    except (EOFError, OSError):  # the worker ended
                        worker.process.join()
                        workers.remove(worker)
                    else:
                        yield event
                        continue
                    if trained is None:
                        continue
                    if trained.name in lost_once:
                        reason = _exit_reason(worker.process.exitcode)
                        message = f"its worker ended twice, the second time with {reason}."
                        yield Failed(trained.name, message)
                    else:
                        lost_once.add(trained.name)
                        # At the front, because it is already partly trained.
                        waiting.appendleft(trained)
        finally:
            for worker in workers:
                worker.process.terminate()  # a run that is being trained saves its state first
            for worker in workers:
                worker.process.join()

    def _start(self, workers: list[_Worker], runs: Path, images: SharedImages | None) -> _Worker:
        """Start a worker and add it to ``workers``."""
        # When a worker has ended, its slot is free again, and so is the GPU of the slot.
        slot = min(set(range(self.workers)) - {worker.slot for worker in workers})
        device = self._devices[slot % len(self._devices)] if self._devices else None
        context = worker_context()
        ours, theirs = context.Pipe()
        environment = dict(os.environ)
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        # Numerical libraries read these variables when they are imported. Without them, each worker
        # would start one thread per core.
        environment.update(dict.fromkeys(THREAD_VARIABLES, str(self.threads)))
        process = context.Process(
            target=_work,
            args=(theirs, runs, images, self.threads, environment),
            name=f"worker-{slot}",
        )
        process.start()
        theirs.close()  # so that the connection closes when the worker ends
        worker = _Worker(slot=slot, process=process, connection=ours)
        workers.append(worker)
        return worker


def _work(
    connection: Connection,
    runs: Path,
    images: SharedImages | None,
    threads: int,
    environment: dict[str, str],
) -> None:
    """Train the jobs that come through ``connection`` until it is closed."""
    if hasattr(os, "setsid"):
        # Ctrl-C at the terminal should reach only the parent, which then stops the workers.
        os.setsid()
    os.environ.clear()  # the server may have been started with an older environment
    os.environ.update(environment)
    from caelab.device import set_threads

    set_threads(threads)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # as the command line does
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError, Interrupted):  # the parent ended
        shared = None if images is None else images.open()
        while True:
            job: Job = connection.recv()
            connection.send(train_job(job, runs, shared))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    # A worker must not continue if its parent was killed.
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


class AutoEngine(Engine):
    """Train a study in the way that is fastest on this machine.

    With several GPUs, each GPU has a worker process; with one GPU, this process trains. On a CPU,
    small networks usually train faster at the same time with one thread each, because threads that
    share a batch wait for each other in every step. Wide networks may train faster one after
    another with all threads, so :meth:`plan` measures both ways.
    """

    plans = True

    def __init__(self) -> None:
        import torch

        gpus, threads = len(_devices()), chosen_threads()
        self._accelerated = gpus > 0 or torch.backends.mps.is_available()
        self._planned = not self._accelerated and threads is None
        self.workers = max(1, gpus) if self._accelerated else workers_for(threads or 1)
        self.threads = threads or max(1, available_cores() // self.workers)

    def plan(self, count: int, side_by_side: Callable[[int, int], bool]) -> list[int]:
        """Return the number of CPU threads of each run; see :meth:`Engine.plan`.

        If one run after another is faster, each run has all cores. Otherwise, the costliest runs,
        as many as keep all workers busy, have ``threads`` threads each. The remaining runs are
        trained after them and share all cores, so that no core is idle. Finished runs are counted,
        so that the plan is the same after an interruption: the last digits of a run depend on its
        threads. If ``OMP_NUM_THREADS`` is set, every run has that number of threads.

        Args:
            count: Number of all runs, finished or not.
            side_by_side: Function that measures which way is faster.
        """
        if not self._planned:
            return [self.threads] * count
        cores = self.workers * self.threads
        if self.workers == 1 or not side_by_side(self.workers, self.threads):
            return [cores] * count
        rest = count % self.workers
        return [self.threads] * (count - rest) + [cores // max(1, rest)] * rest

    def train(
        self, jobs: Sequence[Job], *, runs: Path, images: "ImageSet | None" = None
    ) -> Generator[Event, None, None]:
        """Train jobs, those with the fewest threads first; see :meth:`Engine.train`.

        Args:
            jobs: Runs to train, with the threads of each.
            runs: Folder for the run directories.
            images: Images of all jobs if they are loaded already.
        """
        # With one GPU this process trains, because a worker would need a CUDA context of its own.
        if self._accelerated and self.workers == 1:
            yield from SerialEngine().train(jobs, runs=runs, images=images)
            return
        groups: dict[int, list[Job]] = {}
        for job in jobs:
            groups.setdefault(job.threads or self.threads, []).append(job)
        # One group after another, because a run with all cores would slow down runs with one core.
        for threads, group in sorted(groups.items()):
            at_once = max(1, self.workers * self.threads // threads)
            # Even a single worker is a process of its own, because numerical libraries read their
            # number of threads from the environment when they are imported, and the last digits of
            # a matrix product depend on that number.
            engine = ProcessEngine(workers=min(len(group), at_once), threads=threads)
            yield from engine.train(group, runs=runs, images=images)


def workers_for(threads: int) -> int:
    """Return how many workers with ``threads`` threads each the cores and the memory allow.

    The number is at least 1. If the size of the memory is unknown, it is at most 2.
    """
    memory = available_memory()
    in_memory = 2 if memory is None else memory // WORKER_BYTES
    return max(1, min(available_cores() // threads, in_memory))


def _devices() -> list[str]:
    """Return the names of the CUDA devices, in the form that ``CUDA_VISIBLE_DEVICES`` takes."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    named = [name.strip() for name in visible.split(",") if name.strip()]
    count = torch.cuda.device_count()
    return named[:count] if named else [str(index) for index in range(count)]


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
