"""The engine that trains on a Ray cluster. Only this module imports Ray."""

import logging
import os
import socket
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from caelab.data.image_set import ImageSet
from caelab.errors import InputError, missing_extra
from caelab.experiments.engines.base import Engine, Event, Failed, Finished, Job, Started, train_job
from caelab.experiments.run_directory import RunDirectory
from caelab.files import temporary_folder, write_bytes
from caelab.registry import PLUGINS_VARIABLE

MAX_RETRIES = 3
"""Number of times that a job is started again after the cluster lost its node or its worker."""

SECONDS_TO_ANSWER = 10.0
"""Longest time to wait for an answer from the cluster, in seconds."""

SECONDS_TO_SAVE = 30.0
"""Longest time that jobs may take to save their state when a study is stopped, in seconds."""

Files = dict[str, bytes]
"""Content of each file of a run directory, by the file's name."""


class RayEngine(Engine):
    """Trains on all nodes of a Ray cluster; caelab, its plug-ins and the data must be on each node.

    A job whose node is lost is started again on another node. If the nodes share the folder of
    runs, the job continues from its last checkpoint. If not, it continues from the files that were
    sent to its first node. Finished run directories are copied back to this machine.

    Args:
        address: Address of the cluster, as in ``ray.init``; by default the cluster that runs on
            this machine, or a new one.
        threads: CPU threads of each run, and the number of CPUs that Ray reserves for it.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached or has too few CPUs.
    """

    def __init__(self, *, address: str | None = None, threads: int = 1) -> None:
        try:
            import ray
        except ImportError as error:
            raise missing_extra("the engine ray needs Ray", "cluster") from error
        self._ray: Any = ray
        self.threads = threads
        if not ray.is_initialized():
            try:
                _require_reachable(address)
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (OSError, ValueError, RuntimeError) as error:
                raise InputError(
                    f"no Ray cluster at {address or 'this machine'}: {error}. Start one with `ray"
                    " start --head`."
                ) from error
        resources: dict[str, float] = self._ray.cluster_resources()
        self.gpus = 1 if resources.get("GPU", 0) >= 1 else 0
        self.workers = int(
            min(resources.get("CPU", 0) // threads, resources["GPU"] if self.gpus else 10**6)
        )
        if self.workers < 1:
            raise InputError(
                f"the Ray cluster has {resources.get('CPU', 0):g} CPUs, too few for"
                f" `threads` {threads}."
            )

    def train(
        self,
        jobs: Sequence[Job],
        *,
        runs: Path,
        images: ImageSet | None = None,  # noqa: ARG002
    ) -> Generator[Event, None, None]:
        """Train jobs, each on data that its node loads; see :meth:`Engine.train`.

        Args:
            jobs: Runs to train.
            runs: Folder for the run directories; nodes that see the folder write to it.
            images: Not used: each node loads the data itself.
        """
        ray, runs = self._ray, runs.absolute()
        plugins = {name: os.environ[name] for name in (PLUGINS_VARIABLE,) if os.environ.get(name)}
        remote = ray.remote(
            num_cpus=self.threads,
            num_gpus=self.gpus,
            max_retries=MAX_RETRIES,
            retry_exceptions=False,
            runtime_env={"env_vars": plugins} if plugins else None,
        )(train_remotely)
        waiting = list(reversed(jobs))
        running: dict[object, Job] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    job = waiting.pop()
                    begun = pack(runs / job.name) if (runs / job.name).is_dir() else {}
                    running[remote.remote(job, runs, self.threads, begun)] = job
                    yield Started(job.name)
                (ready,), _ = ray.wait(list(running), num_returns=1)
                job = running.pop(ready)
                try:
                    event, files = ray.get(ready)
                except ray.exceptions.RayError as error:
                    yield Failed(
                        job.name,
                        f"the cluster lost the run {MAX_RETRIES + 1} times: {_first_line(error)}",
                    )
                    continue
                if isinstance(event, Finished) and not RunDirectory(runs / job.name).finished:
                    unpack(files, runs / job.name)
                yield event
        finally:
            for task in running:
                ray.cancel(task, force=False)  # like Ctrl-C: a running job saves its state
            if running:
                ray.wait(list(running), num_returns=len(running), timeout=SECONDS_TO_SAVE)


def train_remotely(job: Job, runs: Path, threads: int, begun: Files) -> tuple[Event, Files]:
    """Train a job on this node; return its event and, if it finished, its run directory's files.

    Args:
        job: Run to train.
        runs: Folder of runs on the machine that started the study; if this node does not see the
            folder, a temporary folder is used.
        threads: CPU threads of the run.
        begun: Files of the run directory if the run was interrupted before; otherwise empty.
    """
    from caelab.device import set_threads

    set_threads(threads)
    with temporary_folder(Path(tempfile.gettempdir())) as temporary:
        if not runs.is_dir():
            runs = temporary
            unpack(begun, runs / job.name)
        event = train_job(job, runs)
        return event, pack(runs / job.name) if isinstance(event, Finished) else {}


def pack(directory: Path) -> Files:
    """Return the content of all files of a run directory except the lock and temporary files."""
    return {
        file.name: file.read_bytes()
        for file in directory.iterdir()
        if file.is_file() and not file.name.startswith(".")
    }


def unpack(files: Files, directory: Path) -> None:
    """Write the files of a run directory; ``result.json`` is last, because it marks a finished run.

    Raises:
        InputError: A file cannot be written.
    """
    result = RunDirectory(directory).result.name
    for name in sorted(files, key=lambda name: name == result):
        write_bytes(directory / name, files[name])


def _require_reachable(address: str | None) -> None:
    """Raise ``OSError`` if nothing answers at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
