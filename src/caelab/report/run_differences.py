"""Sort runs of one task into variants: how they differ, and the effect of each difference.

Runs that differ only in their seed form a variant. The variant that differs from the others in the
fewest options is the base.
"""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caelab.experiments.config import make_config
from caelab.experiments.setup import CHANNELS
from caelab.experiments.study import BASE
from caelab.metrics.moderated import ModeratedErrors, moderate
from caelab.metrics.statistics import Interval, mean_interval
from caelab.networks.adapt import adapt
from caelab.networks.presets import PRESETS
from caelab.report.run_reader import FinishedRun, group_by_seed

MAX_NAME_LENGTH = 28
"""Largest number of characters in the name of a network; a longer text is cut."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Runs that differ only in their seed.

    Attributes:
        label: Name of the variant: a name from the user, otherwise ``base`` for the base and the
            differences from the base for other variants.
        runs: Runs by rising seed.
    """

    label: str
    runs: tuple[FinishedRun, ...]

    @property
    def first(self) -> FinishedRun:
        """The run with the smallest seed; its pictures are shown."""
        return self.runs[0]

    def mean(self, metric: str) -> Interval:
        """Return the mean of a metric over test images and seeds, with its interval over seeds.

        The mean is NaN if one of the runs was not measured by the metric.
        """
        return mean_interval(run.result["test"].get(metric, float("nan")) for run in self.runs)

    @property
    def validation_mse(self) -> float:
        """Mean validation error over seeds, by which the best variant is chosen."""
        return mean_interval(run.result["validation_mse"] for run in self.runs).estimate


@dataclass(frozen=True)
class Variants:
    """Variants that can be compared, because they have the same test images.

    Attributes:
        all: The base, then the other variants in the order of their runs.
        left_out: Names of runs that cannot be compared, because they have other test images.
    """

    all: tuple[Variant, ...]
    left_out: tuple[str, ...]

    @property
    def base(self) -> Variant:
        """The variant that differs from all others in the fewest options."""
        return self.all[0]

    @property
    def ranking(self) -> list[Variant]:
        """The variants by rising validation error."""
        return sorted(self.all, key=lambda each: each.validation_mse)

    @property
    def best(self) -> Variant:
        """The variant with the smallest mean validation error."""
        return self.ranking[0]

    @functools.cached_property
    def errors(self) -> ModeratedErrors:
        """Test errors of all variants over seeds, with methods that compare the variants."""
        return moderate({each.label: [run.mse for run in each.runs] for each in self.all})


def find_variants(runs: Sequence[FinishedRun], names: Mapping[str, str] | None = None) -> Variants:
    """Sort finished runs into variants, and choose the base among them.

    Only runs with the same test images can be compared. If the runs have different test images,
    only the largest group with the same test images is sorted.

    Args:
        runs: Finished runs, at least one.
        names: Names of runs by their folder; a run without a name is named by its differences from
            the base.
    """
    images, _ = Counter(run.images for run in runs).most_common(1)[0]
    found = group_by_seed(run for run in runs if run.images == images)
    options = [_options(group[0]) for group in found]
    distances = [sum(len(_differing(one, other)) for other in options) for one in options]
    # Of several variants with equally few differences, the best one by validation is the base.
    ranks = [float(group[0].result["validation_mse"]) for group in found]
    base = min(range(len(found)), key=lambda index: (distances[index], ranks[index]))
    labels: Counter[str] = Counter()
    variants = []
    for index in (base, *(index for index in range(len(found)) if index != base)):
        first = found[index][0]
        differences = _labels(first, _differing(options[index], options[base]))
        label = (names or {}).get(first.name) or differences or BASE
        # Users may give two variants the same name, but tables need different names.
        labels[label] += 1
        if labels[label] > 1:
            label = f"{label} ({labels[label]})"
        variants.append(Variant(label=label, runs=tuple(found[index])))
    return Variants(tuple(variants), tuple(run.name for run in runs if run.images != images))


def changed_options(run: FinishedRun, base: FinishedRun | None = None) -> str:
    """Return the options in which a run differs from another one, as text, without the network.

    Args:
        run: The run.
        base: The other run; without it, the run is compared with the default options.
    """
    other = _options(base) if base else make_config({}).flat()
    return _labels(run, [name for name in _differing(_options(run), other) if name != "network"])


def network_name(run: FinishedRun) -> str:
    """Return the name of a network's preset; without a preset, its text, which may be cut."""
    text = run.config.network.text
    name = next((name for name, preset in PRESETS.items() if text in (name, preset)), text)
    # A long name would make a table too wide.
    return name if len(name) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 1]}…"


def _options(run: FinishedRun) -> dict[str, Any]:
    """Return the options by which runs are compared, with the network as it is for RGB output."""
    # Another target also changes the network's last layer, which must not count as a second
    # difference.
    return {**run.options, "network": rgb_text(run)}


def rgb_text(run: FinishedRun) -> str:
    """Return the text that a run's network has if its output is RGB."""
    return str(adapt(run.description.network, outputs=CHANNELS))


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [name for name in one if one[name] != other[name]]


def _labels(run: FinishedRun, names: Sequence[str]) -> str:
    """Return options of a run as text, such as ``flip`` (on), ``flip –`` (off) or ``epochs 4``."""
    labels, options = [], {**run.config.flat(), **run.options}
    for name in names:
        value, spaced = options[name], name.replace("_", " ")
        shown = {None: " –", False: " –", True: ""}.get(value, f" {value}")
        labels.append(network_name(run) if name == "network" else spaced + shown)
    return ", ".join(labels)
