"""Intervals over the seeds of a training: a mean, and the effect of a change."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        low: Lower bound; NaN where it is undetermined.
        estimate: The estimate itself; NaN where not even that can be had.
        high: Upper bound; NaN where it is undetermined.
        n: How many independent observations are behind it: seeds, images or architectures.
        confidence: The share of such intervals that hold the truth, as far as the method's
            assumptions go.
    """

    low: float
    estimate: float
    high: float
    n: int
    confidence: float = 0.95

    @classmethod
    def without_bounds(cls, estimate: float, n: int, confidence: float = 0.95) -> "Interval":
        """Return an estimate that too little stands behind to say how sure it is."""
        return cls(low=math.nan, estimate=estimate, high=math.nan, n=n, confidence=confidence)

    @property
    def undetermined(self) -> bool:
        """Whether it has no bounds."""
        return not (math.isfinite(self.low) and math.isfinite(self.high))

    def side(self, of: float) -> int:
        """Return 1 where the whole interval lies above ``of``, −1 where it lies below, 0 where that
        is not known.
        """
        return int(self.low > of) - int(self.high < of) if not self.undetermined else 0

    def exponential(self) -> "Interval":
        """Return the interval of the quantity whose logarithm this is; infinite bounds are none."""
        with np.errstate(over="ignore"):
            low, estimate, high = (
                float(value) for value in np.exp([self.low, self.estimate, self.high])
            )
        return Interval(low=low, estimate=estimate, high=high, n=self.n, confidence=self.confidence)


def mean_interval(values: Iterable[float], *, confidence: float = 0.95) -> Interval:
    """Return the mean with Student's t-interval; it has no bounds below two values, or where one is
    not finite.
    """
    sample = np.asarray(list(values), np.float64)
    count = len(sample)
    if not count or not np.isfinite(sample).all():
        return Interval.without_bounds(math.nan, count, confidence)
    mean = float(sample.mean())
    if count < 2:
        return Interval.without_bounds(mean, count, confidence)
    return _student(
        mean, float(sample.std(ddof=1)) / math.sqrt(count), count - 1, count, confidence
    )


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a change does to an error, over seeds.

    Attributes:
        difference: Mean error with the change minus mean error without; below 0 is an improvement.
        ratio: Geometric mean of the errors with the change, over that without; below 1 is an
            improvement.
        paired: Whether differences were taken seed by seed.
        seeds: Seeds with the change, and without, that went in. The intervals' ``n`` is the smaller
            of the two.
    """

    difference: Interval
    ratio: Interval
    paired: bool
    seeds: tuple[int, int]


def effect(
    level: Mapping[int, float], base: Mapping[int, float], *, confidence: float = 0.95
) -> Effect:
    """Return the effect of a level of a factor on the base's error, both given by seed.

    Seeds that both have are compared seed by seed: the same seed means the same order of batches,
    and what that order does to both cancels in the difference. Where it does nothing alike, pairing
    costs degrees of freedom and no bias. Where fewer than two seeds match, all seeds go into
    Welch's interval, which expects nothing of the variances.

    The ratio is found on the scale of logarithms: errors of networks differ by factors, and their
    spread with them. It is undetermined where an error is not positive.
    """
    common = sorted(level.keys() & base.keys())
    paired = len(common) > 1 or bool(common and min(len(level), len(base)) < 2)
    chosen, reference = (common, common) if paired else (sorted(level), sorted(base))
    errors = np.array([level[seed] for seed in chosen], np.float64)
    base_errors = np.array([base[seed] for seed in reference], np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms, base_logarithms = np.log(errors), np.log(base_errors)

    def compared(first: np.ndarray, second: np.ndarray) -> Interval:
        if paired:
            with np.errstate(invalid="ignore"):
                return mean_interval(first - second, confidence=confidence)
        return _welch(first, second, confidence)

    return Effect(
        difference=compared(errors, base_errors),
        ratio=compared(logarithms, base_logarithms).exponential(),
        paired=paired,
        seeds=(len(chosen), len(reference)),
    )


def _welch(first: np.ndarray, second: np.ndarray, confidence: float) -> Interval:
    count = min(len(first), len(second))
    if not count or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return Interval.without_bounds(math.nan, count, confidence)
    difference = float(first.mean() - second.mean())
    if count < 2:
        return Interval.without_bounds(difference, count, confidence)
    parts = [float(sample.var(ddof=1)) / len(sample) for sample in (first, second)]
    spread = sum(parts)
    freedom = len(first) + len(second) - 2.0
    if spread > 0:  # Satterthwaite 1946
        shares = (part / spread for part in parts)
        freedom = 1 / sum(
            share**2 / (len(sample) - 1)
            for share, sample in zip(shares, (first, second), strict=True)
        )
    return _student(difference, math.sqrt(spread), freedom, count, confidence)


def _student(
    estimate: float, error: float, freedom: float, count: int, confidence: float
) -> Interval:
    reach = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    return Interval(
        low=estimate - reach,
        estimate=estimate,
        high=estimate + reach,
        n=count,
        confidence=confidence,
    )
