"""Estimate how long networks train, by timing a few steps of each before a study begins.

The time cannot be computed from the number of multiply-accumulates, because the time of each
multiply-accumulate differs tenfold between narrow networks with compiled kernels, wide networks,
and networks of many small layers.
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
"""Number of timed steps. The same number of steps before them loads programs and fills caches."""

RUN_SECONDS, IMAGE_SECONDS = 1.0, 60e-6
"""Seconds that a run takes besides training: a fixed time, and a time for each training image,
which is copied and used for the baselines. Both were measured on one core of an EPYC server."""

MAX_SERIAL_SHARE = 0.9
"""Runs are trained one after another, each with all threads, only if that takes less than this
share of the time that they take side by side. If the times are closer, the next measurement may
differ, and with another number of threads a run ends with other last digits."""

# Measurements of this process, by cost class and number of threads or workers.
_measured: dict[tuple[str, int], float] = {}
_side_by_side: dict[tuple[str, int], tuple[bool, float]] = {}


@dataclass(kw_only=True)
class NetworkTimer:
    """Times training steps on the first training images; each time is measured once per process.

    Attributes:
        images: All images of the study.
        split: Split of the images.
        slowdown: Factor by which a step takes longer while other processes train; 1 until
            :meth:`side_by_side` has measured it.
    """

    images: ImageSet
    split: Split
    slowdown: float = field(default=1.0, init=False)

    def side_by_side(self, config: RunConfig, workers: int, count: int) -> bool:
        """Return whether several processes do more steps per second than one with all threads.

        Args:
            config: Configuration of a typical run.
            workers: Number of processes.
            count: CPU threads of each process. The one process has ``workers * count`` threads.
        """
        key = (_cost_class(config), workers)
        if key not in _side_by_side:
            images, labels = self._few(config)
            # The processes are timed at the same time, because they slow each other down: they
            # share caches, and the clock rate falls.
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
        """Return the seconds of an epoch with ``count`` threads and no other run; 0 if it fails."""
        key = (_cost_class(config), count)
        if key not in _measured:
            _measured[key] = time_steps(config, *self._few(config), count)
        return _measured[key] * steps_per_epoch(len(self.split.train), config)

    def other_seconds(self, training: float) -> float:
        """Return the seconds that a run takes besides the ``training`` seconds of its steps."""
        train, validation = len(self.split.train), len(self.split.validation)
        # A training step costs as much as three forward passes, and validation is one forward pass.
        return RUN_SECONDS + IMAGE_SECONDS * train + training * validation / (3 * train)

    def _few(self, config: RunConfig) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the training images that the timed steps need, and their labels."""
        # Copying all 48,000 images would take longer than the timed steps.
        rows = self.split.train[: STEPS * config.batch_size]
        labels = self.images.labels
        return self.images.images[rows], None if labels is None else labels[rows]


def _cost_class(config: RunConfig) -> str:
    """Return a text that is equal for runs whose training steps cost the same."""
    # Seed, epochs and loss do not change the amount of computation in a step.
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
        config: Configuration of the run.
        images: Training images, ``uint8 (N, C, H, W)``.
        labels: Classes of the images, ``(N,)``; ``None`` if the images have none.
        count: Number of CPU threads.
    """
    device = choose_device(config.device)
    part = DeviceImages.of(images, np.arange(len(images)), device=device, labels=labels)
    seconds = 0.0
    # Errors are ignored here: the training of this network reports them, and others can be trained.
    with contextlib.suppress(Exception), threads(count), collected_warnings():
        # Initializing by LSUV would take longer than the timed steps.
        plain = config.model_copy(update={"epochs": 2, "init": "default"})
        description = describe_run(plain)
        state = make_state(plain, description, make_card(plain, description, part, ""), part)
        for epoch in fit(state, part, plain, choose_precision(config.precision, device)):
            if epoch is not None:
                # Only the last epoch counts, because the first one loads programs and fills caches.
                seconds = epoch.seconds / steps_per_epoch(len(part), config)
    return seconds


def _time_together(
    config: RunConfig,
    images: np.ndarray,
    labels: np.ndarray | None,
    workers: int,
    count: int,
) -> float:
    """Return the mean seconds of a step while ``workers`` processes train at the same time."""
    context = worker_context()
    arguments = (config, images, labels, count)
    with context.Pool(workers, _remember, (context.Barrier(workers),)) as pool:
        return mean(pool.starmap(_time_at_once, [arguments] * workers, chunksize=1))


_barriers: list[Barrier] = []


def _remember(barrier: Barrier) -> None:
    """Keep the barrier in this worker: a pool can pass a barrier only to the initializer."""
    _barriers.append(barrier)


def _time_at_once(*arguments: object) -> float:
    # Without the barrier, the first process could end before the last one starts.
    _barriers[0].wait(timeout=60)
    return time_steps(*arguments)  # type: ignore[arg-type]
