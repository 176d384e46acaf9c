"""Read finished runs from their directories; a missing or damaged file is an error."""

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

MAY_DIFFER = ("seed", "device", "data", "start_fingerprint")
"""Options that are not compared when runs are grouped by seed. Data sets are compared by their
fingerprint instead."""


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """The content of a finished run's directory, without weights and pictures.

    Attributes:
        directory: Files of the run by name.
        config: Configuration of the run.
        description: Description of the run's network, adapted to images and target.
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
        """Name of the run directory."""
        return self.directory.path.name

    @property
    def options(self) -> dict[str, Any]:
        """Options of the run by short name, without those in ``MAY_DIFFER``."""
        # The text, because the name of a preset and its text are the same network.
        options = {**self.config.flat(), "network": self.description.text}
        # Runs with different seeds continue different runs, so that only whether a run continues
        # another one is compared.
        options["start_run"] = True if self.config.start.run else None
        return {name: options[name] for name in options if name not in MAY_DIFFER}

    @property
    def mse(self) -> float:
        """Mean squared error of the test images."""
        return float(self.result["test"]["mse"])

    @property
    def images(self) -> tuple[str, int | str, str, int, int | None]:
        """Everything that determines the test images, for comparison with other runs.

        These are the data set's fingerprint, the size of the images, the split, its seed, and the
        largest number of test images.
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
        """Text of the degradation that the network undoes; ``none`` if it reconstructs images."""
        return str(self.config.degradation)

    @functools.cached_property
    def measures(self) -> dict[str, np.ndarray]:
        """Metrics of each test image, ``(N,)`` by name; ``index`` has the images' rows in the data.

        The file is read when the metrics are first used.

        Raises:
            InputError: ``per_image.npz`` is missing or damaged.
        """
        file = self.directory.per_image
        measures = read_arrays(file)
        count = self.result["test"]["n"]
        # A damaged file may lack one of these arrays, or hold texts or too few numbers.
        known = [measures.get(name, np.empty(0)) for name in ("mse", "index")]
        if any(each.shape != (count,) or each.dtype.kind not in "iuf" for each in known):
            raise InputError(f"{file} is damaged: it should hold the errors of {count} images.")
        return measures


def read_run(path: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        InputError: The run is not finished, or a file is missing or damaged; the message names it.
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
            f"{path} is damaged: {directory.result.name} lacks numbers that every run must have."
        )
    # Checked now, because a report needs the weights only after minutes, for its pictures.
    if not directory.weights.is_file():
        raise InputError(f"{path} is damaged: {directory.weights.name} is missing.")
    return run


def _is_whole(run: FinishedRun) -> bool:
    """Return whether the run has all numbers that a report needs."""
    # Checked once, so that the parts of a report need not check again.
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
        Groups in the order of their first runs; the runs of a group are sorted by rising seed.
    """
    found: dict[str, list[FinishedRun]] = {}
    for run in runs:
        # The fingerprint, because the same images may be in two places. The key is a text, because
        # options, a dictionary, cannot be a key.
        key = f"{run.options} {run.source['fingerprint']}"
        found.setdefault(key, []).append(run)
    return [sorted(group, key=lambda run: run.config.seed) for group in found.values()]


def mean_over_seeds(group: Sequence[FinishedRun]) -> Interval:
    """Return the mean test MSE of a group, with its interval over seeds."""
    errors = [run.mse for run in group]
    return moderate({"": errors}).interval("", mean_interval(errors).estimate)
