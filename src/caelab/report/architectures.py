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

from caelab.experiments.study import BASE, CROSS
from caelab.experiments.study_results import StudyRow
from caelab.metrics.moderated import Contrast, ModeratedErrors, Verdict, moderate
from caelab.metrics.statistics import (
    Interval,
    correlation,
    mean_interval,
    pareto_front,
)
from caelab.networks.description import Description
from caelab.networks.layers.base import size_of

_ALSO = {"code shape": "code_shape", "narrowest": "narrowest", "decoder": "decoder"}
"""What can differ from the base besides what a factor says: name and attribute."""

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
        decoder: Kinds of the layers after the code; empty without a code or a description.
        expands: True if the code has more numbers than an image.
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
    decoder: tuple[str, ...]
    expands: bool
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
        also: What else differs from the base, besides what the factor says: ``code shape``;
            ``narrowest``, the size of the narrowest representation; ``decoder``, the number or the
            kinds of its layers.
        contrast: Its test error as a multiple of the base's, and the verdict.
        cost_ratios: ``weights`` and ``code_size`` as multiples of the base's; ``None`` where the
            base has none.
    """

    architecture: Named
    same_code: bool
    also: tuple[str, ...]
    contrast: Contrast
    cost_ratios: Mapping[str, float | None]

    @property
    def factor(self) -> str:
        """Name of the factor as text."""
        return self.architecture.varied


# An effect is described once, too.
Ranked = Annotated[
    LevelEffect, PlainSerializer(lambda each: each.architecture.label, return_type=str)
]


@dataclass(frozen=True, kw_only=True)
class Step:
    """The change of the error from one network to the next larger one.

    Attributes:
        first: The smaller one.
        second: The larger one.
        doubling: Factor on the error for each doubling of the size between the two.
    """

    first: Named
    second: Named
    doubling: Contrast


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """How much two changes do together beyond what each of them does alone.

    Attributes:
        architecture: Network with both changes.
        alone: Networks with one of them each.
        contrast: Test error of the network with both, as a multiple of the base's error times the
            factors of both single changes, and the verdict; 1 if the changes do not interact.
    """

    architecture: Named
    alone: tuple[Named, Named]
    contrast: Contrast


@dataclass(frozen=True, kw_only=True)
class FamilyAnswer:
    """The relation between code size and error where only the code changes.

    Attributes:
        architectures: The base and the levels of the factor ``CODE``, by rising code size.
        doubling: Factor on the error for each doubling of the code, on average.
        steps: Factors on the error for each doubling between neighboring sizes.
        capped: The smallest code from which on the narrowest representation keeps its size, as it
            is another one; ``None`` where it grows with the code to the end.
        flattens: Whether from there on each step changes the error less than any step before.
    """

    architectures: tuple[Named, ...]
    doubling: Contrast
    steps: tuple[Step, ...]
    capped: Named | None
    flattens: bool


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
    """

    architectures: tuple[Named, ...]
    skipped: tuple[str, ...]
    codeless: tuple[str, ...]
    spearman: Interval
    confounders: Mapping[str, Interval]
    held: Interval


@dataclass(frozen=True, kw_only=True)
class EqualSizeAnswer:
    """The comparison of area and channels at one code size.

    Attributes:
        size: Numbers in the code.
        ranking: Networks with such a code, best first; empty if there are fewer than two shapes.
        maps: Networks that are compared, by rising area: the first network of each area above 1,
            because a code of a single pixel is a dense one. Only explicit networks, if they have
            two areas or more; otherwise any.
        doubling: Factor on the error for each doubling of the area at half the channels, on
            average; ``None`` with fewer than two areas.
        steps: Factors on the error for each doubling between neighboring areas.
    """

    size: int
    ranking: tuple[Named, ...]
    maps: tuple[Named, ...]
    doubling: Contrast | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The answers of a study.

    Attributes:
        architectures: All networks in the order of the rows.
        base: Network that effects are measured from; ``None`` where it has no finished run.
        best: Best network by validation error; ``None`` without any run.
        effects: Effects of every level of every factor.
        ranking: The largest certain effect of each factor at the base's code size, by falling
            size.
        interactions: Interactions of every two levels of crossed factors.
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
    ranking: tuple[Ranked, ...]
    interactions: tuple[Interaction, ...]
    family: FamilyAnswer | None
    code_size: CodeSizeAnswer
    equal_size: EqualSizeAnswer
    front: tuple[Named, ...]

    @property
    def measured(self) -> list[Architecture]:
        """Networks with a finite error."""
        return [each for each in self.architectures if each.errors]


def analyze(
    rows: Iterable[StudyRow],
    *,
    descriptions: Mapping[str, Description] | None = None,
    base: str = BASE,
    seed: int = 0,
) -> Analysis:
    """Answer the questions about architectures from the rows of a study.

    Args:
        rows: Finished runs, of any seeds.
        descriptions: Descriptions of the networks by label; without them decoders are not compared.
        base: Label of the network that effects are measured from.
        seed: Seed of the bootstrap's resamples.
    """
    gathered = summarize(rows, descriptions)
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
    effects = _effects(measured, reference, errors) if reference else ()
    return Analysis(
        architectures=architectures,
        base=reference,
        # By validation, because the test images must not choose what they measure.
        best=min(
            (each for each in measured if math.isfinite(each.validation_mse)),
            key=lambda each: each.validation_mse,
            default=None,
        ),
        effects=effects,
        ranking=_ranking(effects),
        interactions=_interactions(measured, reference, errors) if reference else (),
        family=_family(measured, reference, errors),
        code_size=_code_size(distinct, seed),
        equal_size=_equal_size(measured, distinct, errors),
        front=tuple(sorted(itertools.compress(measured, on_front), key=lambda each: each.weights)),
    )


def summarize(
    rows: Iterable[StudyRow], descriptions: Mapping[str, Description] | None = None
) -> tuple[Architecture, ...]:
    """Gather the rows of each label, in order of first appearance.

    Args:
        rows: Rows of a study.
        descriptions: Descriptions of the networks by label, as far as they are known.
    """
    groups: dict[str, list[StudyRow]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(row)
    known = descriptions or {}
    return tuple(_architecture(each, known.get(label)) for label, each in groups.items())


def _architecture(rows: Sequence[StudyRow], description: Description | None) -> Architecture:
    code = description.code if description else None
    good = [row for row in rows if 0 < row.test_mse < math.inf]
    errors = {row.seed: row.test_mse for row in sorted(good, key=lambda row: row.seed)}
    computed: dict[str, Any] = {
        "decoder": tuple(row.kind for row in description.rows[code.row :])
        if description and code
        else (),
        "expands": bool(description and code and code.size > size_of(description.input)),
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
    levels = [each for each in measured if each.factor and CROSS not in each.factor]
    # Explicit networks are no levels: each additional comparison would widen all intervals.
    contrasts = errors.against(base.label, labels=[each.label for each in levels])
    return tuple(
        LevelEffect(
            architecture=each,
            same_code=each.code_size == base.code_size,
            also=tuple(
                name
                for name, attribute in _ALSO.items()
                if getattr(each, attribute) != getattr(base, attribute)
            ),
            contrast=contrasts[each.label],
            cost_ratios={
                name: _ratio(getattr(each, name), getattr(base, name))
                for name in ("weights", "code_size")
            },
        )
        for each in levels
    )


def _ranking(effects: Iterable[LevelEffect]) -> tuple[LevelEffect, ...]:
    def size(effect: LevelEffect) -> float:
        return abs(math.log(effect.contrast.ratio.estimate))

    decided = [
        each
        for each in effects
        if each.same_code and each.contrast.verdict in (Verdict.LOWER, Verdict.HIGHER)
    ]
    largest = {each.factor: each for each in sorted(decided, key=size)}
    return tuple(sorted(largest.values(), key=size, reverse=True))


def _interactions(
    measured: Sequence[Architecture], base: Architecture, errors: ModeratedErrors
) -> tuple[Interaction, ...]:
    single = [each for each in measured if each.factor and CROSS not in each.factor]
    # A combination has the names of both factors and levels, in an order that is not known here.
    pairs = {
        (CROSS.join((one.factor, other.factor)), CROSS.join((one.level, other.level))): (one, other)
        for one, other in itertools.permutations(single, 2)
    }
    crossed = {
        each.label: (each, pairs[each.factor, each.level])
        for each in measured
        if (each.factor, each.level) in pairs
    }
    contrasts = errors.contrasts(
        {
            label: {label: 1.0, one.label: -1.0, other.label: -1.0, base.label: 1.0}
            for label, (_, (one, other)) in crossed.items()
        }
    )
    return tuple(
        Interaction(architecture=each, alone=alone, contrast=contrasts[label])
        for label, (each, alone) in crossed.items()
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
    ordered = sorted((each.code_size or 0, each.label, each) for each in levels if each.bottleneck)
    family = tuple(each for *_, each in ordered)
    steps = _steps({each.code_size or 0: each for each in reversed(family)}, errors)
    # Equal at the end and not to the code's size: it is a representation before or after the code.
    end = [each for each in family if each.narrowest == family[-1].narrowest]
    capped = end[0] if family[-1].narrowest != family[-1].code_size and len(end) > 1 else None
    before, after = (
        [abs(math.log(each.doubling.ratio.estimate)) for each in steps if (each.first in end) == at]
        for at in (False, True)
    )
    return FamilyAnswer(
        architectures=family,
        doubling=doubling,
        steps=steps,
        capped=capped,
        flattens=capped is not None and max(after, default=math.inf) < min(before, default=0),
    )


def _steps(by_size: Mapping[int, Architecture], errors: ModeratedErrors) -> tuple[Step, ...]:
    """Compare each network with the next larger one; the intervals of all steps hold together."""
    pairs = [*itertools.pairwise(sorted(by_size))]
    slopes = {
        by_size[second].label: errors.slope({by_size[each].label: each for each in (first, second)})
        for first, second in pairs
    }
    contrasts = errors.contrasts(slopes)
    return tuple(
        Step(
            first=by_size[first],
            second=by_size[second],
            doubling=contrasts[by_size[second].label],
        )
        for first, second in pairs
    )


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
        steps=_steps(maps, errors) if len(maps) > 1 else (),
    )
