"""Exercise 2: from the rows of a study to typed answers about architectures.

    rows ──► architectures ──► effects · code size · equal size · Pareto front ──► template
    a run    over seeds        of what the study varied                            study.md.j2

Errors are mean squared errors of the test images, in [0, 1]. A run whose error is not a positive,
finite number is counted and left out.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import PlainSerializer

from caelab.experiments.study import BASE
from caelab.experiments.study_results import StudyRow
from caelab.metrics.moderated import Contrast, ModeratedErrors, moderate
from caelab.metrics.statistics import (
    Interval,
    PowerLaw,
    correlation,
    mean_interval,
    pareto_front,
    power_law,
)

CODE = "code"
"""Name of the factor whose levels differ from the base only in the size of the code."""


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
        mse: Mean test error, with its interval over seeds, by moderated variances.
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
        return "{1}×{2}×{0}".format(*self.code_shape) if self.code_shape else ""

    @property
    def varied(self) -> str:
        """Name of the factor as text; empty without a factor."""
        return self.factor.replace("_", " ")


# Answers hold networks themselves, which figures draw; in `results.json` each is described once.
Named = Annotated[Architecture, PlainSerializer(lambda each: each.label, return_type=str)]


@dataclass(frozen=True, kw_only=True)
class LevelEffect:
    """The effect of a level of a factor on the base.

    Attributes:
        architecture: Network with that level.
        same_code: True if its code has as many numbers as the base's.
        contrast: Its test error as a multiple of the base's, and the verdict.
        cost_ratios: ``weights`` and ``code_size`` as multiples of the base's; ``None`` where the
            base has none.
    """

    architecture: Named
    same_code: bool
    contrast: Contrast
    cost_ratios: Mapping[str, float | None]

    @property
    def factor(self) -> str:
        """Name of the factor as text."""
        return self.architecture.varied


@dataclass(frozen=True, kw_only=True)
class FamilyAnswer:
    """The relation between code size and error where only the code changes.

    Attributes:
        architectures: The base and the levels of the factor ``CODE``, by rising code size.
        doubling: Factor on the error for each doubling of the code.
    """

    architectures: tuple[Named, ...]
    doubling: Contrast


@dataclass(frozen=True, kw_only=True)
class CodeSizeAnswer:
    """The relation between code size and error across all architectures.

    Attributes:
        architectures: Networks whose code is a bottleneck, each network once.
        skipped: Labels of networks left out because a skip connection runs around their code.
        codeless: Labels of networks left out because they have no code.
        spearman: Rank correlation of code size and error.
        confounders: Rank correlation of the error with what often grows with the code: the code's
            ``area``, and ``weights``.
        held: Partial rank correlation of code size and error, given area and weights.
        law: Error as a power of the code size.
    """

    architectures: tuple[Named, ...]
    skipped: tuple[str, ...]
    codeless: tuple[str, ...]
    spearman: Interval
    confounders: Mapping[str, Interval]
    held: Interval
    law: PowerLaw


@dataclass(frozen=True, kw_only=True)
class EqualSizeAnswer:
    """The comparison of area and channels at one code size.

    Attributes:
        size: Numbers in the code.
        ranking: Networks with such a code, best first; empty if there are fewer than two shapes.
        maps: Networks that are compared, by rising area: the first network of each area above 1,
            because a code of a single pixel is a dense one. Only explicit networks, if they have
            two areas or more; otherwise any.
        doubling: Factor on the error for each doubling of the area at half the channels; ``None``
            with fewer than two areas.
    """

    size: int
    ranking: tuple[Named, ...]
    maps: tuple[Named, ...]
    doubling: Contrast | None


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The answers of a study.

    Attributes:
        architectures: All networks in the order of the rows.
        base: Network that effects are measured from; ``None`` where it has no finished run.
        best: Best network by validation error; ``None`` without any run.
        effects: Effects of every level of every factor.
        family: Relation between code size and error where only the code changes; ``None`` with
            fewer than three sizes.
        code_size: Relation between code size and error across all architectures.
        equal_size: Comparison of area and channels at one code size.
        front: Networks that no other beats in both error and number of weights, by rising weights.
    """

    architectures: tuple[Architecture, ...]
    base: Named | None
    best: Named | None
    effects: tuple[LevelEffect, ...]
    family: FamilyAnswer | None
    code_size: CodeSizeAnswer
    equal_size: EqualSizeAnswer
    front: tuple[Named, ...]

    @property
    def measured(self) -> list[Architecture]:
        """Networks with a finite error."""
        return [each for each in self.architectures if each.errors]


def analyze(rows: Iterable[StudyRow], *, base: str = BASE, seed: int = 0) -> Analysis:
    """Answer the questions about architectures from the rows of a study.

    Args:
        rows: Finished runs, of any seeds.
        base: Label of the network that effects are measured from.
        seed: Seed of the bootstrap's resamples.
    """
    gathered = summarize(rows)
    errors = moderate({each.label: each.errors.values() for each in gathered})
    architectures = tuple(
        replace(each, mse=errors.interval(each.label, each.mse.estimate))
        if each.label in errors.labels
        else each
        for each in gathered
    )
    measured = [each for each in architectures if each.errors]
    # A network that is a level of several factors is one architecture, and counts once.
    distinct = list({each.network: each for each in reversed(measured)}.values())[::-1]
    reference = next((each for each in measured if each.label == base), None)
    on_front = pareto_front(error_points(measured, "weights"))
    return Analysis(
        architectures=architectures,
        base=reference,
        # By validation, because the test images must not choose what they measure.
        best=min(
            (each for each in measured if math.isfinite(each.validation_mse)),
            key=lambda each: each.validation_mse,
            default=None,
        ),
        effects=_effects(measured, reference, errors) if reference else (),
        family=_family(measured, reference, errors),
        code_size=_code_size(distinct, seed),
        equal_size=_equal_size(measured, distinct, errors),
        front=tuple(sorted(itertools.compress(measured, on_front), key=lambda each: each.weights)),
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
        # The median, because other programs may have slowed a run down.
        "seconds_per_epoch": float(np.median([row.seconds_per_epoch for row in rows])),
        "errors": errors,
        "mse": mean_interval(errors.values()),
        "validation_mse": mean_interval(row.validation_mse for row in good).estimate,
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


def _effects(
    measured: Sequence[Architecture], base: Architecture, errors: ModeratedErrors
) -> tuple[LevelEffect, ...]:
    levels = [each for each in measured if each.factor]
    # Explicit networks are no levels: each additional comparison would widen all intervals.
    contrasts = errors.against(base.label, labels=[each.label for each in levels])
    return tuple(
        LevelEffect(
            architecture=each,
            same_code=each.code_size == base.code_size,
            contrast=contrasts[each.label],
            cost_ratios={
                name: _ratio(getattr(each, name), getattr(base, name))
                for name in ("weights", "code_size")
            },
        )
        for each in levels
    )


def _ratio(value: int | None, base: int | None) -> float | None:
    if value == base:
        # Two networks without a code have equal codes, although there is nothing to divide.
        return 1.0
    return (value or 0) / base if base else None


def _family(
    measured: Sequence[Architecture], base: Architecture | None, errors: ModeratedErrors
) -> FamilyAnswer | None:
    levels = [each for each in measured if each.factor == CODE or each is base]
    sizes = {each.label: each.bottleneck for each in levels if each.bottleneck}
    # A line fits any two sizes exactly, so that two say nothing about a relation.
    if len({*sizes.values()}) < 3:
        return None
    doubling = errors.contrasts({"doubling": errors.slope(sizes)})["doubling"]
    family = sorted((each.code_size or 0, each.label, each) for each in levels if each.bottleneck)
    return FamilyAnswer(architectures=tuple(each for *_, each in family), doubling=doubling)


def _code_size(distinct: Sequence[Architecture], seed: int) -> CodeSizeAnswer:
    coded = tuple(each for each in distinct if each.bottleneck is not None)
    errors = [each.mse.estimate for each in coded]
    sizes = [each.code_size or 0 for each in coded]
    # Area and weights often grow with the code, and may cause what looks like an effect of its
    # size.
    others = {name: [getattr(each, name) for each in coded] for name in ("area", "weights")}
    return CodeSizeAnswer(
        architectures=coded,
        skipped=tuple(each.label for each in distinct if each.code_size and each.skip_around_code),
        codeless=tuple(each.label for each in distinct if each.code_size is None),
        spearman=correlation(sizes, errors, seed=seed),
        confounders={
            name: correlation(values, errors, seed=seed) for name, values in others.items()
        },
        held=correlation(sizes, errors, [*others.values()], seed=seed),
        law=power_law(sizes, errors),
    )


def _equal_size(
    measured: Sequence[Architecture], distinct: Sequence[Architecture], errors: ModeratedErrors
) -> EqualSizeAnswer:
    size = 0
    maps: dict[int, Architecture] = {}
    # Explicit networks are made for this question; levels of factors are used only without them.
    for candidates in ([each for each in distinct if not each.factor], distinct):
        if len(maps) < 2:
            by_size: dict[int, dict[int, Architecture]] = {}
            for each in candidates:
                # A code of one pixel is a dense layer, which the question of area does not concern.
                if each.bottleneck and each.area and each.area > 1:
                    by_size.setdefault(each.bottleneck, {}).setdefault(each.area, each)
            # The comparison is made at the size with most shapes.
            size = max(by_size, key=lambda size: (len(by_size[size]), size), default=0)
            maps = by_size.get(size, {})
    areas = {maps[area].label: area for area in sorted(maps)}
    ranked = [each for each in measured if each.bottleneck == size] if len(maps) > 1 else []
    return EqualSizeAnswer(
        size=size,
        ranking=tuple(sorted(ranked, key=lambda each: each.mse.estimate)),
        maps=tuple(maps[area] for area in sorted(maps)),
        doubling=(
            errors.contrasts({"doubling": errors.slope(areas)})["doubling"]
            if len(maps) > 1
            else None
        ),
    )
