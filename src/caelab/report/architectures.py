"""Exercise 2: from the rows of a study to answers about architectures.

    rows ──► architectures ──► effects · code size · equal size · Pareto fronts ──► sentences
    a run    over seeds        of what the study varied                             (``lab.sentences``)

Errors are mean squared errors of the test images, in [0, 1]. A run whose error is not a positive,
finite number is counted and left out.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from caelab.experiments.study_results import StudyRow
from caelab.metrics.statistics import (
    Effect,
    Interval,
    PowerLaw,
    effect,
    mean_interval,
    pareto_front,
    partial_correlation,
    pearson_log,
    power_law,
    spearman,
)

COSTS: Mapping[str, str] = {
    "weights": "weights",
    "multiply_accumulates": "multiply-accumulates an image",
    "seconds_per_epoch": "measured seconds an epoch",
}
"""What the error is weighed against: an architecture's attribute, and its name in words."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One network of a study over its seeds.

    Attributes:
        label: What the study calls it.
        factor: What was varied; empty for the base and for explicit networks.
        level: To which level.
        network: Its text.
        code_size: Numbers of the code; ``None`` without one.
        code_shape: The code's (C, H, W).
        narrowest: Numbers of the smallest representation that everything passes through.
        skip_around_code: Whether a bracket runs around the code: then it is no bottleneck.
        weights: How many.
        multiply_accumulates: For one image.
        seconds_per_epoch: Median over seeds.
        errors: Test error by seed.
        mse: Their mean, with its interval over seeds.
        validation_mse: Mean over seeds, by which networks are chosen.
        failed: Runs without a positive, finite error.
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


@dataclass(frozen=True, kw_only=True)
class LevelEffect:
    """What a level of a factor does to the base."""

    architecture: Architecture
    effect: Effect


@dataclass(frozen=True, kw_only=True)
class CodeSizeAnswer:
    """Does the error go with the size of the code?

    Attributes:
        architectures: That have a code which is a bottleneck, each network once.
        skipped: Labels of those left out because a bracket runs around their code.
        codeless: Labels of those left out because their text marks no code.
        spearman: Rank correlation of code size and error.
        pearson: Correlation of their logarithms.
        narrowest: Rank correlation of the narrowest representation and the error.
        partial_spearman: Rank correlation of code size and error, given weights and
            multiply-accumulates.
        partial_pearson: The same of logarithms.
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


@dataclass(frozen=True, kw_only=True)
class AreaStep:
    """From one code shape to the next larger area: below 1 the larger area has the smaller
    error.
    """

    smaller: Architecture
    larger: Architecture
    effect: Effect


@dataclass(frozen=True, kw_only=True)
class EqualSizeAnswer:
    """At one code size: is it better to have area, or channels?

    Attributes:
        size: Numbers of the code.
        ranking: The networks with such a code, best first.
        maps: Those of them that the question is about, by rising area: one for each area above 1,
            as a code of a single place is a dense one. Explicit networks where there are two areas
            of them, otherwise any; of several with one area the first.
        per_doubling: The factor on the error for each doubling of the area, with its interval over
            seeds.
        steps: From each of ``maps`` to the next.
    """

    size: int
    ranking: tuple[Architecture, ...]
    maps: tuple[Architecture, ...]
    per_doubling: Interval
    steps: tuple[AreaStep, ...]


@dataclass(frozen=True, kw_only=True)
class Front:
    """The networks that no other beats in both error and one cost, by rising cost."""

    cost: str
    architectures: tuple[Architecture, ...]


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The answers of a study.

    Attributes:
        architectures: All, in the study's order.
        base: The one that effects are measured from; ``None`` where it has no finished run.
        effects: Of every level of every factor.
        code_size: Does the error go with the size of the code?
        equal_size: At one code size, area or channels?
        fronts: Error against each of ``COSTS``.
        best: By validation error; ``None`` without any run.
    """

    architectures: tuple[Architecture, ...]
    base: Architecture | None
    effects: tuple[LevelEffect, ...]
    code_size: CodeSizeAnswer
    equal_size: EqualSizeAnswer
    fronts: tuple[Front, ...]
    best: Architecture | None


def analyze(
    rows: Iterable[StudyRow], *, base: str = "base", equal_size: int = 768, seed: int = 0
) -> Analysis:
    """Answer from the rows of a study.

    Args:
        rows: Its finished runs, of any seeds.
        base: The label that effects are measured from.
        equal_size: The code size at which shapes are compared.
        seed: Seeds the bootstrap's resamples.
    """
    architectures = summarize(rows)
    measured = [architecture for architecture in architectures if architecture.errors]
    distinct = list(
        {architecture.network: architecture for architecture in reversed(measured)}.values()
    )[::-1]
    reference = next(
        (architecture for architecture in measured if architecture.label == base), None
    )
    return Analysis(
        architectures=architectures,
        base=reference,
        effects=tuple(
            LevelEffect(
                architecture=architecture, effect=effect(architecture.errors, reference.errors)
            )
            for architecture in measured
            if architecture.factor and reference
        ),
        code_size=_code_size(distinct, seed),
        equal_size=_equal_size(measured, distinct, equal_size),
        fronts=tuple(_front(measured, cost) for cost in COSTS),
        best=min(
            (
                architecture
                for architecture in measured
                if math.isfinite(architecture.validation_mse)
            ),
            key=lambda architecture: architecture.validation_mse,
            default=None,
        ),
    )


def summarize(rows: Iterable[StudyRow]) -> tuple[Architecture, ...]:
    """Gather the rows of each label, in order of first appearance."""
    groups: dict[str, list[StudyRow]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(row)
    return tuple(_architecture(group) for group in groups.values())


def _architecture(rows: Sequence[StudyRow]) -> Architecture:
    first = rows[0]
    good = [row for row in rows if 0 < row.test_mse < math.inf]
    errors = {row.seed: row.test_mse for row in sorted(good, key=lambda row: row.seed)}
    return Architecture(
        label=first.label,
        factor=first.factor,
        level=first.level,
        network=first.network,
        code_size=first.code_size,
        code_shape=first.code_shape,
        narrowest=first.narrowest,
        skip_around_code=first.skip_around_code,
        weights=first.weights,
        multiply_accumulates=first.multiply_accumulates,
        seconds_per_epoch=float(np.median([row.seconds_per_epoch for row in rows])),
        errors=errors,
        mse=mean_interval(errors.values()),
        validation_mse=float(np.mean([row.validation_mse for row in good])) if good else math.nan,
        failed=len(rows) - len(good),
    )


def _code_size(distinct: Sequence[Architecture], seed: int) -> CodeSizeAnswer:
    coded = tuple(
        each for each in distinct if each.code_size is not None and not each.skip_around_code
    )
    sizes, errors = [each.code_size or 0 for each in coded], [each.mse.estimate for each in coded]
    costs = [[each.weights for each in coded], [each.multiply_accumulates for each in coded]]
    # A network may have no weights at all; one more changes no logarithm that matters.
    positive = [[cost + 1 for cost in column] for column in costs]
    return CodeSizeAnswer(
        architectures=coded,
        skipped=tuple(
            each.label for each in distinct if each.code_size is not None and each.skip_around_code
        ),
        codeless=tuple(each.label for each in distinct if each.code_size is None),
        spearman=spearman(sizes, errors, seed=seed),
        pearson=pearson_log(sizes, errors, seed=seed),
        narrowest=spearman([each.narrowest for each in coded], errors, seed=seed),
        partial_spearman=partial_correlation(sizes, errors, costs, ranks=True, seed=seed),
        partial_pearson=partial_correlation(sizes, errors, positive, ranks=False, seed=seed),
        law=power_law(sizes, errors),
    )


def _equal_size(
    measured: Sequence[Architecture], distinct: Sequence[Architecture], size: int
) -> EqualSizeAnswer:
    def alike(architectures: Sequence[Architecture]) -> list[Architecture]:
        return [
            each for each in architectures if each.code_size == size and not each.skip_around_code
        ]

    maps: dict[int, Architecture] = {}
    for candidates in ([each for each in distinct if not each.factor], distinct):
        if len(maps) < 2:
            maps = {
                each.area: each
                for each in reversed(alike(candidates))
                if each.area and each.area > 1
            }
    by_area = [maps[area] for area in sorted(maps)]
    return EqualSizeAnswer(
        size=size,
        ranking=tuple(sorted(alike(measured), key=lambda each: each.mse.estimate)),
        maps=tuple(by_area),
        per_doubling=_per_doubling(maps),
        steps=tuple(
            AreaStep(smaller=smaller, larger=larger, effect=effect(larger.errors, smaller.errors))
            for smaller, larger in pairwise(by_area)
        ),
    )


def _per_doubling(maps: Mapping[int, Architecture]) -> Interval:
    """Fit log error to log₂ area by seed, and return the mean slope over the seeds that all have,
    as a factor.

    The slopes are rounded, or a fit to equal errors could come out as a certain effect of 10⁻¹⁷.
    """
    seeds: set[int] = (
        set.intersection(*(set(each.errors) for each in maps.values())) if len(maps) > 1 else set()
    )
    doublings = np.log2(list(maps))
    slopes = [
        round(
            float(
                np.polyfit(doublings, np.log([each.errors[seed] for each in maps.values()]), 1)[0]
            ),
            12,
        )
        for seed in sorted(seeds)
    ]
    return mean_interval(slopes).exponential()


def _front(measured: Sequence[Architecture], cost: str) -> Front:
    costs = np.array([(getattr(each, cost), each.mse.estimate) for each in measured]).reshape(-1, 2)
    chosen = [
        each for each, on_front in zip(measured, pareto_front(costs), strict=True) if on_front
    ]
    return Front(
        cost=cost, architectures=tuple(sorted(chosen, key=lambda each: float(getattr(each, cost))))
    )
