"""Exercise 2: from the rows of a study to typed answers about architectures.

    rows ──────► networks ────────► effects · code size · equal size · Pareto front ──► template
    one per run  means over seeds   relations between architecture and test error       study.md.j2

A study varies a base network: each factor, such as the kernel size, has levels, and each level is a
network that differs from the base in this factor. A study can also list networks without a factor.
Errors are mean squared errors of the test images, whose pixels are in [0, 1]. A run has failed if
its error is not a positive, finite number; failed runs are counted and otherwise left out.
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
"""Properties that a level may change besides its factor: the name of each and its attribute."""

NEAR = 0.05
"""Relative difference up to which an error is called near that of the base."""

CODE = "code"
"""Name of the factor whose levels differ from the base only in the size of the code."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One network of a study, with the results of its runs over seeds.

    Attributes:
        label: Name of the network in the study.
        factor: Name of the factor that was varied; empty for the base and for networks without a
            factor.
        level: Level of the factor; empty without a factor.
        network: Text of the network.
        code_size: Number of values in the code; ``None`` without a code.
        code_shape: Shape of the code (C, H, W); ``None`` without a code.
        narrowest: Number of values in the smallest representation that everything passes through.
        skip_around_code: Whether a skip connection runs around the code. Such a code is no
            bottleneck.
        decoder: Kinds of the layers after the code; empty without a code or a description.
        expands: True if the code has more values than an image.
        weights: Number of weights and biases.
        multiply_accumulates: Number of multiply-accumulates for one image.
        seconds_per_epoch: Training time per epoch in seconds, median over seeds.
        errors: Test error by seed, without failed runs.
        mse: Mean test error with its interval over seeds, which uses the spread of all networks
            of the study.
        validation_mse: Mean validation error over seeds; the best network is chosen by it.
        failed: Number of failed runs: those whose test error is not a positive, finite number.
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
        """Height times width of the code; ``None`` without a code."""
        return self.code_shape[1] * self.code_shape[2] if self.code_shape else None

    @property
    def bottleneck(self) -> int | None:
        """Number of values in the code; ``None`` without a code or if it is no bottleneck."""
        return None if self.skip_around_code else self.code_size

    @property
    def shape(self) -> str:
        """Shape of the code as text, height × width × channels; empty without a code."""
        return "{1}×{2}×{0}".format(*self.code_shape) if self.code_shape else ""

    @property
    def varied(self) -> str:
        """Name of the factor, with spaces for underscores; empty without a factor."""
        return self.factor.replace("_", " ")


# Figures need the whole networks; `results.json` has labels in their place, so that it describes
# each network only once.
Named = Annotated[Architecture, PlainSerializer(lambda each: each.label, return_type=str)]


@dataclass(frozen=True, kw_only=True)
class LevelEffect:
    """The effect of one level of a factor, compared with the base.

    Attributes:
        architecture: Network with that level.
        same_code: True if the network's code has as many values as the base's.
        also: Properties that differ from the base's although the factor does not name them:
            ``code shape``; ``narrowest``, the size of the narrowest representation; ``decoder``,
            the number or the kinds of the decoder's layers.
        contrast: Test error of the network as a multiple of the base's, with a verdict.
        cost_ratios: ``weights`` and ``code_size`` as multiples of the base's; ``None`` where the
            base has none and the network has some.
    """

    architecture: Named
    same_code: bool
    also: tuple[str, ...]
    contrast: Contrast
    cost_ratios: Mapping[str, float | None]

    @property
    def factor(self) -> str:
        """Name of the factor, with spaces for underscores."""
        return self.architecture.varied


# In `results.json`, a ranking has the labels of networks in place of whole effects.
Ranked = Annotated[
    LevelEffect, PlainSerializer(lambda each: each.architecture.label, return_type=str)
]


@dataclass(frozen=True, kw_only=True)
class Step:
    """The change of the error between two networks that are neighbors by size of code or area.

    Attributes:
        first: Network with the smaller size.
        second: Network with the larger size.
        doubling: Factor by which the error changes for each doubling of the size between the two.
    """

    first: Named
    second: Named
    doubling: Contrast


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """The effect of two changes together, compared with the product of their single effects.

    Attributes:
        architecture: Network with both changes.
        alone: The two networks with one of the changes each.
        contrast: Test error of the network with both changes as a multiple of the expected error,
            with a verdict; the multiple is 1 if the changes do not interact. The expected error is
            the base's, multiplied by the effects of both single changes.
    """

    architecture: Named
    alone: tuple[Named, Named]
    contrast: Contrast


@dataclass(frozen=True, kw_only=True)
class FamilyAnswer:
    """The relation between code size and error among networks that differ only in their code.

    Attributes:
        architectures: The base and the levels of the factor ``code``, by rising code size.
        doubling: Factor by which the error changes for each doubling of the code size, on average.
        steps: Factor for each doubling between every two neighboring code sizes.
        capped: Network with the smallest code beyond which the narrowest representation does not
            grow, because another layer is narrower than the code; ``None`` if it grows up to the
            largest code.
        flattens: Whether each step that begins at ``capped`` or later changes the error less than
            each step before.
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
        architectures: Networks whose code is a bottleneck; a network with several labels counts
            once.
        skipped: Labels of networks left out because a skip connection runs around their code.
        codeless: Labels of networks left out because they have no code.
        spearman: Rank correlation of code size and error.
        confounders: Rank correlations of the error with two properties that often grow with the
            code: its ``area``, height times width, and the network's number of ``weights``.
        held: Partial rank correlation of code size and error, controlled for area and weights.
    """

    architectures: tuple[Named, ...]
    skipped: tuple[str, ...]
    codeless: tuple[str, ...]
    spearman: Interval
    confounders: Mapping[str, Interval]
    held: Interval


@dataclass(frozen=True, kw_only=True)
class EqualSizeAnswer:
    """The relation between the shape of the code and the error, at one size of the code.

    Attributes:
        size: Number of values in the code.
        ranking: Networks whose code has this size, by rising error; empty if ``maps`` has fewer
            than two networks.
        maps: Networks whose areas are compared, by rising area: the first network of each area
            larger than one pixel, because a code of one pixel is a dense layer. They are networks
            without a factor if those have two areas or more; otherwise any networks.
        doubling: Factor by which the error changes for each doubling of the area with half the
            channels, on average; ``None`` with fewer than two areas.
        steps: Factor for each doubling between every two neighboring areas.
    """

    size: int
    ranking: tuple[Named, ...]
    maps: tuple[Named, ...]
    doubling: Contrast | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The answers of one study about architectures.

    Attributes:
        architectures: All networks in the order of the rows.
        base: Network that the others are compared with; ``None`` if all of its runs failed or are
            missing.
        best: Network with the smallest validation error; ``None`` if no run has one.
        effects: Effect of every level of every factor.
        ranking: The largest certain effect of each factor among networks with the base's code
            size; an effect of the factor alone goes before those that change more. Effects of one
            factor alone come first, the largest of them at the beginning.
        interactions: Interaction of every two levels of crossed factors.
        family: Relation between code size and error among networks that differ only in their code;
            ``None`` with fewer than three sizes.
        code_size: Relation between code size and error across all architectures.
        equal_size: Relation between the shape of the code and the error, at one size of the code.
        front: Networks for which no other network has both a smaller error and fewer weights (the
            Pareto front), by rising number of weights.
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
        """Networks with at least one run that has not failed."""
        return [each for each in self.architectures if each.errors]

    @property
    def open(self) -> list[LevelEffect]:
        """Effects without a certain direction at the base's code size, for the ranking.

        They are effects of factors that have none in ``ranking``, and effects that change nothing
        but their factor, if the effect of that factor in ``ranking`` changes more.
        """
        ranked = {effect.factor: effect for effect in self.ranking}
        return [
            each
            for each in self.effects
            if each.same_code
            and each.contrast.verdict in (Verdict.EQUIVALENT, Verdict.UNDECIDED)
            and (each.factor not in ranked or (ranked[each.factor].also and not each.also))
        ]

    @property
    def smallest_alike(self) -> Architecture | None:
        """The network with the fewest weights whose error is near the base's.

        Its mean error is at most ``NEAR`` above the base's, and it has fewer weights than the base;
        ``None`` if there is no such network.
        """
        if self.base is None:
            return None
        limit, weights = (1 + NEAR) * self.base.mse.estimate, self.base.weights
        alike = [each for each in self.measured if each.mse.estimate <= limit]
        smallest = min(alike, key=lambda each: each.weights, default=None)
        return smallest if smallest is not None and smallest.weights < weights else None


def analyze(
    rows: Iterable[StudyRow],
    *,
    descriptions: Mapping[str, Description] | None = None,
    base: str = BASE,
    seed: int = 0,
) -> Analysis:
    """Answer the questions about architectures from the rows of a study.

    Args:
        rows: One row for each finished run.
        descriptions: Descriptions of the networks by label; without them decoders are not compared.
        base: Label of the network that the others are compared with.
        seed: Seed of the bootstrap, which gives the correlations their intervals.
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
    # A network that is a level of several factors has several labels, but counts once.
    distinct = list({each.network: each for each in reversed(measured)}.values())[::-1]
    reference = next((each for each in measured if each.label == base), None)
    on_front = pareto_front(error_points(measured, "weights"))
    effects = _effects(measured, reference, errors) if reference else ()
    return Analysis(
        architectures=architectures,
        base=reference,
        # Validation images choose the network, so that its test error stays unbiased.
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
    """Combine the rows of each label into one network, in the order in which labels first appear.

    Args:
        rows: One row for each finished run.
        descriptions: Descriptions of the networks by label; some or all may be missing.
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
    """Return the points of networks in a plot of test MSE against a property.

    Args:
        architectures: Networks to plot.
        attribute: Name of the property, an attribute of ``Architecture``.

    Returns:
        Value of the property and mean test MSE of each network, ``float64 (N, 2)``.
    """
    points = [(getattr(each, attribute), each.mse.estimate) for each in architectures]
    return np.array(points, np.float64).reshape(-1, 2)


def _effects(
    measured: Sequence[Architecture], base: Architecture, errors: ModeratedErrors
) -> tuple[LevelEffect, ...]:
    levels = [each for each in measured if each.factor and CROSS not in each.factor]
    # Networks without a factor are left out, because each comparison widens all intervals.
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
    def rank(effect: LevelEffect) -> tuple[bool, float]:
        # A change of the factor alone says more about it than a larger effect of several changes.
        return not effect.also, abs(math.log(effect.contrast.ratio.estimate))

    decided = [
        each
        for each in effects
        if each.same_code and each.contrast.verdict in (Verdict.LOWER, Verdict.HIGHER)
    ]
    largest = {each.factor: each for each in sorted(decided, key=rank)}
    return tuple(sorted(largest.values(), key=rank, reverse=True))


def _interactions(
    measured: Sequence[Architecture], base: Architecture, errors: ModeratedErrors
) -> tuple[Interaction, ...]:
    single = [each for each in measured if each.factor and CROSS not in each.factor]
    # A combination has the names of both factors and levels; either factor may come first.
    pairs = {
        (CROSS.join((one.factor, other.factor)), CROSS.join((one.level, other.level))): (one, other)
        for one, other in itertools.permutations(single, 2)
    }
    crossed = {
        each.label: (each, pairs[each.factor, each.level])
        for each in measured
        if (each.factor, each.level) in pairs
    }
    # In logarithms, the expected error is the sum of both single changes' errors less the base's.
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
        # This includes two networks without a code, for which there is no number to divide.
        return 1.0
    return (value or 0) / base if base else None


def _family(
    measured: Sequence[Architecture], base: Architecture | None, errors: ModeratedErrors
) -> FamilyAnswer | None:
    levels = [each for each in measured if each.factor == CODE or each is base]
    sizes = {each.label: each.bottleneck for each in levels if each.bottleneck}
    # A line fits any two points exactly, so two sizes say nothing about the relation.
    if len({*sizes.values()}) < 3:
        return None
    doubling = errors.contrasts({"doubling": errors.slope(sizes)})["doubling"]
    ordered = sorted((each.code_size or 0, each.label, each) for each in levels if each.bottleneck)
    family = tuple(each for *_, each in ordered)
    steps = _steps({each.code_size or 0: each for each in reversed(family)}, errors)
    # `end` has the networks whose narrowest representation is as large as the largest code's. If
    # that is not the code itself, it is another layer's output, which does not grow with the code.
    end = [each for each in family if each.narrowest == family[-1].narrowest]
    capped = end[0] if family[-1].narrowest != family[-1].code_size and len(end) > 1 else None
    before, after = (
        [
            abs(math.log(each.doubling.ratio.estimate))
            for each in steps
            if (each.first in end) == in_end
        ]
        for in_end in (False, True)
    )
    return FamilyAnswer(
        architectures=family,
        doubling=doubling,
        steps=steps,
        capped=capped,
        flattens=capped is not None and max(after, default=math.inf) < min(before, default=0),
    )


def _steps(by_size: Mapping[int, Architecture], errors: ModeratedErrors) -> tuple[Step, ...]:
    """Compare each network with the next larger one; intervals of the steps are simultaneous."""
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
    # Area and weights often grow with the code, and may cause what looks like an effect of the
    # code's size.
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
    # In a study, networks without a factor are meant for this question. Levels of factors are used
    # only if those networks have fewer than two areas.
    for candidates in ([each for each in distinct if not each.factor], distinct):
        if len(maps) < 2:
            by_size: dict[int, dict[int, Architecture]] = {}
            for each in candidates:
                # A code of one pixel is a dense layer: it has no area to compare.
                if each.bottleneck and each.area and each.area > 1:
                    by_size.setdefault(each.bottleneck, {}).setdefault(each.area, each)
            # The comparison is made at the code size that has the most areas.
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
