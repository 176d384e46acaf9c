"""The engine that needs nothing: one job after the other in this process."""

from collections.abc import Generator, Sequence
from pathlib import Path

from caelab.data import ImageSet
from caelab.experiments.engines.job import Event, Job, Started, attempt


class ThisProcess:
    """Trains with all of PyTorch's threads."""

    workers = 1

    def train(
        self, jobs: Sequence[Job], *, runs: Path, images: ImageSet | None = None
    ) -> Generator[Event, None, None]:
        """Train ``jobs`` one after the other; see :class:`Engine`."""
        for job in jobs:
            yield Started(job.name)
            yield attempt(job, runs, images)
