"""Compare networks that were trained with only two or three seeds each.

Two seeds leave one degree of freedom for a network's variance, so Student's interval reaches 12.7
standard errors to each side of the mean. The variances of a study's networks differ, so one pooled
variance would be wrong for most networks. But the variances are similar enough that all of them
help to estimate each one:

    log error of network g with seed j      y_gj ~ Normal(μ_g, σ_g²)
    variances of the study's networks       1 / σ_g² ~ χ²(d₀) / (d₀ · s₀²)

``moderate`` estimates d₀ and s₀² from the residual variances s_g², which have d_g degrees of
freedom. It replaces them by moderated variances s̃_g² = (d₀ · s₀² + d_g · s_g²) / (d₀ + d_g), which
have d₀ + d_g degrees of freedom (Smyth 2004, as in the R package limma).
``ModeratedErrors.contrasts`` compares networks, with simultaneous intervals. Only NumPy and SciPy
are needed.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from caelab.metrics.statistics import CONFIDENCE, Interval

DRAWS = 20_000
"""Number of draws from the posterior distribution; interval widths are then exact to about 1%."""

_MIN_DEVIATION = 1e-6
"""Smallest standard deviation of a log error, about the rounding of float32, in which errors are
computed. Without it, networks whose seeds have equal errors would differ with certainty, even if
only by 1e-17."""

_MORE_SEEDS = np.unique(np.geomspace(1, 1000, 50).astype(int))
"""Numbers of additional seeds for which an interval is predicted, in steps of about 15%."""

_PRIOR_DEGREES = 2.0 ** np.arange(-2, 11)
"""Values of d₀ at which the posterior distribution is computed. At the smallest d₀ the variances of
the networks are almost unrelated, at the largest they are almost equal."""

_STEPS_PER_ERROR = 4
"""Number of values of log s₀² per standard error in the computed posterior distribution."""


class Verdict(StrEnum):
    """What the interval of a ratio says about the ratio."""

    LOWER = "lower"
    """The ratio is below 1."""
    HIGHER = "higher"
    """The ratio is above 1."""
    EQUIVALENT = "equivalent"
    """The ratio differs from 1 by less than the margin."""
    UNDECIDED = "undecided"
    """There are not enough data to decide."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A comparison of networks.

    Attributes:
        ratio: Ratio of the geometric mean errors of both sides, with its simultaneous interval;
            ``n`` is the smallest number of seeds of a compared network.
        verdict: What the interval says about the ratio. If the interval lies within the margin but
            excludes 1, the verdict is ``EQUIVALENT``: the effect is certain, but too small to
            matter.
        more_seeds: Number of additional seeds of each compared network with which the interval
            would decide, if the estimate stays the same. ``None`` if the comparison is decided, or
            if even a thousand seeds would not be enough. 1 if there is no interval, because a
            second seed gives the first interval.
        alone: The ratio with an interval for this comparison alone. It is narrower than the
            simultaneous interval, which allows for all other comparisons.
    """

    ratio: Interval
    verdict: Verdict
    more_seeds: int | None
    alone: Interval

    @property
    def decided_alone(self) -> bool:
        """True if the comparison would have a verdict if there were no other comparisons."""
        return self.verdict is Verdict.UNDECIDED and self.alone.side(1) != 0


@dataclass(frozen=True, kw_only=True, eq=False)
class ModeratedErrors:
    """The errors of a study's networks over seeds, with moderated variances.

    Arrays are ``(networks,)``, in the order of ``labels``.

    Attributes:
        labels: Names of the networks that have an error.
        means: Mean log error.
        counts: Number of seeds with a usable error.
        variances: Residual variance of the log error, s_g²; NaN with one seed.
        deviations: Moderated standard deviation of the log error, s̃_g; NaN if no network has two
            seeds.
        degrees: Degrees of freedom of ``deviations``: d₀ + d_g, but at most the sum of d_g over all
            networks.
        prior_degrees: d₀, which is larger if the networks' variances are more similar. It is
            infinite if the data show no difference between the variances, and NaN if no network
            has two seeds.
        prior_deviation: s₀, which is also the moderated deviation of networks with one seed.
    """

    labels: tuple[str, ...]
    means: np.ndarray
    counts: np.ndarray
    variances: np.ndarray
    deviations: np.ndarray
    degrees: np.ndarray
    prior_degrees: float
    prior_deviation: float

    def against(
        self, base: str, *, margin: float = 0.03, labels: Iterable[str] | None = None
    ) -> dict[str, Contrast]:
        """Compare networks with a base network (Dunnett's comparison).

        Args:
            base: Name of the network with which the others are compared.
            margin: Smallest relative effect that matters, such as 0.03 for 3%.
            labels: Names of the other networks; by default all.

        Returns:
            For each other network, by name, its error divided by the base's error. Empty if the
            base has no errors.

        >>> errors = {"base": [0.20, 0.21], "wide": [0.10, 0.11], "deep": [0.30, 0.29]}
        >>> {label: str(each.verdict) for label, each in moderate(errors).against("base").items()}
        {'wide': 'lower', 'deep': 'higher'}
        """
        others = [each for each in (self.labels if labels is None else labels) if each != base]
        return self.contrasts({label: {label: 1.0, base: -1.0} for label in others}, margin=margin)

    def interval(self, label: str, mean: float) -> Interval:
        """Return a network's mean error with a 95% interval from the moderated variance.

        The interval is computed for the logarithm of the error, so that no bound is negative.

        Args:
            label: Name of the network.
            mean: Mean error of the network over seeds.

        >>> moderate({"a": [0.10, 0.12], "b": [0.30, 0.36]}).interval("a", 0.11).low > 0
        True
        """
        if label not in self.labels:
            return Interval(estimate=mean, n=0)
        index = self.labels.index(label)
        n = int(self.counts[index])
        if n < 2:
            return Interval(estimate=mean, n=n)
        quantile = special.stdtrit(self.degrees[index], (1 + CONFIDENCE) / 2)
        half = quantile * self.deviations[index] / math.sqrt(n)
        factor = math.exp(min(half, 700))
        return Interval(estimate=mean, n=n, low=mean / factor, high=mean * factor)

    def slope(self, x: Mapping[str, float]) -> dict[str, float]:
        """Return the contrast that is the least-squares slope of log error on log2(x).

        The ratio of this contrast is the factor by which each doubling of x changes the error.

        Args:
            x: Positive size of each network, by name.

        Returns:
            Weight of each network in the contrast, by name. Empty if the networks that have errors
            do not have at least two different sizes.

        Raises:
            ValueError: A size is not positive and finite.

        >>> moderate({"small": [0.4], "large": [0.1]}).slope({"small": 64, "large": 256})
        {'small': -0.5, 'large': 0.5}
        """
        if not all(0 < size < math.inf for size in x.values()):
            raise ValueError("the sizes of networks must be positive and finite")
        doublings = {label: math.log2(size) for label, size in x.items() if label in self.labels}
        if len(set(doublings.values())) < 2:
            return {}
        center = sum(doublings.values()) / len(doublings)
        square = sum((value - center) ** 2 for value in doublings.values())
        return {label: (value - center) / square for label, value in doublings.items()}

    def contrasts(
        self, weights: Mapping[str, Mapping[str, float]], *, margin: float = 0.03
    ) -> dict[str, Contrast]:
        """Compare networks by contrasts of their mean log errors, with simultaneous intervals.

        A contrast c is a weighted sum of mean log errors, and ĉ is its estimate. With probability
        ``CONFIDENCE``, all intervals of a call contain the true values. The interval of c is
        ĉ ± q · h_c, where h_c is the half-width for this contrast alone, and q is the quantile of
        the largest |c − ĉ| / h_c over all contrasts (balanced max-t; Beran 1988, J. Am. Stat.
        Assoc. 83, 679). h_c and q come from draws of the posterior distribution of the means, so q
        is smaller if contrasts share networks.

        d₀ and s₀² are drawn from their own posterior distribution. If limma's estimates were taken
        as exact, all intervals of 24 networks with two seeds each would be right in only 83% of
        studies with d₀ = 2. The prior distribution is uniform in log s₀² and in d₀ / (d₀ + d), the
        weight of s₀² in a moderated variance with d residual degrees of freedom (uniform shrinkage
        prior; Daniels 1999, Can. J. Stat. 27, 567). Averaged over this prior distribution, all
        intervals are right in 95% of studies. With 24 networks of two seeds, all are right in 93%
        of studies if d₀ is 1 to 2, in 96% if d₀ is 4, and in 99% if all variances are equal.

        Args:
            weights: For each contrast, by name, the weight of each of its networks, by name. The
                weights of a contrast add up to 0.
            margin: Smallest relative effect that matters, such as 0.03 for 3%.

        Returns:
            The contrasts by name. A contrast is left out if it has no weights, or a weight for a
            network without errors.

        Raises:
            ValueError: The weights of a contrast are all 0, or their sum is not 0.

        >>> errors = {"a": [0.20, 0.21], "b": [0.20, 0.21], "c": [0.40, 0.42]}
        >>> mean = moderate(errors).contrasts({"c against both": {"c": 1, "a": -0.5, "b": -0.5}})
        >>> round(mean["c against both"].ratio.estimate, 6)
        2.0
        """
        column = {label: index for index, label in enumerate(self.labels)}
        known = {name: row for name, row in weights.items() if row and row.keys() <= column.keys()}
        table = np.zeros((len(known), len(column)))
        for row, values in zip(table, known.values(), strict=True):
            row[[column[label] for label in values]] = list(values.values())
        sizes = np.abs(table).sum(axis=1)
        if not (sizes > 0).all() or not (np.abs(table.sum(axis=1)) <= 1e-9 * sizes).all():
            raise ValueError("the weights of a contrast must add up to 0, and must not all be 0")

        alone, together = self._half_widths(table)
        return {
            name: replace(
                self._contrast(row, half_width, margin), alone=self._ratio(row, own_half_width)
            )
            for name, row, own_half_width, half_width in zip(
                known, table, alone, together, strict=True
            )
        }

    def _half_widths(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the half-widths of contrasts, each alone and all together, ``(contrasts,)`` each.

        ``table`` contains the weights of the contrasts, ``(contrasts, networks)``.
        """
        if not len(table) or math.isnan(self.prior_degrees):
            unknown = np.full(len(table), math.inf)
            return unknown, unknown
        # The seed is fixed, so that the same errors have the same intervals in every report.
        rng = np.random.default_rng(0)
        residual = self.counts - 1
        several = residual > 0
        prior_degrees, prior_variances = _draw_priors(
            self.variances[several], residual[several], rng
        )
        squares = prior_degrees * prior_variances + residual * np.nan_to_num(self.variances)
        variances = squares / (2 * rng.standard_gamma((prior_degrees + residual) / 2))
        means = rng.standard_normal(variances.shape) * np.sqrt(variances / self.counts)
        distances = np.abs(means @ table.T)  # (draws, contrasts)
        # Each contrast is scaled by its own width, so that networks with a large spread do not
        # widen the intervals of others.
        alone = np.quantile(distances, CONFIDENCE, axis=0, method="higher")
        together = np.quantile((distances / alone).max(axis=1), CONFIDENCE, method="higher")
        return alone, np.asarray(alone * together)

    def _ratio(self, row: np.ndarray, half_width: float) -> Interval:
        """Return the ratio and interval of the contrast with weights ``row``, ``(networks,)``."""
        estimate = float(row @ self.means)
        low, high = estimate - half_width, estimate + half_width
        n = int(self.counts[row != 0].min())
        ratio = Interval(estimate=estimate, n=n, low=low, high=high).exponential()
        return replace(ratio, low=math.nan, high=math.nan) if math.isinf(half_width) else ratio

    def _contrast(self, row: np.ndarray, half_width: float, margin: float) -> Contrast:
        """Return the comparison with weights ``row``, ``(networks,)``.

        ``half_width`` is the half-width of the simultaneous interval of the log ratio.
        """
        used = row != 0
        estimate = float(row @ self.means)
        low, high = estimate - half_width, estimate + half_width
        ratio = self._ratio(row, half_width)
        if math.isinf(half_width):
            return Contrast(ratio=ratio, verdict=Verdict.UNDECIDED, more_seeds=1, alone=ratio)
        room = math.log1p(margin)
        if -room <= low and high <= room:
            return Contrast(ratio=ratio, verdict=Verdict.EQUIVALENT, more_seeds=None, alone=ratio)
        if low > 0 or high < 0:
            side = Verdict.HIGHER if low > 0 else Verdict.LOWER
            return Contrast(ratio=ratio, verdict=side, more_seeds=None, alone=ratio)

        # More seeds reduce the standard error and the quantile. The quantile changes by about the
        # same factor as Student's. An interval decides if it excludes 1 or lies within the margin.
        more = np.append(0, _MORE_SEEDS)
        counts = self.counts[used] + more[:, None]
        errors = np.sqrt((np.square(row * self.deviations)[used] / counts).sum(axis=1))
        degrees = self.degrees[used].min() + more
        widths = errors * special.stdtrit(degrees, (1 + CONFIDENCE) / 2)
        enough = half_width * widths / widths[0] < max(abs(estimate), room - abs(estimate))
        return Contrast(
            ratio=ratio,
            verdict=Verdict.UNDECIDED,
            more_seeds=int(more[enough.argmax()]) if enough.any() else None,
            alone=ratio,
        )


def moderate(errors: Mapping[str, Iterable[float]]) -> ModeratedErrors:
    """Estimate each network's mean log error and its variance over seeds, moderated by the others.

    d₀ and s₀² are estimated as in limma's ``fitFDist`` (Smyth 2004, Stat. Appl. Genet. Mol. Biol.
    3(1), 3, section 6.2). Let ψ be the digamma function and e_g = log s_g² − ψ(d_g/2) + log(d_g/2).
    The variance of e_g over networks exceeds the mean of ψ'(d_g/2) by ψ'(d₀/2), and log s₀² is the
    mean of e_g plus ψ(d₀/2) − log(d₀/2). If the variance of e_g is too small for that, d₀ is
    infinite and s₀² is the pooled variance.

    Args:
        errors: For each network, by name, its errors, one per seed. Errors that are not positive
            and finite are left out, and so is a network without other errors.

    >>> moderated = moderate({"a": [0.1, 0.2], "b": [0.1, 0.4], "failed": [float("nan")]})
    >>> moderated.labels, moderated.prior_degrees
    (('a', 'b'), inf)
    """
    logarithms = {}
    for label, values in errors.items():
        array = np.asarray(list(values), np.float64)
        usable = array[(array > 0) & (array < np.inf)]
        if len(usable):
            logarithms[label] = np.log(usable)
    counts = np.array([len(values) for values in logarithms.values()], int)
    variances = np.array(
        [values.var(ddof=1) if len(values) > 1 else math.nan for values in logarithms.values()]
    )
    residual = counts - 1
    several = residual > 0
    degrees = np.zeros(len(counts))
    deviations = np.full(len(counts), math.nan)
    prior_degrees = prior_variance = math.nan
    if several.any():
        # Variances have a lower limit, as in limma: 0 has no logarithm, and a variance far below
        # the others would make the variances appear unrelated.
        smallest = max(1e-5 * np.median(variances[several]), _MIN_DEVIATION**2)
        variances = np.maximum(variances, smallest)
        prior_degrees, prior_variance = _fit_prior(variances[several], residual[several])
        # A moderated variance has at most the degrees of freedom of the pooled variance.
        degrees = np.minimum(prior_degrees + residual, residual.sum())
        share = 1 / (1 + residual / prior_degrees)  # weight of the prior variance
        deviations = np.sqrt(share * prior_variance + (1 - share) * np.nan_to_num(variances))
    return ModeratedErrors(
        labels=tuple(logarithms),
        means=np.array([values.mean() for values in logarithms.values()]),
        counts=counts,
        variances=variances,
        deviations=deviations,
        degrees=degrees,
        prior_degrees=prior_degrees,
        prior_deviation=math.sqrt(prior_variance),
    )


def _fit_prior(variances: np.ndarray, degrees: np.ndarray) -> tuple[float, float]:
    """Estimate d₀ and s₀² from mean and variance of the log of ``variances``, ``(networks,)``."""
    logarithms = _log_mean(variances, degrees)
    spread = logarithms.var(ddof=1) if len(variances) > 1 else 0
    excess = float(spread - special.polygamma(1, degrees / 2).mean())
    if excess <= 0:
        # For infinite d₀, the pooled variance is the maximum-likelihood estimate. The formula below
        # would give a larger number.
        return math.inf, float((degrees * variances).sum() / degrees.sum())
    prior_degrees = 2 * _trigamma_inverse(excess)
    correction = _log_mean(1.0, np.asarray(prior_degrees))
    return prior_degrees, math.exp(logarithms.mean() - correction)


def _trigamma_inverse(value: float) -> float:
    """Return the x at which the trigamma function ψ'(x) is ``value``, above 0."""
    # The bounds follow from 1/x < ψ'(x) < 1/x + 1/x².
    low, high = 1 / value, (1 + math.sqrt(1 + 4 * value)) / (2 * value)
    return float(
        optimize.brentq(lambda x: float(special.polygamma(1, x)) - value, low, high, rtol=1e-12)
    )


def _draw_priors(
    variances: np.ndarray, degrees: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw d₀ and s₀² from their posterior distribution.

    Args:
        variances: Residual variances, ``(networks,)``.
        degrees: Degrees of freedom of the residual variances, ``(networks,)``.
        rng: Generator of the draws.

    Returns:
        d₀ and s₀², each ``(DRAWS, 1)``.
    """
    # For each d₀, the values of log s₀² reach 5 standard errors to each side of an estimate. The
    # posterior distribution is narrower than that, so they cover it.
    prior_degrees = _PRIOR_DEGREES
    prior_halves, halves = prior_degrees[:, None, None] / 2, degrees / 2
    center = _log_mean(variances, degrees).mean() - _log_mean(1, prior_degrees)
    squares = special.polygamma(1, halves).mean() + special.polygamma(1, prior_degrees / 2)
    step = np.sqrt(squares / len(variances)) / _STEPS_PER_ERROR
    levels = center[:, None] + step[:, None] * np.arange(
        -5 * _STEPS_PER_ERROR, 5 * _STEPS_PER_ERROR + 1
    )
    # A residual variance divided by s₀² has the F distribution with d_g and d₀ degrees of freedom.
    ratios = halves / prior_halves * variances / np.exp(levels)[:, :, None]
    likelihood = (
        halves * np.log(ratios)
        - (halves + prior_halves) * np.log1p(ratios)
        - special.betaln(halves, prior_halves)
    ).sum(axis=2)  # (prior degrees, levels)

    # The prior is uniform in these weights, so a value of d₀ counts by the width of its interval.
    weights = prior_degrees / (prior_degrees + np.median(degrees))
    edges = np.concatenate([weights[:1], (weights[1:] + weights[:-1]) / 2, [1]])
    posterior = np.exp(likelihood - likelihood.max()) * (np.diff(edges) * step)[:, None]
    cumulative = np.cumsum(posterior)
    drawn = np.searchsorted(cumulative, rng.random(DRAWS) * cumulative[-1])
    row, level = np.unravel_index(drawn.clip(max=posterior.size - 1), posterior.shape)
    # Within a step of log s₀², the distribution is nearly uniform.
    logarithms = levels[row, level] + step[row] * (rng.random(DRAWS) - 0.5)
    return prior_degrees[row][:, None], np.exp(logarithms)[:, None]


def _log_mean(variances: ArrayLike, degrees: np.ndarray) -> np.ndarray:
    """Return e_g, the logarithm of χ²-distributed variances without its bias."""
    return np.asarray(np.log(variances) - special.digamma(degrees / 2) + np.log(degrees / 2))
