"""Restoring networks, compared with the classical methods for the same degradation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from caelab.baselines.classical import classical_methods, measured_positions
from caelab.data.image_set import evenly_spaced
from caelab.errors import InputError
from caelab.metrics.evaluate import estimates
from caelab.metrics.moderated import moderate
from caelab.metrics.statistics import Interval, mean_interval
from caelab.report.document import Cell, ImageRows, Part
from caelab.report.run_differences import Variant, find_variants, network_name
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun

INPUT = "as given"
"""Name of the baseline that returns the input; all other baselines are classical methods."""

METRICS = ("psnr", "ssim", "mse")
"""Metrics of the table, in the order of its columns."""

IMAGES = 10
"""Number of test images in each row of a picture."""


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """Comparison of the best network for a degradation with classical methods.

    Attributes:
        degradation: Text of the degradation, such as ``noise0.1``.
        label: Name of the network in the report.
        network: Mean metrics of the network by name, with intervals over seeds, on the images that
            the classical methods were measured on.
        baselines: Mean metrics of each baseline, by the names of baseline and metric: first the
            degraded input, then the classical methods by falling PSNR.
        images: Number of test images that network and baselines were measured on.
    """

    degradation: str
    label: str
    network: dict[str, Interval]
    baselines: dict[str, dict[str, float]]
    images: int

    @property
    def best_classical(self) -> str | None:
        """Name of the classical method with the highest PSNR; ``None`` without such methods."""
        return next((name for name in self.baselines if name != INPUT), None)


def restoration_part(
    runs: Sequence[FinishedRun], images: RunImages, names: Mapping[str, str]
) -> tuple[tuple[Restoration, ...], Part]:
    """Compare the best network for each degradation with classical methods.

    Args:
        runs: Runs that restore images, for any degradations.
        images: Loads the test images and the networks.
        names: Names of runs by their folder; a run without a name is named after its network.

    Returns:
        One comparison for each degradation, and the part of the report about all of them.
    """
    by_degradation: dict[str, list[FinishedRun]] = {}
    for run in runs:
        by_degradation.setdefault(run.degradation, []).append(run)
    found, strips, missing = [], {}, []
    for text, alike in by_degradation.items():
        # Only the best network for each degradation is compared with the classical methods.
        variant = find_variants(alike).best
        try:
            answer = compare(variant, images, names)
            strips[text] = _strip(variant.first, answer, images)
            found.append(answer)
        except InputError as error:
            missing.append((text, str(error)))
    context = {
        "missing_degradations": missing,
        "answers": found,
        "methods": [row for each in found for row in _rows(each)],
        "strips": strips,
    }
    return tuple(found), Part("restoration", context)


def compare(variant: Variant, images: RunImages, names: Mapping[str, str]) -> Restoration:
    """Compare a network with the baselines that were measured with its runs.

    Args:
        variant: Runs of the network, which differ only in their seed.
        images: Loads the test images.
        names: Names of runs by their folder; a run without a name is named after its network.

    Raises:
        InputError: The images or the errors of each image cannot be loaded.
    """
    first = variant.first
    baselines: dict[str, dict[str, float]] = first.result["baselines"]
    pixels = images.part(first)
    # Classical methods are slow and were measured only on some test images. The network is compared
    # on the same images.
    positions = measured_positions(pixels) if len(baselines) > 1 else np.arange(len(pixels))
    measures = [run.measures for run in variant.runs]
    return Restoration(
        degradation=first.degradation,
        label=names.get(first.name) or network_name(first),
        network={
            metric: _over_seeds(metric, [float(each[positions].mean()) for each in values])
            for metric in METRICS
            if len(values := [each[metric] for each in measures if metric in each]) == len(measures)
        },
        baselines=dict(
            sorted(baselines.items(), key=lambda each: (each[0] != INPUT, -each[1]["psnr"]))
        ),
        images=len(positions),
    )


def _over_seeds(metric: str, values: Sequence[float]) -> Interval:
    """Return the mean of a metric over seeds with its interval."""
    interval = mean_interval(values)
    # The interval of an MSE is computed with logarithms, so that its lower bound is positive.
    return moderate({"": values}).interval("", interval.estimate) if metric == "mse" else interval


def _rows(found: Restoration) -> Iterable[tuple[Cell, ...]]:
    means = {metric: interval.estimate for metric, interval in found.network.items()}
    methods = {found.label: {**means, "n": found.images}, **found.baselines}
    for method, values in methods.items():
        yield (found.degradation, method, *map(values.get, METRICS), int(values["n"]))


def _strip(run: FinishedRun, found: Restoration, images: RunImages) -> ImageRows:
    pixels, degradation = images.part(run), run.config.degradation
    # Evenly spaced among the test images, so that the choice does not depend on any result.
    chosen = evenly_spaced(IMAGES, len(pixels))
    pictures = images.pictures(run, chosen)
    rows = {"input": pictures["degraded"]}
    for name, method in classical_methods(degradation).items():
        for value in method.grid:
            # The label contains the value of the parameter that was chosen on validation images.
            if method.label(name, value) == found.best_classical:
                made = estimates(method.restore(value), pixels.at(chosen), degradation=degradation)
                rows[found.best_classical] = torch.cat([one.estimate for one in made]).numpy()
    rows |= {"network": pictures["estimate"], "truth": pictures["target"]}
    # The name becomes part of a file's name, such as `restored-downscale2-noise01`.
    name = found.degradation.replace("+", "-").replace(".", "")
    return ImageRows(f"restored-{name}", rows)
