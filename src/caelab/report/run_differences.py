"""Runs of one task sorted into variants: how they differ, and the effect of each difference."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caelab.experiments.config import make_config
from caelab.experiments.setup import CHANNELS
from caelab.experiments.study import BASE
from caelab.metrics.statistics import Effect, Interval, effect, mean_interval
from caelab.networks.adapt import adapt
from caelab.networks.presets import PRESETS
from caelab.report.run_reader import FinishedRun, groups

MAX_NAME_LENGTH = 28
"""Length from which the text of a network is cut."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Runs that differ in their seed alone.

    Attributes:
        label: Name of the variant: one that was set, or how it differs from the base, or ``base``.
        runs: Runs by rising seed.
    """

    label: str
    runs: tuple[FinishedRun, ...]

    @property
    def first(self) -> FinishedRun:
        """The run whose pictures are shown."""
        return self.runs[0]

    def by_seed(self, metric: str) -> dict[int, float]:
        """Return a mean over the test images by seed; empty where a run does not state it."""
        found = {run.config.seed: run.result["test"].get(metric) for run in self.runs}
        return {} if None in found.values() else {seed: float(found[seed]) for seed in found}

    def mean(self, metric: str) -> Interval:
        """Return that mean over seeds, with its interval."""
        return mean_interval(self.by_seed(metric).values())

    def effect(self, base: "Variant", metric: str) -> Effect:
        """Return the change of the metric from the base."""
        return effect(self.by_seed(metric), base.by_seed(metric))


@dataclass(frozen=True, kw_only=True)
class Variants:
    """Variants that can be compared.

    Attributes:
        all: The base first, then in the order of the runs.
        left_out: Why runs are not among them.
    """

    all: tuple[Variant, ...]
    left_out: tuple[str, ...]

    @property
    def base(self) -> Variant:
        """The variant that the others differ least from."""
        return self.all[0]

    @property
    def best(self) -> Variant:
        """The variant with the smallest mean validation error."""
        return min(
            self.all,
            key=lambda each: (
                mean_interval(run.result["validation_mse"] for run in each.runs).estimate
            ),
        )


def find_variants(runs: Sequence[FinishedRun], names: Mapping[str, str] | None = None) -> Variants:
    """Sort finished runs into variants of the one that the others differ least from.

    Only runs with the same test images can be compared: those that most runs have.

    Args:
        runs: At least one.
        names: Names of runs by their folder; others are named by how they differ from the base.
    """
    images, _ = Counter(run.images for run in runs).most_common(1)[0]
    found = groups(run for run in runs if run.images == images)
    options = [_options(group[0]) for group in found]
    distances = [sum(len(_differing(one, other)) for other in options) for one in options]
    base = distances.index(min(distances))
    labels: Counter[str] = Counter()
    variants = []
    for index in (base, *(index for index in range(len(found)) if index != base)):
        first = found[index][0]
        differences = _in_words(first, _differing(options[index], options[base]))
        label = (names or {}).get(first.name) or differences or BASE
        labels[label] += 1
        if labels[label] > 1:
            label = f"{label} ({labels[label]})"
        variants.append(Variant(label=label, runs=tuple(found[index])))
    return Variants(
        all=tuple(variants),
        left_out=tuple(
            f"{run.name} was measured on other test images." for run in runs if run.images != images
        ),
    )


def options_in_words(run: FinishedRun) -> str:
    """Return the options of a run that are not the defaults, except its network."""
    changed = _differing(_options(run), make_config({}).flat())
    return _in_words(run, [name for name in changed if name != "network"])


def network_name(run: FinishedRun) -> str:
    """Return the preset's name, or the network's text; a long text is cut, with its weights."""
    text = run.config.network.text
    name = next((name for name, preset in PRESETS.items() if text in (name, preset)), text)
    if len(name) <= MAX_NAME_LENGTH:
        return name
    return f"{name[: MAX_NAME_LENGTH - 1]}… ({run.description.weights:,} weights)"


def _options(run: FinishedRun) -> dict[str, Any]:
    """Return the options by which runs differ; a network adapted to several targets counts once."""
    network = str(adapt(run.description.network, outputs=CHANNELS))
    return {**run.options, "network": network}


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [name for name in one if one[name] != other[name]]


def _in_words(run: FinishedRun, names: Sequence[str]) -> str:
    words, options = [], run.config.flat()
    for name in names:
        value, spaced = options[name], name.replace("_", " ")
        if name == "network":
            words.append(network_name(run))
        elif value is None or value is False:
            words.append(f"no {spaced}")
        else:
            words.append(spaced if value is True else f"{spaced} {value}")
    return ", ".join(words)
