"""Statistics that say how certain a number is. They need numpy and scipy, not torch.

Three sources of variation are kept apart: the *seed* of a training (``mean_interval``,
``effect``), the *images* that an error is averaged over (``compare_pairs``) and the
*architectures* of a study (the correlations and the power law). Where there are too few
observations, an interval has no bounds; no function fails for that reason.
"""

import itertools
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

CONFIDENCE = 0.95
"""Share of the intervals that contain the truth, under the method's assumptions."""

MIN_ARCHITECTURES = 6
"""Fewest architectures that a correlation is given an interval for.

With fewer, the percentile interval excludes 0 far more often than it should when nothing is there.
"""

MIN_IMAGES = 6
"""Fewest images that a comparison of models is given an interval for.

With fewer, the two-sided sign-flip test cannot reach 5%: its smallest p-value is 2 / 2⁵.
"""

_MAX_UNDEFINED_SHARE = 0.1
"""Largest share of resamples without a value, such as the correlation of a constant, that a
bootstrap interval tolerates."""

_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
"""Quantiles between which a ``CONFIDENCE`` interval lies."""

_NUMBERS_PER_BATCH = 4_000_000
"""Random numbers drawn together by ``compare_pairs``; bounds its memory at about 100 MB."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: The estimate itself; NaN where the data allow none.
        n: Number of independent observations: seeds, images or architectures.
        low: Lower bound of the ``CONFIDENCE`` interval; NaN with too few observations.
        high: Upper bound; NaN with too few observations.
    """

    estimate: float
    n: int
    low: float = math.nan
    high: float = math.nan

    @property
    def undetermined(self) -> bool:
        """True if the interval has no bounds."""
        return not (math.isfinite(self.low) and math.isfinite(self.high))

    def side(self, reference: float) -> int:
        """Return 1 if the whole interval lies above ``reference``, −1 if below, 0 if undecided.

        >>> Interval(low=1.0, estimate=2.0, high=3.0, n=4).side(0.5)
        1
        """
        return 0 if self.undetermined else int(self.low > reference) - int(self.high < reference)

    def exponential(self) -> "Interval":
        """Return the interval of exp(x) for this interval of x; infinite bounds count as none."""
        with np.errstate(over="ignore"):
            low, estimate, high = map(float, np.exp([self.low, self.estimate, self.high]))
        return Interval(low=low, estimate=estimate, high=high, n=self.n)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The effect of a change on an error, over seeds.

    Attributes:
        difference: Mean error with the change minus mean error without it; negative is better.
        ratio: Geometric mean of the errors with the change over that without it; below 1 is better.
        paired: True if the differences were taken seed by seed.
        seeds: Number of seeds with the change, and without it. The intervals' ``n`` is the smaller.
    """

    difference: Interval
    ratio: Interval
    paired: bool
    seeds: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """The comparison of two models on the same images.

    Attributes:
        first: Name of one model.
        second: Name of the other model.
        difference: Mean error of ``first`` minus that of ``second``, with the bootstrap's
            percentile interval over images; negative if ``first`` is better. The interval is not
            corrected for the number of pairs.
        p_value: Two-sided p-value of the sign-flip test of no difference.
        corrected: The p-value after Holm's correction for all pairs of the comparison.
    """

    first: str
    second: str
    difference: Interval
    p_value: float
    corrected: float

    @property
    def better(self) -> str | None:
        """The better model's name.

        ``None`` if the interval covers 0 or the corrected test does not reject.
        """
        side = self.difference.side(0.0)
        # Both must agree: the interval shows the size of the difference, and only the test is
        # corrected for the number of pairs.
        if side == 0 or self.corrected > 1 - CONFIDENCE:
            return None
        return self.second if side > 0 else self.first


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """The function ``y = scale · x ** exponent``: the least-squares line through the logarithms."""

    exponent: Interval
    scale: float

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Return y at ``x``, an array of any shape."""
        return self.scale * np.asarray(x, np.float64) ** self.exponent.estimate


def mean_interval(values: Iterable[float]) -> Interval:
    """Return the mean with Student's t-interval.

    It has no bounds for fewer than two values, and is NaN if a value is not finite.

    >>> mean_interval([1.0, 2.0, 3.0]).estimate
    2.0
    """
    return _t_interval(np.asarray(list(values), np.float64))


def effect(level: Mapping[int, float], base: Mapping[int, float]) -> Effect:
    """Return the effect of a factor's level on the base's error.

    Args:
        level: Error by seed with the change.
        base: Error by seed without it.

    Returns:
        The difference and the ratio. Seeds in both are compared seed by seed; if fewer than two
        match, all seeds enter Welch's interval, which assumes nothing about the variances. The
        ratio is undetermined if an error is not positive.

    >>> round(effect({0: 0.2, 1: 0.3}, {0: 0.4, 1: 0.6}).ratio.estimate, 6)
    0.5
    """
    # The same seed means the same order of batches, and what that order does to both errors cancels
    # in their difference. If it does different things to them, pairing costs degrees of freedom but
    # adds no bias.
    common = sorted(level.keys() & base.keys())
    paired = len(common) > 1 or bool(common and min(len(level), len(base)) < 2)
    seeds, base_seeds = (common, common) if paired else (sorted(level), sorted(base))
    errors = np.array([level[seed] for seed in seeds], np.float64)
    base_errors = np.array([base[seed] for seed in base_seeds], np.float64)

    # Without pairs, Welch's interval: Student's would assume that both networks vary equally over
    # seeds.
    def compare(first: np.ndarray, second: np.ndarray) -> Interval:
        return _t_interval(first - second) if paired else _t_interval(first, second)

    # Errors of networks differ by factors, and their spread with them; so the ratio's interval is
    # computed from logarithms, on which the spread is about the same.
    with np.errstate(divide="ignore", invalid="ignore"):
        return Effect(
            difference=compare(errors, base_errors),
            ratio=compare(np.log(errors), np.log(base_errors)).exponential(),
            paired=paired,
            seeds=(len(seeds), len(base_seeds)),
        )


def compare_pairs(
    errors: Mapping[str, Sequence[float] | np.ndarray],
    *,
    seed: int = 0,
    resamples: int = 10_000,
) -> tuple[PairedComparison, ...]:
    """Compare every two models by their errors on the same images.

    The intervals come from resampling images (bootstrap, Efron 1979), the p-values from flipping
    the sign of each image's difference at random, which leaves the distribution unchanged if the
    models are alike (Fisher 1935). Both tell what other *images* would show, and nothing about
    another seed of the training.

    Args:
        errors: Each model's error on every image, ``(N,)``, with the images in the same order.
        seed: Seed of the resamples and of the flips.
        resamples: Number of resamples, and of flips. No p-value is below 1 / (resamples + 1).

    Returns:
        One comparison per pair, in the order of ``itertools.combinations``. With fewer than
        ``MIN_IMAGES`` images the intervals have no bounds.

    Raises:
        ValueError: The models have errors of different numbers of images, or of none, or an error
            is not finite.

    >>> good, bad = np.linspace(0.1, 0.2, 50), np.linspace(0.1, 0.3, 50)
    >>> [pair.better for pair in compare_pairs({"good": good, "bad": bad}, resamples=500)]
    ['good']
    """
    lengths = {len(values) for values in errors.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(
            f"models compared in pairs need the same images, not {sorted(lengths)} of them"
        )
    pairs = list(itertools.combinations(errors, 2))
    if not pairs:
        return ()
    differences = np.stack(
        [np.asarray(errors[a], np.float64) - np.asarray(errors[b], np.float64) for a, b in pairs],
        axis=1,
    )  # (N, pairs)
    if not np.isfinite(differences).all():
        raise ValueError("errors that are compared must be finite")
    count = len(differences)
    observed = differences.mean(axis=0)
    # Flips that give exactly what was observed count as extreme, whatever rounding does to them.
    threshold = np.abs(observed) - 1e-12 * np.abs(differences).mean(axis=0)

    # All pairs share their resamples and flips. scipy's bootstrap and permutation test would draw
    # them for each pair anew: ten models on 6,000 images take 1.4 seconds here, two minutes there.
    bootstrap, flips = np.random.default_rng(seed).spawn(2)
    resampled: list[np.ndarray] = []
    extreme = np.zeros(len(pairs))
    batch = max(1, _NUMBERS_PER_BATCH // count)
    for rows in (min(batch, resamples - start) for start in range(0, resamples, batch)):
        drawn = bootstrap.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        resampled.append(times @ differences / count)
        signs = flips.integers(0, 2, (rows, count), np.int8) * 2.0 - 1.0
        extreme += (np.abs(signs @ differences / count) >= threshold).sum(axis=0)
    # What was observed counts as one of the flips: a p-value of 0 would claim more than they can
    # show.
    p_values = (extreme + 1) / (resamples + 1)

    bounds = np.quantile(np.concatenate(resampled), _TAILS, axis=0)
    if count < MIN_IMAGES:
        bounds[:] = math.nan
    columns = zip(pairs, observed, *bounds, p_values, holm(p_values), strict=True)
    return tuple(
        PairedComparison(
            first=first,
            second=second,
            difference=Interval(
                estimate=float(estimate), n=count, low=float(low), high=float(high)
            ),
            p_value=float(p_value),
            corrected=corrected,
        )
        for (first, second), estimate, low, high, p_value, corrected in columns
    )


def holm(p_values: Sequence[float] | np.ndarray) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down procedure (Holm 1979).

    Rejecting where the corrected value is at most α makes at least one false rejection with
    probability α at most.

    >>> holm([0.01, 0.04])
    [0.02, 0.04]
    """
    # scipy corrects for the false discovery rate only; statsmodels has Holm's procedure, and would
    # bring pandas for it.
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    corrected = np.empty(len(values))
    # The smallest p-value is multiplied by the number of tests, the next by one less. A larger
    # p-value never becomes smaller than the one before it.
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return [float(value) for value in corrected.clip(max=1)]


def correlation(
    x: ArrayLike,
    y: ArrayLike,
    covariates: Sequence[ArrayLike] = (),
    *,
    ranks: bool,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """Return the correlation of two properties of architectures, partial if there are covariates.

    A partial correlation is that of the residuals of ``x`` and ``y`` after regression on the
    covariates. Ties share ranks.

    The interval is the percentile interval of the bootstrap over architectures (Efron 1979). The
    architectures of a study are chosen, not drawn at random: the interval says how much the answer
    depends on single ones of them, and nothing about other kinds of architectures.

    Args:
        x: Values ``(N,)``.
        y: Values ``(N,)``.
        covariates: Further values, each ``(N,)``.
        ranks: Correlate ranks (Spearman) instead of logarithms (Pearson).
        seed: Seed of the bootstrap.
        resamples: Number of the bootstrap's resamples.

    Returns:
        The correlation in [−1, 1]. It is NaN if one of the two is constant or the covariates
        explain it completely, and has no bounds below ``MIN_ARCHITECTURES`` plus one for each
        covariate.

    Raises:
        ValueError: ``ranks`` is false and a value is not positive and finite.

    >>> correlation([1, 2, 3, 4, 5, 6], [1, 4, 9, 16, 25, 36], ranks=True).estimate
    1.0
    """
    table = (_columns if ranks else _logarithms)(x, y, *covariates)

    def correlate(tables: np.ndarray) -> np.ndarray:
        return _residual_correlation(stats.rankdata(tables, axis=-2) if ranks else tables)

    count = len(table)
    estimate = float(correlate(table)) if count > 1 else math.nan
    without_bounds = Interval(estimate=estimate, n=count)
    if count < MIN_ARCHITECTURES + len(covariates) or not math.isfinite(estimate):
        return without_bounds
    # `scipy.stats.bootstrap` would warn of every interval that has resamples without a correlation.
    drawn = np.random.default_rng(seed).integers(0, count, (resamples, count))
    values = correlate(table[drawn])
    # A resample may draw one architecture only, and has no correlation then. Where that is frequent
    # a single architecture decides, and the remaining resamples would understate the doubt.
    values = values[np.isfinite(values)]
    if len(values) < (1 - _MAX_UNDEFINED_SHARE) * resamples:
        return without_bounds
    low, high = map(float, np.quantile(values, _TAILS))
    return Interval(estimate=estimate, n=count, low=low, high=high)


def power_law(x: ArrayLike, y: ArrayLike) -> PowerLaw:
    """Fit a power law by least squares on logarithms.

    Args:
        x: Positive values ``(N,)``.
        y: Positive values ``(N,)``.

    Returns:
        The law. Its exponent has Student's interval, since the bootstrap's is too narrow in small
        samples; the exponent is NaN if ``x`` is constant, and has no bounds below
        ``MIN_ARCHITECTURES``.

    Raises:
        ValueError: A value is not positive and finite.

    >>> round(power_law([1, 2, 4], [1, 4, 16]).exponent.estimate, 6)
    2.0
    """
    logarithms = _logarithms(x, y)
    count = len(logarithms)
    if count < 2 or not _center(logarithms)[:, 0].any():
        return PowerLaw(exponent=Interval(estimate=math.nan, n=count), scale=math.nan)
    line = stats.linregress(*logarithms.T)
    low = high = math.nan
    if count >= MIN_ARCHITECTURES:
        # Two degrees of freedom are spent: slope and intercept.
        low, high = map(float, line.slope + stats.t.ppf(_TAILS, count - 2) * line.stderr)
    exponent = Interval(estimate=float(line.slope), n=count, low=low, high=high)
    return PowerLaw(exponent=exponent, scale=math.exp(line.intercept))


def pareto_front(costs: ArrayLike) -> np.ndarray:
    """Return which rows are on the Pareto front when every column is to be small.

    A row is off the front if another is no larger in any column and smaller in one, or if it holds
    a NaN. Equal rows are on it together.

    Args:
        costs: Costs ``(N, K)``.

    Returns:
        Booleans ``(N,)``.

    >>> pareto_front([[1, 3], [2, 2], [2, 3]]).tolist()
    [True, True, False]
    """
    table = np.asarray(costs, np.float64)
    others, rows = table[:, None], table[None, :]
    dominates = (others <= rows).all(axis=2) & (others < rows).any(axis=2)
    return np.logical_not(dominates.any(axis=0) | np.isnan(table).any(axis=1))


def _t_interval(*samples: np.ndarray) -> Interval:
    """Return the interval of one sample's mean (Student), or of two means' difference (Welch)."""
    count = min(map(len, samples))
    if not count or not all(np.isfinite(sample).all() for sample in samples):
        return Interval(estimate=math.nan, n=count)
    first, *second = (float(sample.mean()) for sample in samples)
    estimate = first - sum(second)
    if count < 2:
        return Interval(estimate=estimate, n=count)
    if all(np.ptp(sample) == 0 for sample in samples):  # the t statistic would be 0 / 0
        return Interval(estimate=estimate, n=count, low=estimate, high=estimate)
    with warnings.catch_warnings():  # of nearly equal values, whose interval is narrow
        warnings.simplefilter("ignore", RuntimeWarning)
        test = (
            stats.ttest_ind(*samples, equal_var=False)
            if second
            else stats.ttest_1samp(*samples, popmean=0)
        )
        low, high = map(float, test.confidence_interval(CONFIDENCE))
    return Interval(estimate=estimate, n=count, low=low, high=high)


def _columns(*columns: ArrayLike) -> np.ndarray:
    """Return the columns as a table ``(N, columns)``."""
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def _logarithms(*columns: ArrayLike) -> np.ndarray:
    """Return the logarithms of the columns as a table ``(N, columns)``."""
    table = _columns(*columns)
    if not ((table > 0) & (table < np.inf)).all():
        raise ValueError("only positive, finite numbers have logarithms to correlate")
    return np.asarray(np.log(table))


def _center(table: np.ndarray) -> np.ndarray:
    """Subtract each column's mean, ``(…, N, columns)``."""
    centered = table - table.mean(axis=-2, keepdims=True)
    # A column that is constant up to rounding must become exactly 0, or its rounding errors would
    # be correlated.
    largest = np.abs(table).max(axis=-2, keepdims=True)
    return np.where(np.ptp(table, axis=-2, keepdims=True) > 1e-12 * largest, centered, 0)


def _residual_correlation(table: np.ndarray) -> np.ndarray:
    """Correlate the first two columns' residuals on the others, ``(…, N, columns)`` → ``(…,)``.

    NaN where a residual is 0.
    """
    centered = _center(table)
    pair, covariates = centered[..., :2], centered[..., 2:]
    # The pseudoinverse also works where covariates depend on each other.
    residuals = pair - covariates @ (np.linalg.pinv(covariates, rcond=1e-9) @ pair)
    lengths = np.linalg.norm(residuals, axis=-2)
    # Residuals of rounding alone mean that the covariates explain the column completely.
    lengths[lengths <= 1e-9 * np.linalg.norm(pair, axis=-2)] = math.nan
    correlation = (residuals[..., 0] * residuals[..., 1]).sum(-1) / lengths.prod(-1)
    return np.asarray(correlation.clip(-1, 1))
