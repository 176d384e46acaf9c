"""Restoring networks, compared with the classical methods for the same degradation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from caelab.baselines.classical import classical_methods, measured_positions
from caelab.data.image_set import evenly_spaced
from caelab.degrade.degradation import Degradation
from caelab.errors import InputError
from caelab.metrics.evaluate import Restore, estimates
from caelab.metrics.statistics import Interval, mean_interval
from caelab.report.document import Cell, ImageRows, Part
from caelab.report.run_differences import Variant, find_variants, network_name
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun

INPUT = "as given"
"""Name of the baseline that leaves the input as it is; every other one is a classical method."""

METRICS = ("psnr", "ssim", "mse")

IMAGES = 10
"""Number of test images in a strip."""


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """The best network for a degradation, and the methods that need no training.

    Attributes:
        degradation: Degradation of the images.
        variant: Runs of the network.
        label: Name of the network in the report.
        network: Its metrics by name over seeds, on the images that the classical methods were
            measured on.
        baselines: Metrics of the classical methods by name: the input first, then by falling PSNR.
        images: Number of these images.
    """

    degradation: Degradation
    variant: Variant
    label: str
    network: dict[str, Interval]
    baselines: dict[str, dict[str, float]]
    images: int

    @property
    def best_classical(self) -> str | None:
        """The classical method with the highest PSNR; ``None`` where there is none."""
        return next((name for name in self.baselines if name != INPUT), None)


def restoration_part(
    runs: Sequence[FinishedRun], images: RunImages, names: Mapping[str, str]
) -> Part:
    """Return the part about restorations.

    Args:
        runs: Runs that restore images, of any degradation.
        images: Gives the test images and the networks.
        names: Names of runs by their folder; others are named by their network.
    """
    by_degradation: dict[str, list[FinishedRun]] = {}
    for run in runs:
        by_degradation.setdefault(run.degradation, []).append(run)
    found, strips, problems = [], [], []
    for text, alike in by_degradation.items():
        try:
            restoration = compare(alike, images, names)
            found.append(restoration)
            strips.append((text, _strip(restoration, images)))
        except InputError as error:
            problems.append(f"{text}: {error}")
    methods = [row for each in found for row in _rows(each)]
    context = {"problems": problems, "found": found, "methods": methods, "strips": strips}
    return Part("restoration", context)


def compare(
    runs: Sequence[FinishedRun], images: RunImages, names: Mapping[str, str]
) -> Restoration:
    """Compare the best network by validation with the baselines that its runs state.

    Args:
        runs: Runs of any networks for one degradation.
        images: Gives the test images.
        names: Names of runs by their folder.

    Raises:
        InputError: The images or errors of the runs cannot be had.
    """
    variant = find_variants(runs).best
    baselines: dict[str, dict[str, float]] = variant.first.result["baselines"]
    pixels = images.part(variant.first)
    positions = np.arange(len(pixels))
    if len(baselines) > 1:
        positions = measured_positions(pixels)
    measures = [run.measures for run in variant.runs]
    return Restoration(
        degradation=variant.first.config.degradation,
        variant=variant,
        label=names.get(variant.first.name) or f"the network {network_name(variant.first)}",
        network={
            metric: mean_interval(float(each[metric][positions].mean()) for each in measures)
            for metric in METRICS
            if all(metric in each for each in measures)
        },
        baselines=dict(
            sorted(baselines.items(), key=lambda each: (each[0] != INPUT, -each[1]["psnr"]))
        ),
        images=len(positions),
    )


def _rows(found: Restoration) -> Iterable[tuple[Cell, ...]]:
    name = str(found.degradation)
    network = (
        found.network[metric].estimate if metric in found.network else None for metric in METRICS
    )
    yield (name, found.label, *network, found.images)
    for method, values in found.baselines.items():
        yield (name, method, *(values.get(metric) for metric in METRICS), int(values["n"]))


def _strip(found: Restoration, images: RunImages) -> ImageRows:
    run = found.variant.first
    pixels = images.part(run)
    chosen = evenly_spaced(IMAGES, len(pixels))
    pictures = images.pictures(run, chosen)
    rows = {"input": pictures["degraded"]}
    method = _classical(found)
    if method is not None and found.best_classical:
        made = estimates(method, pixels.at(chosen), degradation=found.degradation)
        rows[found.best_classical] = torch.cat([one.estimate for one in made]).numpy()
    rows |= {"network": pictures["estimate"], "truth": pictures["target"]}
    name = str(found.degradation).replace("+", "-").replace(".", "")
    return ImageRows(f"restored-{name}", rows)


def _classical(found: Restoration) -> Restore | None:
    """Return the best classical method with the parameter that was chosen."""
    for name, method in classical_methods(found.degradation).items():
        for value in method.grid:
            if method.label(name, value) == found.best_classical:
                return method.restore(value)
    return None
