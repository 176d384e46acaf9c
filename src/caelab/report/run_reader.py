"""Finished runs, read from their directories; what is missing or damaged is an error."""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.run_directory import RunDirectory, read_config
from caelab.experiments.setup import describe_run
from caelab.files import read_arrays
from caelab.metrics.moderated import moderate
from caelab.metrics.statistics import Interval, mean_interval
from caelab.networks import Description

NOT_OF_THE_GROUP = ("seed", "device", "data", "start_fingerprint")
"""Options in which the runs of a group may differ; data sets are compared by their fingerprint."""


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A finished run, except for its weights and pictures.

    Attributes:
        directory: Its run directory.
        config: Its configuration.
        description: Description of its network, as it was adapted to the target.
        result: Content of ``result.json``.
        epochs: Rows of ``epochs.csv``.
        environment: Content of ``environment.json``.
        source: Name, path and fingerprint of the images.
    """

    directory: RunDirectory
    config: RunConfig
    description: Description
    result: dict[str, Any]
    epochs: list[dict[str, float]]
    environment: dict[str, Any]
    source: dict[str, str]

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.directory.path.name

    @property
    def options(self) -> dict[str, Any]:
        """Its options by short name, except those in which the runs of a group may differ."""
        # A preset's name and its text are one network.
        options = {**self.config.flat(), "network": self.description.text}
        # The seeds of a group continue different runs.
        options["start_run"] = True if self.config.start.run else None
        return {name: options[name] for name in options if name not in NOT_OF_THE_GROUP}

    @property
    def mse(self) -> float:
        """Mean squared error of the test images."""
        return float(self.result["test"]["mse"])

    @property
    def images(self) -> tuple[str, int | str, str, int, int | None]:
        """Fingerprint, size, split, its seed and the test images' largest number.

        Runs that share them have the same test images.
        """
        return (
            self.source["fingerprint"],
            self.config.data.size,
            self.config.data.split,
            self.config.data.split_seed,
            self.config.data.test_size,
        )

    @property
    def degradation(self) -> str:
        """Degradation of the images that the network takes; ``none`` for a reconstruction."""
        return str(self.config.degradation)

    @functools.cached_property
    def measures(self) -> dict[str, np.ndarray]:
        """Metrics of each test image, ``(N,)`` by name, and their ``index``; read when first used.

        Raises:
            InputError: ``per_image.npz`` is missing or damaged.
        """
        file = self.directory.per_image
        measures = read_arrays(file)
        count = self.result["test"]["n"]
        # Each is one number for each image; a damaged file may lack it, or hold a text.
        known = [measures.get(name, np.empty(0)) for name in ("mse", "index")]
        if any(each.shape != (count,) or each.dtype.kind not in "iuf" for each in known):
            raise InputError(f"{file} is damaged: it should hold the errors of {count} images.")
        return measures


def read_run(path: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        InputError: Something is missing or damaged; the message says what.
    """
    directory = RunDirectory(path)
    if not path.is_dir():
        raise InputError(f"there is no run {path}.")
    config = read_config(path)
    if not directory.finished:
        raise InputError(
            f"{path} is not finished: it has no {directory.result.name}. Train it to the end."
        )
    run = FinishedRun(
        directory=directory,
        config=config,
        description=describe_run(config),
        result=directory.read_result(),
        epochs=directory.read_epochs(),
        environment=directory.read(directory.environment),
        source=directory.read(directory.config).get("data") or {},
    )
    if not _is_whole(run):
        raise InputError(
            f"{path} is damaged: {directory.result.name} lacks numbers that every run states."
        )
    # Checked now, because a report needs the weights only after minutes, for its pictures.
    if not directory.weights.is_file():
        raise InputError(f"{path} is damaged: {directory.weights.name} is missing.")
    return run


def _is_whole(run: FinishedRun) -> bool:
    """Return whether the run states everything that a report needs."""
    # Checked once, so that the sections of a report need not check it.
    result = run.result
    try:
        numbers = (result["test"]["mse"], result["validation_mse"], result["seconds_per_epoch"])
        tables = (result["baselines"], result["images"], result["normalization"])
        return bool(
            all(map(math.isfinite, numbers))
            and all(isinstance(table, dict) for table in tables)
            and isinstance(result["test"]["n"], int)
            and run.source["fingerprint"]
            and all({"validation_mse", "train_mse"} <= row.keys() for row in run.epochs)
        )
    except (KeyError, TypeError):
        return False


def group_by_seed(runs: Iterable[FinishedRun]) -> list[list[FinishedRun]]:
    """Gather runs that differ only in their seed.

    Args:
        runs: Runs in any order.

    Returns:
        Groups in the order in which they first appear, their runs by rising seed.
    """
    found: dict[str, list[FinishedRun]] = {}
    for run in runs:
        # The same images may be in two places. A dictionary needs a text as its key, not options.
        key = f"{run.options} {run.source['fingerprint']}"
        found.setdefault(key, []).append(run)
    return [sorted(group, key=lambda run: run.config.seed) for group in found.values()]


def mean_over_seeds(group: Sequence[FinishedRun]) -> Interval:
    """Return the mean test MSE of a group, with its interval over seeds."""
    errors = [run.mse for run in group]
    return moderate({"": errors}).interval("", mean_interval(errors).estimate)
