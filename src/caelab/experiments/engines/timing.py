"""Estimate how long networks train: some steps of each are timed before a study begins.

The time cannot be computed from the number of multiply-accumulates: the time of one differs tenfold
between a compiled narrow network, a wide network, and a network of many small layers.
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
from caelab.training.fit import fit, steps_per_epoch

STEPS = 5
"""Number of steps that are timed, after as many in which programs are loaded and caches fill."""

RUN_SECONDS, IMAGE_SECONDS = 1.0, 60e-6
"""Time that a run takes besides training: a fixed part, and a part for each training image, for
copying it and for the principal components of a baseline. Measured on one core of an EPYC server.
"""

MAX_SERIAL_SHARE = 0.9
"""Runs are trained one after another, each with all threads, if that takes less than this share of
the time that they take side by side. With a smaller gain the next measurement could decide
otherwise, and other numbers of threads give other bits."""

_measured: dict[tuple[str, int], float] = {}
_side_by_side: dict[tuple[str, int], tuple[bool, float]] = {}


@dataclass(kw_only=True)
class NetworkTimer:
    """Times networks on the first training images; results are kept for the process.

    Attributes:
        images: All images.
        split: Their split.
        slowdown: Factor by which a step takes longer while other processes train.
    """

    images: ImageSet
    split: Split
    slowdown: float = field(default=1.0, init=False)

    def side_by_side(self, config: RunConfig, workers: int, count: int) -> bool:
        """Return whether processes that train side by side do more steps a second than one alone.

        Args:
            config: A typical run.
            workers: Number of processes.
            count: CPU threads of each. A process alone has the threads of all of them.
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
                not 0 < alone < MAX_SERIAL_SHARE * together / workers,
                max(1.0, together / single) if single else 1.0,
            )
        faster, self.slowdown = _side_by_side[key]
        return faster

    def epoch_seconds(self, config: RunConfig, count: int) -> float:
        """Return the seconds of an epoch with ``count`` threads, alone; 0 if it fails."""
        key = (_cost_class(config), count)
        if key not in _measured:
            _measured[key] = time_steps(config, *self._few(config), count)
        return _measured[key] * steps_per_epoch(len(self.split.train), config)

    def other_seconds(self, training: float) -> float:
        """Return the seconds that a run takes besides its ``training`` seconds of training."""
        train, validation = len(self.split.train), len(self.split.validation)
        # Validation is the first of the three passes that a training step makes.
        return RUN_SECONDS + IMAGE_SECONDS * train + training * validation / (3 * train)

    def _few(self, config: RunConfig) -> tuple[np.ndarray, np.ndarray | None]:
        """Return as many training images, and their labels, as the timed steps need."""
        # Copying all 48,000 images would take longer than the timed steps.
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
        config.data.shape,
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
        images: Training images, ``uint8 (N, C, H, W)``.
        labels: Their classes ``(N,)``, if there are any.
        count: CPU threads.
    """
    device = choose_device(config.device)
    part = DeviceImages.of(images, np.arange(len(images)), device=device, labels=labels)
    seconds = 0.0
    # An error of a network is reported when it is trained, so that the others are trained, too.
    with contextlib.suppress(Exception), threads(count), collected_warnings():
        # Initializing by LSUV would take longer than the timed steps.
        plain = config.model_copy(update={"epochs": 2, "init": "default"})
        description = describe_run(plain)
        state = make_state(plain, description, make_card(plain, description, part, ""), part)
        for epoch in fit(state, part, plain, choose_precision(config.precision, device)):
            if epoch is not None:
                # The last epoch counts; the first one loads programs and fills caches.
                seconds = epoch.seconds / steps_per_epoch(len(part), config)
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
    # Without the barrier, the first process would have ended before the last one starts.
    _barriers[0].wait(timeout=60)
    return time_steps(*arguments)  # type: ignore[arg-type]
