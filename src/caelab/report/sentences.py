"""The answers of a study in words, every sentence written from its numbers.

A direction is only named where the interval excludes "no change"; everything else is called
undetermined. Changes are in per cent of the test MSE.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from caelab.metrics.statistics import MIN_ARCHITECTURES, Effect, Interval
from caelab.report.architectures import (
    COSTS,
    Analysis,
    Architecture,
    CodeSizeAnswer,
    EqualSizeAnswer,
    Front,
    LevelEffect,
)

CLAIM = (
    "That a code's area matters more than its channels (Walking the Tightrope, arXiv 1911.07460)"
)
"""What the shapes of equal size are compared for."""


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """What a study says, by question."""

    best: tuple[str, ...]
    effects: tuple[str, ...]
    code_size: tuple[str, ...]
    equal_size: tuple[str, ...]
    fronts: tuple[str, ...]


def write_sentences(analysis: Analysis) -> Sentences:
    """Return what the analysis says."""
    return Sentences(
        best=tuple(_best(analysis)),
        effects=tuple(_effects(analysis)),
        code_size=tuple(_code_size(analysis.code_size)),
        equal_size=tuple(_equal_size(analysis.equal_size)),
        fronts=tuple(_front(front, analysis) for front in analysis.fronts if front.architectures),
    )


# What is best


def _best(analysis: Analysis) -> Iterable[str]:
    failed = [each for each in analysis.architectures if each.failed]
    best = analysis.best
    if best is None:
        yield "No run of this study has ended with a finite error: nothing can be said yet."
    else:
        count = sum(bool(each.errors) for each in analysis.architectures)
        chosen = (
            "The only network measured is"
            if count == 1
            else f"Of {count} networks, the best by validation is"
        )
        yield f"{chosen} {best.label}: test MSE {mean_in_words(best.mse)}."
    if failed:
        runs = [f"{each.label} ({_count(each.failed, 'run')})" for each in failed]
        yield f"Left out, as the test error was not a positive, finite number: {_listed(runs)}."


# What each factor does


def _effects(analysis: Analysis) -> Iterable[str]:
    if analysis.base is None:
        yield (
            "The base has no run with a finite error, so there is nothing to measure effects from."
        )
        return
    if not analysis.effects:
        yield "No level of a factor has been measured yet."
        return
    determined = [each for each in analysis.effects if not each.effect.ratio.undetermined]
    for each in determined:
        yield _level(each, analysis.base)
    if len(determined) > 1:
        yield (
            f"Of twenty such intervals about one misses the truth; there are {len(determined)}"
            " here."
        )
    if single := [each for each in analysis.effects if each.effect.ratio.undetermined]:
        single.sort(key=lambda each: each.effect.ratio.estimate)
        changes = [
            f"{_name(each)} {change_in_words(each.effect.ratio.estimate)}" for each in single
        ]
        yield (
            f"Undetermined, as one seed has no interval: {_count(len(single), 'level')}. The test"
            f" MSE changes by, from the largest fall to the largest rise: {'; '.join(changes)}."
        )


def _name(level: LevelEffect) -> str:
    return f"{level.architecture.factor.replace('_', ' ')} {level.architecture.level}"


def _level(level: LevelEffect, base: Architecture) -> str:
    return f"{_change(_name(level), level.effect.ratio, _seeds(level.effect))}{_costs(level.architecture, base)}."


def _change(what: str, ratio: Interval, evidence: str) -> str:
    """Say what ``what`` does to the test MSE, of which ``ratio`` is left."""
    side = ratio.side(1.0)
    if ratio.undetermined:
        return (
            f"{what}: undetermined ({evidence}, no interval); the test MSE changes by"
            f" {change_in_words(ratio.estimate)}"
        )
    if ratio.low == ratio.high == 1:
        return f"{what} leaves the test MSE exactly as it is ({evidence})"
    if side == 0:
        interval = (
            f"95% interval {change_in_words(ratio.low)} to {change_in_words(ratio.high)};"
            f" {evidence}"
        )
        return (
            f"{what}: undetermined; the test MSE changes by {change_in_words(ratio.estimate)}"
            f" ({interval})"
        )
    verb = "raises" if side > 0 else "lowers"
    near, far = (ratio.low, ratio.high) if side > 0 else (ratio.high, ratio.low)
    interval = f"95% interval {_size(near)} to {_size(far)}; {evidence}"
    return f"{what} {verb} the test MSE by {_size(ratio.estimate)} ({interval})"


def _costs(changed: Architecture, base: Architecture) -> str:
    """Say what else changed, since what a level does may be what its size does."""
    pairs = [
        ("weights", changed.weights, base.weights),
        ("multiply-accumulates", changed.multiply_accumulates, base.multiply_accumulates),
        ("numbers in the code", changed.code_size or 0, base.code_size or 0),
    ]
    if all(new == old for _, new, old in pairs):
        return ", at equal cost and code size"
    times = [
        f"{significant(new / old, 2)} times the {name}"
        for name, new, old in pairs
        if old and new != old
    ]
    return f", with {_listed(times)}" if times else ""  # of nothing there are no multiples


# Code size


def _code_size(answer: CodeSizeAnswer) -> Iterable[str]:
    count = len(answer.architectures)
    question = "Whether the error goes with the code size is undetermined"
    networks = _count(count, "network")
    if math.isnan(answer.spearman.estimate):
        if count < 2:
            have = {0: "no network has", 1: "only one network has"}[count]
            yield f"{question}: {have} a code that is a bottleneck."
        else:
            yield (
                f"{question}: code size and error do not both vary among the {networks} with a"
                " code."
            )
    else:
        side = answer.spearman.side(0.0)
        ranks = _correlation("Spearman's ρ", answer.spearman)
        if side:
            yield (
                f"The larger the code, the {'larger' if side > 0 else 'smaller'} the error:"
                f" {ranks}."
            )
        elif count < MIN_ARCHITECTURES:
            yield f"{question}: {networks} are too few for an interval; {ranks}."
        else:
            yield f"{question}: {ranks}."
        logarithms = _correlation("Pearson's r", answer.pearson)
        yield f"Of the logarithms of both, {logarithms}{_doubt(answer.pearson)}."
        yield from _law(answer)
        if not math.isnan(answer.narrowest.estimate):
            correlation = _correlation("ρ", answer.narrowest)
            yield (
                "With the narrowest representation in place of the code,"
                f" {correlation}{_doubt(answer.narrowest)}."
            )
        yield from _partial(answer)
    if answer.skipped:
        have = "it has" if len(answer.skipped) == 1 else "they have"
        yield (
            f"Left out: {_count(len(answer.skipped), 'network')} ({_listed(answer.skipped)}), as"
            f" {have} a bracket around the code, which then is no bottleneck."
        )
    if answer.codeless:
        yield (
            f"Left out: {_count(len(answer.codeless), 'network')} without a code"
            f" ({_listed(answer.codeless)})."
        )


def _law(answer: CodeSizeAnswer) -> Iterable[str]:
    exponent = answer.law.exponent
    if exponent.side(0.0):
        low, estimate, high = (
            2.0**value for value in (exponent.low, exponent.estimate, exponent.high)
        )
        doubling = Interval(low=low, estimate=estimate, high=high, n=exponent.n)
        evidence = f"n = {_count(exponent.n, 'network')}"
        yield f"{_change('As a power law, each doubling of the code', doubling, evidence)}."


def _partial(answer: CodeSizeAnswer) -> Iterable[str]:
    if math.isnan(answer.partial_spearman.estimate):
        yield (
            "Given weights and multiply-accumulates, nothing of code size or error is left to"
            " compare: undetermined."
        )
        return
    ranks = _correlation("ρ", answer.partial_spearman)
    logarithms = _correlation("r", answer.partial_pearson)
    yield (
        "Given weights and multiply-accumulates, what is left of code size and error has"
        f" {ranks}{_doubt(answer.partial_spearman)}, and of their logarithms"
        f" {logarithms}{_doubt(answer.partial_pearson)}."
    )


def _correlation(name: str, interval: Interval) -> str:
    if math.isnan(interval.estimate):
        return f"{name} has no value"
    evidence = f"n = {_count(interval.n, 'network')}"
    if not interval.undetermined:
        evidence = (
            f"95% interval {significant(interval.low, 2)} to {significant(interval.high, 2)};"
            f" {evidence}"
        )
    return f"{name} = {significant(interval.estimate, 2)} ({evidence})"


def _doubt(interval: Interval) -> str:
    return "" if interval.side(0.0) else ", undetermined"


# Area or channels


def _equal_size(answer: EqualSizeAnswer) -> Iterable[str]:
    code = f"a code of {answer.size:,} numbers"
    if not answer.ranking:
        yield f"No network has {code}."
        return
    if len(answer.ranking) > 1:
        ranked = [f"{_shaped(each)}, {significant(each.mse.estimate)}" for each in answer.ranking]
        yield (
            f"With {code}, by mean test MSE, best first ({_seed_counts(answer.ranking)}):"
            f" {'; '.join(ranked)}."
        )
    if len(answer.maps) < 2:
        yield f"{CLAIM} is undetermined: it takes {code} in two areas above 1×1."
        return

    ratio = answer.per_doubling
    side = ratio.side(1.0)
    against = [step for step in answer.steps if step.effect.ratio.side(1.0) >= 0]
    if side < 0:
        verdict = (
            "holds here" if not against else "holds here on the whole, though not at every step"
        )
    else:
        verdict = "does not hold here" if side > 0 else "is undetermined here"
    evidence = f"n = {_count(ratio.n, 'seed')}, {len(answer.maps)} networks"
    if math.isnan(ratio.estimate):
        yield f"{CLAIM} {verdict}: the {len(answer.maps)} networks have no seed in common."
    else:
        doubling = _change("each doubling of the area at half the channels", ratio, evidence)
        yield f"{CLAIM} {verdict}: {doubling}."
    for step in against if side < 0 else answer.steps:
        going = f"Going from {step.smaller.label} to {step.larger.label}"
        yield f"{_change(going, step.effect.ratio, _seeds(step.effect))}."
    yield (
        "These networks differ in depth, weights and multiply-accumulates too; the intervals are"
        " over their seeds."
    )


def _shaped(architecture: Architecture) -> str:
    assert architecture.code_shape
    channels, height, width = architecture.code_shape
    shape = f"{height}×{width}×{channels}"
    return architecture.label if architecture.label == shape else f"{architecture.label} ({shape})"


# Error against cost


def _front(front: Front, analysis: Analysis) -> str:
    name = COSTS[front.cost]
    count = sum(bool(each.errors) for each in analysis.architectures)

    def described(each: Architecture) -> str:
        cost = getattr(each, front.cost)
        amount = f"{cost:,}" if isinstance(cost, int) else f"{significant(cost)} s"
        return f"{each.label} ({amount}; test MSE {significant(each.mse.estimate)})"

    listed = "; ".join(described(each) for each in front.architectures)
    seeds = _seed_counts([each for each in analysis.architectures if each.errors])
    which = "this one is" if len(front.architectures) == 1 else "these are"
    return (
        f"Of {_count(count, 'network')}, {which} beaten by no other in both {name} and mean error"
        f" ({seeds}): {listed}."
    )


# Numbers


def significant(value: float, digits: int = 3) -> str:
    """Return ``value`` with so many significant digits and no exponent; a nonzero number never
    prints as zero.
    """
    return "0" if value == 0 else f"{Decimal(f'{value:.{digits - 1}e}'):f}".replace("-", "−")


def mean_in_words(interval: Interval) -> str:
    """Return a mean over seeds with its interval and n."""
    n = f"n = {_count(interval.n, 'seed')}"
    if interval.undetermined:
        return f"{significant(interval.estimate)} ({n}, too few for an interval)"
    low, high = significant(interval.low), significant(interval.high)
    return f"{significant(interval.estimate)} (95% interval {low} to {high}; {n})"


def change_in_words(ratio: float) -> str:
    """Return how much more or less than 1 a ratio is, in per cent with its sign."""
    sign = "+" if ratio > 1 else "−" if ratio < 1 else ""
    return f"{sign}{_size(ratio)}"


def _size(ratio: float) -> str:
    """Return how far a ratio is from 1, in per cent."""
    per_cent = abs(ratio - 1) * 100
    return f"{significant(per_cent, 4 if ratio < 0.01 else 2)}%"


def _seeds(effect: Effect) -> str:
    if effect.paired:
        return f"n = {_count(effect.seeds[0], 'seed')}"
    return f"n = {effect.seeds[0]} and {effect.seeds[1]} seeds, not paired"


def _seed_counts(architectures: Sequence[Architecture]) -> str:
    counts = sorted({each.mse.n for each in architectures})
    if len(counts) == 1:
        return f"n = {_count(counts[0], 'seed')} each"
    return f"n = {counts[0]} to {counts[-1]} seeds each"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
