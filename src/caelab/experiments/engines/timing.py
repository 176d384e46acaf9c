"""How long networks take on this machine: some steps of each are timed before a study begins.

Seconds for each multiply-accumulate would not do: they differ tenfold between a compiled narrow
network, a wide one, and one of many small layers.
"""

import contextlib
from dataclasses import dataclass, field
from statistics import mean
from threading import Barrier

import numpy as np

from caelab.data.device_images import DeviceImages
from caelab.data.image_set import ImageSet
from caelab.data.split import Split
from caelab.device import choose_device, choose_precision, threads
from caelab.experiments.build_run import make_card, make_state
from caelab.experiments.config import RunConfig
from caelab.experiments.engines.base import collected_warnings
from caelab.experiments.engines.processes import worker_context
from caelab.experiments.setup import describe_run
from caelab.training.fit import fit

STEPS = 5
"""Steps that are timed; as many come before them, in which programs are loaded and caches fill."""

RUN_SECONDS, IMAGE_SECONDS = 1.0, 60e-6
"""Time that a run takes besides training: in any case, and for each training image (copying them,
and principal components as a baseline). On a core of a server (EPYC)."""

CLEARLY = 0.9
"""Share of the other way's time from which one after another counts as faster than side by side: a
measurement that comes out otherwise the next time must not decide about bits."""

_measured: dict[tuple[str, int], float] = {}
_side_by_side: dict[tuple[str, int], tuple[bool, float]] = {}


@dataclass(kw_only=True)
class NetworkTimer:
    """Times networks on the first training images; results are kept for the process.

    Attributes:
        images: All images.
        split: Their split.
        slowdown: Time of a step beside other processes as a multiple of its time alone.
    """

    images: ImageSet
    split: Split
    slowdown: float = field(default=1.0, init=False)

    def side_by_side(self, config: RunConfig, workers: int, count: int) -> bool:
        """Return whether processes that train side by side do more steps a second than one alone.

        Args:
            config: A typical run.
            workers: Number of processes.
            count: CPU threads of each; the one alone has as many as all together.
        """
        key = (_cost_class(config), workers)
        if key not in _side_by_side:
            images, labels = self._few(config)
            # Processes that run at the same time slow each other down, by shared caches and clocks;
            # one that is timed alone would not show it.
            together = _time_together(config, images, labels, workers, count)
            alone = time_steps(config, images, labels, workers * count)
            single = time_steps(config, images, labels, count)
            _side_by_side[key] = (
                not 0 < alone < CLEARLY * together / workers,
                max(1.0, together / single) if single else 1.0,
            )
        faster, self.slowdown = _side_by_side[key]
        return faster

    def epoch_seconds(self, config: RunConfig, count: int) -> float:
        """Return the seconds of an epoch with ``count`` threads, alone; 0 if it fails."""
        key = (_cost_class(config), count)
        if key not in _measured:
            _measured[key] = time_steps(config, *self._few(config), count)
        return _measured[key] * (len(self.split.train) // config.batch_size)

    def other_seconds(self, training: float) -> float:
        """Return the seconds of a run besides those of training, which are given."""
        train, validation = len(self.split.train), len(self.split.validation)
        # Validation is the first of the three passes that a training step makes.
        return RUN_SECONDS + IMAGE_SECONDS * train + training * validation / (3 * train)

    def _few(self, config: RunConfig) -> tuple[np.ndarray, np.ndarray | None]:
        """Return as many training images, and their labels, as the timed steps need."""
        # The steps of all images would do, but copying 48,000 of them takes longer than the steps.
        rows = self.split.train[: STEPS * config.batch_size]
        labels = self.images.labels
        return self.images.images[rows], None if labels is None else labels[rows]


def _cost_class(config: RunConfig) -> str:
    """Return what decides a step's cost: runs that differ in other things are timed once."""
    # Seed, epochs and loss change the numbers that are computed, not how many.
    parts = (
        config.network.text,
        config.target.kind,
        config.optimizer.kind,
        config.batch_size,
        config.data.size,
        config.precision,
        config.device,
    )
    return str((*parts, config.degradation, bool(config.augmentation.scale_jitter)))


def time_steps(
    config: RunConfig, images: np.ndarray, labels: np.ndarray | None, count: int
) -> float:
    """Return the seconds of a training step; 0 if the network cannot be trained.

    Args:
        config: The run.
        images: Training images, ``uint8 (N, 3, H, W)``.
        labels: Their classes ``(N,)``, if there are any.
        count: CPU threads.
    """
    device = choose_device(config.device)
    part = DeviceImages.of(images, np.arange(len(images)), device=device, labels=labels)
    seconds = 0.0
    # What is wrong with a network is said when it is trained, beside the networks that go well.
    with contextlib.suppress(Exception), threads(count), collected_warnings():
        # Initial weights that follow the data would take longer than the steps.
        plain = config.model_copy(update={"epochs": 2, "init": "default"})
        description = describe_run(plain)
        state = make_state(plain, description, make_card(plain, description, part, ""), part)
        for epoch in fit(state, part, plain, choose_precision(config.precision, device)):
            if epoch is not None:
                # The last epoch counts; the first one loads programs and fills caches.
                seconds = epoch.seconds / (len(part) // config.batch_size)
    return seconds


def _time_together(
    config: RunConfig,
    images: np.ndarray,
    labels: np.ndarray | None,
    workers: int,
    count: int,
) -> float:
    """Return the mean seconds of a step of so many processes that train at the same time."""
    context = worker_context()
    arguments = (config, images, labels, count)
    with context.Pool(workers, _remember, (context.Barrier(workers),)) as pool:
        return mean(pool.starmap(_time_at_once, [arguments] * workers, chunksize=1))


_barriers: list[Barrier] = []


def _remember(barrier: Barrier) -> None:
    _barriers.append(barrier)


def _time_at_once(*arguments: object) -> float:
    # Otherwise the first process would be done before the last one has started.
    _barriers[0].wait(timeout=60)
    return time_steps(*arguments)  # type: ignore[arg-type]
