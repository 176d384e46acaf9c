"""Whether two properties of architectures go together, with intervals over architectures.

The intervals of correlations are the bootstrap's percentile intervals, from architectures drawn
with replacement (Efron 1979); that of a power law's exponent is Student's, which the bootstrap's
falls short of in small samples. The architectures of a study are chosen, not drawn at random, so
the intervals say how much the answer hangs on single ones of them, and nothing about architectures
of another kind.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from caelab.metrics.statistics.intervals import Interval

FEWEST_ARCHITECTURES = 6
"""Below it the percentile interval excludes 0 far more often than it should when nothing is
there."""

_LARGEST_UNDEFINED_SHARE = 0.1
"""Of resamples in which the statistic has no value, such as a correlation where all sizes drawn are
the same."""


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """``y = scale · x ** exponent``, the least-squares line through the logarithms."""

    exponent: Interval
    scale: float

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Return y at ``x``, of any shape."""
        return self.scale * np.asarray(x, np.float64) ** self.exponent.estimate


def spearman(x: ArrayLike, y: ArrayLike, *, seed: int = 0, resamples: int = 2000) -> Interval:
    """Return Spearman's rank correlation of ``x`` and ``y``, ``(N,)``; ties get their mean rank.

    It is NaN where one of them is constant, and has no bounds below ``FEWEST_ARCHITECTURES``.
    """
    return _bootstrap(
        lambda table: _correlation(stats.rankdata(table, axis=1)), _table(x, y), seed, resamples
    )


def pearson_log(x: ArrayLike, y: ArrayLike, *, seed: int = 0, resamples: int = 2000) -> Interval:
    """Return Pearson's correlation of the logarithms of ``x`` and ``y``, ``(N,)``.

    It is NaN where one of them is constant, and has no bounds below ``FEWEST_ARCHITECTURES``.

    Raises:
        ValueError: A value is not positive and finite.
    """
    return _bootstrap(_correlation, _logarithms(x, y), seed, resamples)


def partial_correlation(
    x: ArrayLike,
    y: ArrayLike,
    given: Sequence[ArrayLike],
    *,
    ranks: bool,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """Return the correlation of what is left of ``x`` and ``y`` when ``given`` has explained,
    linearly, what it can.

    Args:
        x: ``(N,)``.
        y: ``(N,)``.
        given: The covariates, each ``(N,)``.
        ranks: Correlate ranks (Spearman); otherwise logarithms (Pearson).
        seed: Seeds the resamples.
        resamples: How many.

    Returns:
        The interval. It is NaN where the covariates explain one of the two completely, and has no
        bounds below ``FEWEST_ARCHITECTURES`` plus one for each covariate.

    Raises:
        ValueError: Without ``ranks``: a value is not positive and finite.
    """
    if ranks:
        return _bootstrap(
            lambda table: _partial(stats.rankdata(table, axis=1)),
            _table(x, y, *given),
            seed,
            resamples,
        )
    return _bootstrap(_partial, _logarithms(x, y, *given), seed, resamples)


def power_law(x: ArrayLike, y: ArrayLike) -> PowerLaw:
    """Fit a power law to ``x`` and ``y``, ``(N,)``.

    The exponent is NaN where ``x`` is constant, and has no bounds below ``FEWEST_ARCHITECTURES``.

    Raises:
        ValueError: A value is not positive and finite.
    """
    logarithms = _logarithms(x, y)
    count = len(logarithms)
    if count < 2 or not _centred(logarithms[None])[0, :, 0].any():
        return PowerLaw(exponent=Interval.without_bounds(math.nan, count), scale=math.nan)
    line = stats.linregress(logarithms[:, 0], logarithms[:, 1])
    exponent = Interval.without_bounds(float(line.slope), count)
    if count >= FEWEST_ARCHITECTURES:
        reach = float(stats.t.ppf((1 + exponent.confidence) / 2, count - 2) * line.stderr)
        exponent = replace(exponent, low=exponent.estimate - reach, high=exponent.estimate + reach)
    return PowerLaw(exponent=exponent, scale=math.exp(line.intercept))


def _table(*columns: ArrayLike) -> np.ndarray:
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def _logarithms(*columns: ArrayLike) -> np.ndarray:
    table = _table(*columns)
    if not ((table > 0) & (table < np.inf)).all():
        raise ValueError("only positive, finite numbers have logarithms to correlate")
    logarithms: np.ndarray = np.log(table)
    return logarithms


def _bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], table: np.ndarray, seed: int, resamples: int
) -> Interval:
    """Return ``statistic``, which maps tables ``(B, N, columns)`` to values ``(B,)``, with its
    percentile interval.
    """
    count, columns = table.shape
    estimate = float(statistic(table[None])[0]) if count > 1 else math.nan
    undetermined = Interval.without_bounds(estimate, count)
    if count < FEWEST_ARCHITECTURES + columns - 2 or not math.isfinite(estimate):
        return undetermined
    rows = np.random.default_rng(seed).integers(0, count, (resamples, count))
    values = statistic(table[rows])
    values = values[np.isfinite(values)]
    if len(values) < (1 - _LARGEST_UNDEFINED_SHARE) * resamples:
        return undetermined
    tails = [(1 - undetermined.confidence) / 2, (1 + undetermined.confidence) / 2]
    low, high = (float(bound) for bound in np.quantile(values, tails))
    return Interval(low=low, estimate=estimate, high=high, n=count)


def _centred(table: np.ndarray) -> np.ndarray:
    """Subtract each column's mean, ``(B, N, columns)``; what is constant up to rounding becomes
    0.
    """
    centred = table - table.mean(axis=1, keepdims=True)
    return np.where(
        np.ptp(table, axis=1, keepdims=True) > 1e-12 * np.abs(table).max(axis=1, keepdims=True),
        centred,
        0,
    )


def _cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the cosine of the angle between vectors ``(B, N)``: ``(B,)``, NaN where one is 0."""
    with np.errstate(invalid="ignore"):
        cosine = (x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return np.asarray(np.clip(cosine, -1, 1))


def _correlation(table: np.ndarray) -> np.ndarray:
    centred = _centred(table)
    return _cosine(centred[..., 0], centred[..., 1])


def _partial(table: np.ndarray) -> np.ndarray:
    """Correlate the residuals of the first two columns on the others."""
    centred = _centred(table)
    pair, given = centred[..., :2], centred[..., 2:]
    residuals = pair - given @ (np.linalg.pinv(given, rcond=1e-9) @ pair)
    explained = np.linalg.norm(residuals, axis=1, keepdims=True) <= 1e-9 * np.linalg.norm(
        pair, axis=1, keepdims=True
    )
    residuals = np.where(explained, 0, residuals)
    return _cosine(residuals[..., 0], residuals[..., 1])
