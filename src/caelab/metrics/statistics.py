"""Statistics that say how certain a number is. They need numpy and scipy, not torch.

Three sources of variation are kept apart: the *seed* of a training (``mean_interval``, and
``caelab.metrics.moderated`` for several networks), the *images* that an error is averaged over
(``compare_pairs``) and the *architectures* of a study (the correlation). Where there are too few
observations, an interval has no bounds; no function fails for that reason.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

CONFIDENCE = 0.95
"""Share of the intervals that contain the truth, under the method's assumptions."""

MIN_ARCHITECTURES = 6
"""Fewest architectures for which a correlation gets an interval.

With fewer, the percentile interval excludes 0 far too often where there is no correlation.
"""

MIN_IMAGES = 6
"""Fewest images for which a comparison of models gets an interval.

With fewer, the two-sided sign-flip test cannot reach 5%: its smallest p-value is 2 / 2⁵.
"""

_MAX_UNDEFINED_SHARE = 0.1
"""Largest share of resamples without a correlation, which a constant variable does not have.
If more resamples have none, there is no bootstrap interval."""

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
            low, estimate, high = np.exp([self.low, self.estimate, self.high]).tolist()
        return Interval(low=low, estimate=estimate, high=high, n=self.n)


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


def mean_interval(values: Iterable[float]) -> Interval:
    """Return the mean with Student's t-interval.

    It has no bounds for fewer than two values, and is NaN if a value is not finite.

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
            f"models compared in pairs need the same images, not {sorted(lengths)} of them"
        )
    table = {name: np.asarray(values, np.float64) for name, values in errors.items()}
    differences = np.stack([table[first] - table[second] for first, second in pairs], axis=1)
    if not np.isfinite(differences).all():
        raise ValueError("errors that are compared must be finite")
    return differences


def _resample(differences: np.ndarray, seed: int, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of the mean differences ``(2, pairs)``, and their p-values ``(pairs,)``."""
    count, pairs = differences.shape
    observed = differences.mean(axis=0)
    # A flip that gives exactly the observed mean counts as extreme, even if rounding makes it a
    # little smaller.
    threshold = np.abs(observed) - 1e-12 * np.abs(differences).mean(axis=0)

    # All pairs share their resamples and flips. scipy's bootstrap and permutation test would draw
    # new ones for each pair: ten models on 6,000 images would take two minutes, not 1.4 seconds.
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
    # The observed signs count as one of the flips. Otherwise a p-value could be 0, which a limited
    # number of flips cannot show.
    p_values = (extreme + 1) / (resamples + 1)
    return np.quantile(np.concatenate(resampled), _TAILS, axis=0), p_values


def holm(p_values: Sequence[float] | np.ndarray) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down procedure (Holm 1979).

    If every hypothesis with a corrected p-value of at most α is rejected, the probability of one or
    more false rejections is at most α.

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

    With covariates it is partial: the correlation of the residuals of the ranks of ``x`` and ``y``
    after regression on those of the covariates. Ties share ranks.

    The interval is the percentile interval of the bootstrap over architectures (Efron 1979). The
    architectures of a study are chosen, not drawn at random: the interval says how much the answer
    depends on individual architectures of the study, and nothing about other architectures.

    Args:
        x: Values ``(N,)``.
        y: Values ``(N,)``.
        covariates: Further values, each ``(N,)``.
        seed: Seed of the bootstrap.
        resamples: Number of the bootstrap's resamples.

    Returns:
        The correlation in [−1, 1]. It is NaN if a variable is constant or is explained completely
        by the covariates. The interval has no bounds if there are fewer values than
        ``MIN_ARCHITECTURES`` plus the number of covariates.

    >>> correlation([1, 2, 3, 4, 5, 6], [1, 4, 9, 16, 25, 36]).estimate
    1.0
    """
    table = np.stack([x, y, *covariates], axis=1)
    count = len(table)
    estimate = float(_rank_correlation(table)) if count > 1 else math.nan
    without_bounds = Interval(estimate=estimate, n=count)
    if count < MIN_ARCHITECTURES + len(covariates) or not math.isfinite(estimate):
        return without_bounds
    # `scipy.stats.bootstrap` would warn of every interval that has resamples without a correlation.
    drawn = np.random.default_rng(seed).integers(0, count, (resamples, count))
    values = _rank_correlation(table[drawn])
    # A resample whose ranks are all equal has no correlation. Where that is frequent, a single
    # architecture decides the result, and the other resamples would give too narrow an interval.
    values = values[np.isfinite(values)]
    if len(values) < (1 - _MAX_UNDEFINED_SHARE) * resamples:
        return without_bounds
    low, high = np.quantile(values, _TAILS).tolist()
    return Interval(estimate=estimate, n=count, low=low, high=high)


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
    others = table[:, None]
    dominates = (others <= table).all(axis=2) & (others < table).any(axis=2)
    return np.asarray(~(dominates.any(axis=0) | np.isnan(table).any(axis=1)))


def _rank_correlation(table: np.ndarray) -> np.ndarray:
    """Correlate the first two columns' ranks, given the others', ``(…, N, columns)`` → ``(…,)``.

    The correlation is NaN where the others explain one of the first two columns completely.
    """
    ranks = stats.rankdata(table, axis=-2)
    centered = ranks - ranks.mean(axis=-2, keepdims=True)
    pair, covariates = centered[..., :2], centered[..., 2:]
    # The pseudoinverse also works where covariates depend on each other.
    residuals = pair - covariates @ (np.linalg.pinv(covariates, rcond=1e-9) @ pair)
    lengths = np.linalg.norm(residuals, axis=-2)
    # If the residuals are only rounding errors, the covariates explain the column completely.
    lengths[lengths <= 1e-9 * np.linalg.norm(pair, axis=-2)] = math.nan
    correlation = (residuals[..., 0] * residuals[..., 1]).sum(-1) / lengths.prod(-1)
    return np.asarray(correlation.clip(-1, 1))
