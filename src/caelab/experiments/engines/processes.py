"""Engines that train in several local processes, each with its share of the threads and GPUs.

PyTorch is imported where it is needed, so that :func:`start_server` can be called before. On Linux
a server process imports what a run needs, once, and forks itself for each worker; on other systems,
where forking is unsafe, each worker is a new interpreter.
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
from caelab.experiments.interrupt import Interrupted, uninterrupted
from caelab.processors import available_cores, available_memory, chosen_threads

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

    from caelab.data.image_set import ImageSet

WORKER_BYTES = 2_500_000_000
"""Memory that a worker may need, with its own copy of the images."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

PRELOADED = "caelab.experiments.run"
"""Module that the server imports; it starts no threads, so the server may fork."""

FORKS = sys.platform == "linux"
"""Whether workers are forked from a server."""


def start_server() -> None:
    """Start the server that workers are forked from, unless it runs, without waiting for it.

    A terminal sends Ctrl-C to all processes, but only this one should handle it. So SIGINT is
    blocked in the server and its workers.
    """
    if not FORKS:
        return
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()  # the server would start it, and unblock SIGINT again
    forkserver.set_forkserver_preload([PRELOADED])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def worker_context() -> "ForkServerContext | SpawnContext":
    """Return the context of :mod:`multiprocessing` that starts workers."""
    if not FORKS:
        return multiprocessing.get_context("spawn")
    start_server()
    return multiprocessing.get_context("forkserver")


@dataclass(kw_only=True)
class _Worker:
    slot: int
    process: BaseProcess
    connection: Connection
    job: Job | None = None


class ProcessEngine(Engine):
    """Train several jobs at the same time, one in each worker.

    A worker that is killed is replaced, and its job continues from its checkpoint. A job that loses
    two workers counts as failed.

    Args:
        workers: Number of processes; by default one per GPU, else as many as there are cores for
            their threads, as memory allows.
        threads: CPU threads of each worker; by default those of ``OMP_NUM_THREADS``, else an equal
            share of the cores.
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
            images: Data that the jobs name, if they are loaded already; workers share their memory.
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
                        # A worker that was interrupted while it starts could not be stopped.
                        with uninterrupted():
                            idle.append(self._start(workers, runs, images))
                    job, worker = waiting.popleft(), idle.pop()
                    worker.job = job
                    with contextlib.suppress(OSError):  # if the worker ended, wait() notices
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
        """Start a worker and put it among ``workers``."""
        # The slot of a worker that ended is free again, and with it the GPU that belongs to the
        # slot.
        slot = min(set(range(self.workers)) - {worker.slot for worker in workers})
        device = self._devices[slot % len(self._devices)] if self._devices else None
        context = worker_context()
        ours, theirs = context.Pipe()
        environment = dict(os.environ)
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        # Libraries read these when they are imported. Without them each worker would start one
        # thread per core.
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
    os.environ.clear()  # the server that this was forked from may have an older environment
    os.environ.update(environment)
    from caelab.device import set_threads

    set_threads(threads)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # as in the command line's own process
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
    """Choose the way in which this machine finishes a study soonest.

    With several GPUs each has a worker; with one GPU this process trains. On a CPU, small networks
    mostly train faster side by side with one thread each, because threads that share a batch wait
    for each other at every step. For wide networks this may be different, so it is measured.
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
        """Return the threads of each of ``count`` runs; see :meth:`Engine.plan`.

        As many runs as fill all cores in whole rounds have one thread each. The shortest runs,
        which remain, are trained after them with all cores, so that none is idle. Finished runs
        count, too, because the bits of a run depend on its threads, which must be the same after an
        interruption. With ``OMP_NUM_THREADS``, every run has as many threads as that says.

        Args:
            count: Number of all runs.
            side_by_side: Measures what is faster.
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
        """Train jobs, those with few threads first; see :meth:`Engine.train`.

        Args:
            jobs: Runs to train, with their threads.
            runs: Folder for the run directories.
            images: Data that the jobs name, if they are loaded already.
        """
        # A second process would need its own CUDA context.
        if self._accelerated and self.workers == 1:
            yield from SerialEngine().train(jobs, runs=runs, images=images)
            return
        groups: dict[int, list[Job]] = {}
        for job in jobs:
            groups.setdefault(job.threads or self.threads, []).append(job)
        # Group after group: a run with all cores would be in the way of those with one.
        for threads, group in sorted(groups.items()):
            at_once = max(1, self.workers * self.threads // threads)
            # A single worker is a process too: libraries take their number of threads, on which
            # the last digits of a matrix product depend, from the environment when they start.
            engine = ProcessEngine(workers=min(len(group), at_once), threads=threads)
            yield from engine.train(group, runs=runs, images=images)


def workers_for(threads: int) -> int:
    """Return the number of workers, of so many threads each, for which cores and memory suffice.

    It is at least 1, and at most 2 if the size of the memory is unknown.
    """
    memory = available_memory()
    in_memory = 2 if memory is None else memory // WORKER_BYTES
    return max(1, min(available_cores() // threads, in_memory))


def _devices() -> list[str]:
    """Return the CUDA devices, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    named = [name.strip() for name in visible.split(",") if name.strip()]
    count = torch.cuda.device_count()
    return named[:count] if named else [str(index) for index in range(count)]


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
