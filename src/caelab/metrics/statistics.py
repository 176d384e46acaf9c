"""Statistics that say how certain a result is; they need NumPy and SciPy, not PyTorch.

Each interval is about one source of variation: the *seed* of a training (``mean_interval``, and
``caelab.metrics.moderated`` for several networks), the *images* over which an error is averaged
(``compare_pairs``), or the *architectures* of a study (``correlation``). With too few observations
an interval has no bounds. This is no error; only ``compare_pairs`` needs at least one image.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

CONFIDENCE = 0.95
"""Share of all intervals that contain the true value, if the assumptions of the method hold."""

MIN_ARCHITECTURES = 6
"""Fewest architectures for which a correlation gets an interval.

With fewer, the percentile interval excludes 0 far too often although there is no correlation.
"""

MIN_IMAGES = 6
"""Fewest images for which a comparison of models gets an interval.

With five images, the smallest possible p-value of the two-sided sign-flip test is 2 / 2⁵, above 5%.
"""

_MAX_UNDEFINED_SHARE = 0.1
"""Largest share of the bootstrap's resamples that may have no correlation. A resample has none if
one of the two properties is constant in it, or if the covariates explain a property completely.
With a larger share, the interval has no bounds."""

_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
"""Quantiles that are the bounds of a ``CONFIDENCE`` interval."""

_NUMBERS_PER_BATCH = 4_000_000
"""Number of random numbers that ``compare_pairs`` draws at once, which take about 100 MB."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: The estimate; NaN if the data do not allow one.
        n: Number of independent observations: seeds, images or architectures.
        low: Lower bound of the ``CONFIDENCE`` interval; NaN if the data allow no interval. The
            function that returns the interval says when this is so.
        high: Upper bound; NaN if the data allow no interval.
    """

    estimate: float
    n: int
    low: float = math.nan
    high: float = math.nan

    @property
    def undetermined(self) -> bool:
        """True if a bound is missing (NaN) or infinite."""
        return not (math.isfinite(self.low) and math.isfinite(self.high))

    def side(self, reference: float) -> int:
        """Return 1 if the whole interval lies above ``reference``, −1 if below, 0 if undecided.

        An infinite bound is a bound like any other, and a missing bound decides nothing.

        >>> Interval(low=1.0, estimate=2.0, high=3.0, n=4).side(0.5)
        1
        """
        return int(self.low > reference) - int(self.high < reference)

    def exponential(self) -> "Interval":
        """Return the interval of exp(x), if this is the interval of x; a bound can be infinite."""
        with np.errstate(over="ignore"):
            low, estimate, high = np.exp([self.low, self.estimate, self.high]).tolist()
        return Interval(low=low, estimate=estimate, high=high, n=self.n)


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """The comparison of two models on the same images.

    Attributes:
        first: Name of one model.
        second: Name of the other model.
        difference: Mean error of ``first`` minus mean error of ``second``, negative if ``first`` is
            better. The interval is the percentile interval of the bootstrap over images, not
            corrected for the number of pairs.
        p_value: Two-sided p-value of the sign-flip test; the hypothesis is that both are alike.
        corrected: The p-value after Holm's correction for the number of compared pairs.
    """

    first: str
    second: str
    difference: Interval
    p_value: float
    corrected: float

    @property
    def better(self) -> str | None:
        """Name of the better model.

        ``None`` if the interval contains 0, or if the corrected p-value is above 5%.
        """
        side = self.difference.side(0.0)
        # Interval and test must agree: only the interval shows the size of the difference, and only
        # the test is corrected for the number of pairs.
        if side == 0 or self.corrected > 1 - CONFIDENCE:
            return None
        return self.second if side > 0 else self.first


def mean_interval(values: Iterable[float]) -> Interval:
    """Return the mean with Student's t-interval.

    The interval has no bounds for fewer than two values. The mean is NaN if there are no values, or
    if a value is not finite.

    >>> mean_interval([1.0, 2.0, 3.0]).estimate
    2.0
    """
    sample = np.asarray(list(values), np.float64)
    count = len(sample)
    if not count or not np.isfinite(sample).all():
        return Interval(estimate=math.nan, n=count)
    mean = float(sample.mean())
    if count < 2:
        return Interval(estimate=mean, n=count)
    low, high = (mean + stats.t.ppf(_TAILS, count - 1) * stats.sem(sample)).tolist()
    return Interval(estimate=mean, n=count, low=low, high=high)


def compare_pairs(
    errors: Mapping[str, Sequence[float] | np.ndarray],
    *,
    seed: int = 0,
    resamples: int = 10_000,
) -> tuple[PairedComparison, ...]:
    """Compare every two models by their errors on the same images.

    The intervals come from resampling the images (bootstrap, Efron 1979). The p-values come from
    flipping the sign of each image's difference at random: if the models are equally good, this
    does not change the distribution of the mean difference (Fisher 1935). Intervals and p-values
    say what other *images* could show, and nothing about another seed of the training.

    Args:
        errors: Each model's error on every image, ``(N,)``, with the images in the same order.
        seed: Seed of the resamples and of the flips.
        resamples: Number of resamples, and number of times that every image gets a random sign.
            No p-value is below 1 / (resamples + 1).

    Returns:
        One comparison per pair, in the order of ``itertools.combinations``. With fewer than
        ``MIN_IMAGES`` images the intervals have no bounds.

    Raises:
        ValueError: The models have different numbers of errors, or no errors, or an error is not
            finite.

    >>> good, bad = np.linspace(0.1, 0.2, 50), np.linspace(0.1, 0.3, 50)
    >>> [pair.better for pair in compare_pairs({"good": good, "bad": bad}, resamples=500)]
    ['good']
    """
    pairs = list(itertools.combinations(errors, 2))
    if not pairs:
        return ()
    differences = _differences(errors, pairs)
    count = len(differences)
    bounds, p_values = _resample(differences, seed, resamples)
    if count < MIN_IMAGES:
        bounds[:] = math.nan
    columns = [differences.mean(axis=0), *bounds, p_values, holm(p_values)]
    return tuple(
        PairedComparison(
            first=first,
            second=second,
            difference=Interval(estimate=estimate, n=count, low=low, high=high),
            p_value=p_value,
            corrected=corrected,
        )
        for (first, second), (estimate, low, high, p_value, corrected) in zip(
            pairs, np.stack(columns, axis=1).tolist(), strict=True
        )
    )


def _differences(
    errors: Mapping[str, Sequence[float] | np.ndarray], pairs: Sequence[tuple[str, str]]
) -> np.ndarray:
    """Return the difference of each pair's errors on every image, ``float64 (N, pairs)``."""
    lengths = {len(values) for values in errors.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(
            f"compared models need errors of the same images, not of {sorted(lengths)} images"
        )
    table = {name: np.asarray(values, np.float64) for name, values in errors.items()}
    differences = np.stack([table[first] - table[second] for first, second in pairs], axis=1)
    if not np.isfinite(differences).all():
        raise ValueError("errors that are compared must be finite")
    return differences


def _resample(differences: np.ndarray, seed: int, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds ``(2, pairs)`` and p-values ``(pairs,)`` of the mean differences."""
    count, pairs = differences.shape
    observed = differences.mean(axis=0)
    # Signs whose mean equals the observed mean are counted as extreme, even if rounding makes
    # their mean a little smaller.
    threshold = np.abs(observed) - 1e-12 * np.abs(differences).mean(axis=0)

    # All pairs share resamples and signs. SciPy's bootstrap and permutation test would draw others
    # for each pair: ten models on 6,000 images would take two minutes, not 1.4 seconds.
    bootstrap, flips = np.random.default_rng(seed).spawn(2)
    resampled: list[np.ndarray] = []
    extreme = np.zeros(pairs)
    batch = max(1, _NUMBERS_PER_BATCH // count)
    for rows in (min(batch, resamples - start) for start in range(0, resamples, batch)):
        drawn = bootstrap.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        resampled.append(times @ differences / count)
        signs = flips.integers(0, 2, (rows, count), np.int8) * 2.0 - 1.0
        extreme += (np.abs(signs @ differences / count) >= threshold).sum(axis=0)
    # The observed signs count as one of the random draws. Otherwise a p-value could be 0, which a
    # limited number of draws cannot show.
    p_values = (extreme + 1) / (resamples + 1)
    return np.quantile(np.concatenate(resampled), _TAILS, axis=0), p_values


def holm(p_values: Sequence[float] | np.ndarray) -> list[float]:
    """Return p-values corrected for the number of tests by Holm's step-down procedure (Holm 1979).

    If every hypothesis with a corrected p-value of at most α is rejected, the probability of one or
    more false rejections is at most α.

    >>> holm([0.01, 0.04])
    [0.02, 0.04]
    """
    # SciPy only has corrections for the false discovery rate. statsmodels has Holm's procedure, but
    # depends on pandas.
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    corrected = np.empty(len(values))
    # The smallest p-value is multiplied by the number of tests, the next by one less, and so on. A
    # corrected p-value is never smaller than the one before it.
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return list(map(float, corrected.clip(max=1)))


def correlation(
    x: ArrayLike,
    y: ArrayLike,
    covariates: Sequence[ArrayLike] = (),
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """Return Spearman's rank correlation of two properties of architectures.

    With covariates the correlation is partial: the ranks of ``x`` and ``y`` are regressed on the
    ranks of the covariates, and the residuals are correlated. Equal values share their mean rank.

    The interval is the percentile interval of the bootstrap over architectures (Efron 1979). The
    architectures of a study are chosen, not drawn at random. So the interval says how much the
    result depends on individual architectures of the study, and nothing about other architectures.

    Args:
        x: First property of each architecture, ``(N,)``.
        y: Second property of each architecture, ``(N,)``.
        covariates: Properties whose influence is removed, ``(N,)`` each.
        seed: Seed of the bootstrap.
        resamples: Number of the bootstrap's resamples.

    Returns:
        The correlation in [−1, 1] with its interval. The correlation is NaN if ``x`` or ``y`` is
        constant, or if the covariates explain one of them completely. The interval has no bounds if
        N is below ``MIN_ARCHITECTURES`` plus the number of covariates, or if more than 10% of the
        resamples have no correlation.

    >>> correlation([1, 2, 3, 4, 5, 6], [1, 4, 9, 16, 25, 36]).estimate
    1.0
    """
    table = np.stack([x, y, *covariates], axis=1)
    count = len(table)
    estimate = float(_rank_correlation(table)) if count > 1 else math.nan
    without_bounds = Interval(estimate=estimate, n=count)
    if count < MIN_ARCHITECTURES + len(covariates) or not math.isfinite(estimate):
        return without_bounds
    # `scipy.stats.bootstrap` would warn whenever a resample has no correlation.
    drawn = np.random.default_rng(seed).integers(0, count, (resamples, count))
    values = _rank_correlation(table[drawn])
    # A resample without different ranks has no correlation. This is frequent if a property differs
    # in only one or two architectures. These decide the result, and the interval of the other
    # resamples would be too narrow.
    values = values[np.isfinite(values)]
    if len(values) < (1 - _MAX_UNDEFINED_SHARE) * resamples:
        return without_bounds
    low, high = np.quantile(values, _TAILS).tolist()
    return Interval(estimate=estimate, n=count, low=low, high=high)


def pareto_front(costs: ArrayLike) -> np.ndarray:
    """Return which rows are on the Pareto front, if small values are better in every column.

    A row is on the front unless it contains a NaN, or another row is smaller in one column and not
    larger in any other. Equal rows do not exclude each other.

    Args:
        costs: Costs, ``(N, K)``.

    Returns:
        True for each row on the front, ``(N,)``.

    >>> pareto_front([[1, 3], [2, 2], [2, 3]]).tolist()
    [True, True, False]
    """
    table = np.asarray(costs, np.float64)
    others = table[:, None]
    dominates = (others <= table).all(axis=2) & (others < table).any(axis=2)
    return np.asarray(~(dominates.any(axis=0) | np.isnan(table).any(axis=1)))


def _rank_correlation(table: np.ndarray) -> np.ndarray:
    """Return the rank correlation of the first two columns, given the other columns.

    ``table`` is ``(…, N, columns)``, and the result ``(…,)``. It is NaN if one of the first two
    columns is constant, or if the other columns explain it completely.
    """
    ranks = stats.rankdata(table, axis=-2)
    centered = ranks - ranks.mean(axis=-2, keepdims=True)
    pair, covariates = centered[..., :2], centered[..., 2:]
    # The pseudoinverse also works if covariates are linearly dependent.
    residuals = pair - covariates @ (np.linalg.pinv(covariates, rcond=1e-9) @ pair)
    lengths = np.linalg.norm(residuals, axis=-2)
    # If a residual is only rounding error, the covariates explain the column completely.
    lengths[lengths <= 1e-9 * np.linalg.norm(pair, axis=-2)] = math.nan
    correlation = (residuals[..., 0] * residuals[..., 1]).sum(-1) / lengths.prod(-1)
    return np.asarray(correlation.clip(-1, 1))
