"""Exercise 2: from the rows of a study to typed answers about architectures.

    rows ──► architectures ──► effects · code size · equal size · Pareto fronts ──► template
    a run    over seeds        of what the study varied                             study.md.j2

Errors are mean squared errors of the test images, in [0, 1]. A run whose error is not a positive,
finite number is counted and left out.
"""

import itertools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caelab.experiments.study import BASE
from caelab.experiments.study_results import StudyRow
from caelab.metrics.statistics import (
    Effect,
    Interval,
    PowerLaw,
    correlation,
    effect,
    mean_interval,
    pareto_front,
    power_law,
)

COSTS: Mapping[str, str] = {
    "weights": "weights",
    "multiply_accumulates": "multiply-accumulates per image",
    "seconds_per_epoch": "measured seconds per epoch",
}
"""Costs that the error is weighed against: attribute of an architecture, and its name in words."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One network of a study over its seeds.

    Attributes:
        label: Name of the network in the study.
        factor: Name of what was varied; empty for the base and for explicit networks.
        level: Level of the factor; empty without a factor.
        network: Text of the network.
        code_size: Numbers in the code; ``None`` without a code.
        code_shape: Shape of the code (C, H, W); ``None`` without a code.
        narrowest: Numbers in the smallest representation that everything passes through.
        skip_around_code: Whether a skip connection runs around the code, which then is no
            bottleneck.
        weights: Number of weights and biases.
        multiply_accumulates: Multiply-accumulates for one image.
        seconds_per_epoch: Median over seeds.
        errors: Test error by seed.
        mse: Mean test error, with its interval over seeds.
        validation_mse: Mean validation error over seeds, by which networks are chosen.
        failed: Number of runs without a positive, finite error.
    """

    label: str
    factor: str
    level: str
    network: str
    code_size: int | None
    code_shape: tuple[int, int, int] | None
    narrowest: int
    skip_around_code: bool
    weights: int
    multiply_accumulates: int
    seconds_per_epoch: float
    errors: Mapping[int, float]
    mse: Interval
    validation_mse: float
    failed: int

    @property
    def area(self) -> int | None:
        """Height times width of the code."""
        return self.code_shape[1] * self.code_shape[2] if self.code_shape else None

    @property
    def bottleneck(self) -> int | None:
        """Numbers in the code, where it is a bottleneck."""
        return None if self.skip_around_code else self.code_size

    @property
    def shape(self) -> str:
        """Shape of the code as text, height × width × channels; empty without a code."""
        if not self.code_shape:
            return ""
        channels, height, width = self.code_shape
        return f"{height}×{width}×{channels}"

    @property
    def varied(self) -> str:
        """Name of the factor as text; empty without a factor."""
        return self.factor.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class LevelEffect:
    """The effect of a level of a factor on the base.

    Attributes:
        architecture: Network with that level.
        effect: Effect on the base's test error.
        cost_ratios: Weights, multiply-accumulates and code size as multiples of the base's;
            ``None`` where the base has none.
    """

    architecture: Architecture
    effect: Effect
    cost_ratios: Mapping[str, float | None]

    @property
    def direction(self) -> int:
        """−1 where the level lowers the error, 1 where it raises it, 0 where that is undecided."""
        return self.effect.ratio.side(1.0)


@dataclass(frozen=True, kw_only=True)
class CodeSizeAnswer:
    """The relation between code size and error.

    Attributes:
        architectures: Networks whose code is a bottleneck, each network once.
        skipped: Labels of networks left out because a skip connection runs around their code.
        codeless: Labels of networks left out because they have no code.
        spearman: Rank correlation of code size and error.
        pearson: Correlation of their logarithms.
        narrowest: Rank correlation of the narrowest representation and the error.
        partial_spearman: Rank correlation of code size and error, given weights and
            multiply-accumulates.
        partial_pearson: Correlation of their logarithms, given the same.
        law: Error as a power of the code size.
    """

    architectures: tuple[Architecture, ...]
    skipped: tuple[str, ...]
    codeless: tuple[str, ...]
    spearman: Interval
    pearson: Interval
    narrowest: Interval
    partial_spearman: Interval
    partial_pearson: Interval
    law: PowerLaw

    @property
    def doubling(self) -> Interval:
        """Factor on the error for each doubling of the code, by the power law."""
        law, log2 = self.law.exponent, math.log(2)
        logarithm = Interval(
            low=law.low * log2, estimate=law.estimate * log2, high=law.high * log2, n=law.n
        )
        return logarithm.exponential()


@dataclass(frozen=True, kw_only=True)
class AreaStep:
    """The step from one code shape to the next larger area; a ratio below 1 favors the larger."""

    smaller: Architecture
    larger: Architecture
    effect: Effect


@dataclass(frozen=True, kw_only=True)
class EqualSizeAnswer:
    """The comparison of area and channels at one code size.

    Attributes:
        size: Numbers in the code.
        ranking: Networks with such a code, best first.
        maps: Networks that the question is about, by rising area: one for each area above 1, as a
            code of a single pixel is a dense one. Explicit networks where there are two areas of
            them, otherwise any; the first of several with one area.
        per_doubling: Factor on the error for each doubling of the area, with its interval over
            seeds.
        steps: Steps from each of ``maps`` to the next.
    """

    size: int
    ranking: tuple[Architecture, ...]
    maps: tuple[Architecture, ...]
    per_doubling: Interval
    steps: tuple[AreaStep, ...]

    @property
    def against(self) -> list[AreaStep]:
        """Steps at which the larger area is not clearly better."""
        return [step for step in self.steps if step.effect.ratio.side(1.0) >= 0]


@dataclass(frozen=True, kw_only=True)
class Front:
    """The networks that no other beats in both error and one cost, by rising cost."""

    cost: str
    architectures: tuple[Architecture, ...]


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The answers of a study.

    Attributes:
        architectures: All networks in the order of the rows.
        base: Network that effects are measured from; ``None`` where it has no finished run.
        effects: Effects of every level of every factor.
        code_size: Relation between code size and error.
        equal_size: Comparison of area and channels at one code size.
        fronts: Error against each of ``COSTS``.
        best: Best network by validation error; ``None`` without any run.
    """

    architectures: tuple[Architecture, ...]
    base: Architecture | None
    effects: tuple[LevelEffect, ...]
    code_size: CodeSizeAnswer
    equal_size: EqualSizeAnswer
    fronts: tuple[Front, ...]
    best: Architecture | None

    @property
    def measured(self) -> list[Architecture]:
        """Networks with a finite error."""
        return [each for each in self.architectures if each.errors]


def analyze(
    rows: Iterable[StudyRow], *, base: str = BASE, equal_size: int = 768, seed: int = 0
) -> Analysis:
    """Answer from the rows of a study.

    Args:
        rows: Finished runs, of any seeds.
        base: Label of the network that effects are measured from.
        equal_size: Code size at which shapes are compared.
        seed: Seed of the bootstrap's resamples.
    """
    architectures = summarize(rows)
    measured = [each for each in architectures if each.errors]
    # A network that stands at several levels counts once where architectures are the sample.
    distinct = list({each.network: each for each in reversed(measured)}.values())[::-1]
    reference = next((each for each in measured if each.label == base), None)
    return Analysis(
        architectures=architectures,
        base=reference,
        effects=tuple(
            LevelEffect(
                architecture=each,
                effect=effect(each.errors, reference.errors),
                cost_ratios={
                    name: _ratio(getattr(each, name), getattr(reference, name))
                    for name in ("weights", "multiply_accumulates", "code_size")
                },
            )
            for each in measured
            if each.factor and reference
        ),
        code_size=_code_size(distinct, seed),
        equal_size=_equal_size(measured, distinct, equal_size),
        fronts=tuple(_front(measured, cost) for cost in COSTS),
        best=min(
            (each for each in measured if math.isfinite(each.validation_mse)),
            key=lambda each: each.validation_mse,
            default=None,
        ),
    )


def summarize(rows: Iterable[StudyRow]) -> tuple[Architecture, ...]:
    """Gather the rows of each label, in order of first appearance."""
    groups: dict[str, list[StudyRow]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(row)
    return tuple(map(_architecture, groups.values()))


def _architecture(rows: Sequence[StudyRow]) -> Architecture:
    good = [row for row in rows if 0 < row.test_mse < math.inf]
    errors = {row.seed: row.test_mse for row in sorted(good, key=lambda row: row.seed)}
    computed: dict[str, Any] = {
        "seconds_per_epoch": float(np.median([row.seconds_per_epoch for row in rows])),
        "errors": errors,
        "mse": mean_interval(errors.values()),
        "validation_mse": float(np.mean([row.validation_mse for row in good]))
        if good
        else math.nan,
        "failed": len(rows) - len(good),
    }
    copied = {
        name: getattr(rows[0], name)
        for name in Architecture.__annotations__
        if name not in computed
    }
    return Architecture(**copied, **computed)


def error_points(architectures: Sequence[Architecture], attribute: str) -> np.ndarray:
    """Return a property of networks and their test MSE, ``float64 (N, 2)``."""
    points = [(getattr(each, attribute), each.mse.estimate) for each in architectures]
    return np.array(points, np.float64).reshape(-1, 2)


def _ratio(value: int | None, base: int | None) -> float | None:
    if value == base:
        return 1.0
    return (value or 0) / base if base else None


def _code_size(distinct: Sequence[Architecture], seed: int) -> CodeSizeAnswer:
    coded = tuple(each for each in distinct if each.bottleneck is not None)
    sizes, errors = [each.code_size or 0 for each in coded], [each.mse.estimate for each in coded]
    # A network may have no weights at all; one more changes no logarithm that matters.
    costs = [
        [each.weights + 1 for each in coded],
        [each.multiply_accumulates + 1 for each in coded],
    ]
    return CodeSizeAnswer(
        architectures=coded,
        skipped=tuple(each.label for each in distinct if each.code_size and each.skip_around_code),
        codeless=tuple(each.label for each in distinct if each.code_size is None),
        spearman=correlation(sizes, errors, ranks=True, seed=seed),
        pearson=correlation(sizes, errors, ranks=False, seed=seed),
        narrowest=correlation([each.narrowest for each in coded], errors, ranks=True, seed=seed),
        partial_spearman=correlation(sizes, errors, costs, ranks=True, seed=seed),
        partial_pearson=correlation(sizes, errors, costs, ranks=False, seed=seed),
        law=power_law(sizes, errors),
    )


def _equal_size(
    measured: Sequence[Architecture], distinct: Sequence[Architecture], size: int
) -> EqualSizeAnswer:
    maps: dict[int, Architecture] = {}
    # Explicit networks are made for this question; levels of factors serve only without them.
    for candidates in ([each for each in distinct if not each.factor], distinct):
        if len(maps) < 2:
            alike = [each for each in reversed(candidates) if each.bottleneck == size]
            maps = {each.area: each for each in alike if each.area and each.area > 1}
    by_area = [maps[area] for area in sorted(maps)]
    ranked = [each for each in measured if each.bottleneck == size]
    return EqualSizeAnswer(
        size=size,
        ranking=tuple(sorted(ranked, key=lambda each: each.mse.estimate)),
        maps=tuple(by_area),
        per_doubling=_per_doubling(maps),
        steps=tuple(
            AreaStep(smaller=smaller, larger=larger, effect=effect(larger.errors, smaller.errors))
            for smaller, larger in itertools.pairwise(by_area)
        ),
    )


def _per_doubling(maps: Mapping[int, Architecture]) -> Interval:
    """Fit log error to log₂ area by seed; return the factor of the mean slope over common seeds.

    The slopes are rounded, or a fit to equal errors could come out as a certain effect of 10⁻¹⁷.
    """
    seeds = [set(each.errors) for each in maps.values()]
    common = sorted(set.intersection(*seeds)) if len(maps) > 1 else []
    if not common:
        return mean_interval([])
    errors = np.log([[each.errors[seed] for seed in common] for each in maps.values()])
    # One fit per seed, because the networks of one seed share its order of batches and are not
    # independent of each other.
    slopes = np.polyfit(np.log2(list(maps)), errors, 1)[0]
    return mean_interval(slopes.round(12)).exponential()


def _front(measured: Sequence[Architecture], cost: str) -> Front:
    on_front = itertools.compress(measured, pareto_front(error_points(measured, cost)))
    return Front(cost=cost, architectures=tuple(sorted(on_front, key=operator.attrgetter(cost))))
