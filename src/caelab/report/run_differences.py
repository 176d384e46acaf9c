"""Runs of one task side by side: what they differ in, and what each difference does."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caelab.experiments.config import make_config
from caelab.experiments.setup import CHANNELS
from caelab.metrics.statistics import Effect, Interval, effect, mean_interval
from caelab.networks.adapt import adapt
from caelab.networks.presets import PRESETS
from caelab.report.run_reader import NOT_OF_THE_GROUP, FinishedRun, groups

BASE = "base"

_LONGEST = 28


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Runs that differ in their seed alone.

    Attributes:
        label: What it is called; without a name, what it has that the base has not, ``"base"`` for
            that itself.
        runs: By rising seed.
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
        return (
            {} if None in found.values() else {seed: float(value) for seed, value in found.items()}
        )

    def mean(self, metric: str) -> Interval:
        """Return that mean over seeds, with its interval."""
        return mean_interval(self.by_seed(metric).values())

    def effect(self, base: "Variant", metric: str) -> Effect:
        """Return what it does to the base's metric."""
        return effect(self.by_seed(metric), base.by_seed(metric))


@dataclass(frozen=True, kw_only=True)
class Variants:
    """What is compared.

    Attributes:
        all: The base first, then in the order of the runs.
        left_out: Why runs are not among them.
    """

    all: tuple[Variant, ...]
    left_out: tuple[str, ...]

    @property
    def base(self) -> Variant:
        """The one that the others differ least from."""
        return self.all[0]

    @property
    def best(self) -> Variant:
        """By mean validation error."""
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
        names: What runs are called, by the name of their folder; others are called after what they
            differ in.
    """
    images, _ = Counter(run.images for run in runs).most_common(1)[0]
    left_out = tuple(
        f"{run.name} was measured on other test images." for run in runs if run.images != images
    )
    found = groups(run for run in runs if run.images == images)
    told = [_told(group[0]) for group in found]
    distances = [sum(len(_differing(one, other)) for other in told) for one in told]
    base = distances.index(min(distances))
    order = [base, *(index for index in range(len(found)) if index != base)]
    labels: Counter[str] = Counter()
    variants = []
    for index in order:
        first = found[index][0]
        label = (names or {}).get(first.name) or differences(first, found[base][0]) or BASE
        labels[label] += 1
        if labels[label] > 1:
            label = f"{label} ({labels[label]})"
        variants.append(Variant(label=label, runs=tuple(found[index])))
    return Variants(all=tuple(variants), left_out=left_out)


def differences(run: FinishedRun, base: FinishedRun) -> str:
    """Return the options of a run that are not the base's, in words."""
    return ", ".join(_say(run, name) for name in _differing(_told(run), _told(base)))


def options_in_words(run: FinishedRun) -> str:
    """Return the options of a run that are not the defaults, but for its network."""
    defaults = make_config({}).flat()
    told = _told(run)
    return ", ".join(
        _say(run, name) for name in told if name != "network" and told[name] != defaults[name]
    )


def network_name(run: FinishedRun) -> str:
    """Return a preset's name, or the text, cut where it is long, with the weights to tell it from
    others.
    """
    text = run.config.network.text
    name = next((name for name, preset in PRESETS.items() if text in (name, preset)), text)
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 1]}… ({run.description.weights:,} weights)"


def _told(run: FinishedRun) -> dict[str, Any]:
    """Return the options by which runs differ; one network that was adapted to several predictions
    counts as one.
    """
    network = str(adapt(run.description.network, outputs=CHANNELS))
    told = {**run.config.flat(), "network": network}
    return {name: value for name, value in told.items() if name not in NOT_OF_THE_GROUP}


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [name for name in one if one[name] != other[name]]


def _say(run: FinishedRun, name: str) -> str:
    value, words = run.config.flat()[name], name.replace("_", " ")
    if name == "network":
        return network_name(run)
    if isinstance(value, bool):
        return words if value else f"no {words}"
    return f"no {words}" if value is None else f"{words} {value}"
