"""The engine of a Ray cluster, of one machine or many. Ray is imported here and nowhere else."""

import logging
import socket
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from caelab.data import ImageSet
from caelab.errors import InputError
from caelab.experiments.engines.job import Event, Failed, Finished, Job, Started, attempt
from caelab.experiments.run_directory import RunDirectory
from caelab.files import replacing

MOST_RETRIES = 3
"""How often a job that lost its node or its worker is taken up elsewhere."""

SECONDS_TO_ANSWER = 10.0
"""How long a cluster may take to answer."""

SECONDS_TO_SAVE = 30.0
"""How long the runs under way may take to save their state when a study is stopped."""

Files = dict[str, bytes]
"""A run directory: file names and contents."""


class RayCluster:
    """Trains on every node of a Ray cluster at the same time; caelab and the data must be there.

    A job whose node is lost is begun again elsewhere. It goes on from its checkpoint where the
    nodes share the folder of the runs, and else from what was there when the study began. Finished
    run directories come back whole.

    Args:
        address: Of the cluster, as ``ray.init`` has it; by default one that runs here, else a new
            one of this machine.
        threads: CPUs of each run.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached or has too few CPUs.
    """

    def __init__(self, *, address: str | None = None, threads: int = 1) -> None:
        try:
            import ray
        except ImportError as error:
            raise InputError("--engine ray needs Ray: pip install 'caelab[cluster]'") from error
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
                f"the Ray cluster has {resources.get('CPU', 0):g} CPUs, too few for --threads"
                f" {threads}."
            )

    def train(
        self,
        jobs: Sequence[Job],
        *,
        runs: Path,
        images: ImageSet | None = None,  # noqa: ARG002
    ) -> Generator[Event, None, None]:
        """Train ``jobs``, each on data that its node loads; see :class:`Engine`."""
        ray, runs = self._ray, runs.absolute()
        remote = ray.remote(
            num_cpus=self.threads,
            num_gpus=self.gpus,
            max_retries=MOST_RETRIES,
            retry_exceptions=False,
        )(train_remotely)
        waiting = list(reversed(jobs))
        under_way: dict[object, Job] = {}
        try:
            while waiting or under_way:
                while waiting and len(under_way) < self.workers:
                    job = waiting.pop()
                    begun = pack(runs / job.name) if (runs / job.name).is_dir() else {}
                    under_way[remote.remote(job, runs, self.threads, begun)] = job
                    yield Started(job.name)
                (ready,), _ = ray.wait(list(under_way), num_returns=1)
                job = under_way.pop(ready)
                try:
                    event, files = ray.get(ready)
                except ray.exceptions.RayError as error:
                    yield Failed(
                        job.name,
                        f"the cluster lost it {MOST_RETRIES + 1} times: {_first_line(error)}",
                    )
                    continue
                if isinstance(event, Finished) and not RunDirectory(runs / job.name).finished:
                    unpack(files, runs / job.name)
                yield event
        finally:
            for task in under_way:
                ray.cancel(task, force=False)  # as Ctrl-C: a run that is under way saves its state
            if under_way:
                ray.wait(list(under_way), num_returns=len(under_way), timeout=SECONDS_TO_SAVE)


def train_remotely(job: Job, runs: Path, threads: int, begun: Files) -> tuple[Event, Files]:
    """Train ``job`` on this node and return the run directory's files.

    Args:
        job: The run.
        runs: The driver's folder of runs; where it is not to be seen from this node, a temporary
            one is taken.
        threads: CPU threads.
        begun: The files of an interrupted run to go on from.
    """
    import torch

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as temporary:
        place = runs
        if not runs.is_dir():
            place = Path(temporary)
            unpack(begun, place / job.name)
        event = attempt(job, place)
        return event, pack(place / job.name) if isinstance(event, Finished) else {}


def pack(directory: Path) -> Files:
    """Return the files of a run directory, but its lock."""
    lock = RunDirectory(directory).lock
    return {
        file.name: file.read_bytes()
        for file in directory.iterdir()
        if file.is_file() and file != lock
    }


def unpack(files: Files, directory: Path) -> None:
    """Write the files of a run directory, its result last, so that it is not finished before it is
    whole.

    Raises:
        InputError: They cannot be written.
    """
    result = RunDirectory(directory).result.name
    for name in sorted(files, key=lambda name: name == result):
        with replacing(directory / name) as temporary:
            temporary.write_bytes(files[name])


def _require_reachable(address: str | None) -> None:
    """Raise ``OSError`` if nobody answers at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
