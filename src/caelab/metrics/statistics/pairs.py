"""Models in pairs on the same images: which is better, and would other images say the same?"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from caelab.metrics.statistics.intervals import Interval

FEWEST_IMAGES = 6
"""Below it the two-sided sign-flip test cannot reach 5%: 2 / 2⁵ is more than that."""

_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Two models on the same images.

    Attributes:
        first: One model's name.
        second: The other's.
        difference: Mean error of ``first`` minus that of ``second``, with the bootstrap's
            percentile interval over images; below 0, ``first`` is better. It is not corrected for
            the number of pairs.
        p_value: Of the sign-flip test of no difference, two-sided.
        corrected: The same after Holm's correction for all pairs that were compared at once.
    """

    first: str
    second: str
    difference: Interval
    p_value: float
    corrected: float

    @property
    def better(self) -> str | None:
        """The better model; ``None`` where the interval covers 0 or the corrected test does not
        reject.
        """
        side = self.difference.side(0.0)
        if side == 0 or self.corrected > 1 - self.difference.confidence:
            return None
        return self.second if side > 0 else self.first


def compare_pairs(
    errors: Mapping[str, Sequence[float] | np.ndarray],
    *,
    seed: int = 0,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> tuple[PairedComparison, ...]:
    """Compare every two of the models by their errors on the same images.

    The intervals come from resampling images (Efron 1979), the p-values from flipping the sign of
    each image's difference at random, which leaves its distribution as it is if the models are
    alike (Fisher 1935). Both speak of other *images*; what another seed of the training would do
    they cannot see. All pairs share the resamples, so the time hardly grows with their number.

    Args:
        errors: Each model's error on every image, ``(N,)``, the images in the same order.
        seed: Seeds the resamples and the flips.
        resamples: Of each. No p-value can be smaller than 1 / (resamples + 1), also before Holm's
            correction.
        confidence: Of the intervals.

    Returns:
        A comparison for each pair, in the order of ``itertools.combinations``. With fewer than
        ``FEWEST_IMAGES`` images the intervals have no bounds.

    Raises:
        ValueError: The models were measured on different numbers of images, or on none, or an error
            is not finite.
    """
    names = list(errors)
    lengths = {len(values) for values in errors.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(
            f"models compared in pairs need the same images, not {sorted(lengths)} of them"
        )
    if len(names) < 2:
        return ()
    table = np.stack(
        [np.asarray(errors[name], np.float64) for name in names], axis=1
    )  # (N, models)
    if not np.isfinite(table).all():
        raise ValueError("errors that are compared must be finite")
    table -= table.mean(
        axis=1, keepdims=True
    )  # the pairs' differences stay; rounding shrinks with the numbers
    count = len(table)
    first, second = np.array(list(itertools.combinations(range(len(names)), 2))).T
    observed = (table[:, first] - table[:, second]).mean(axis=0)
    scale = np.abs(table[:, first] - table[:, second]).mean(axis=0)

    bootstrap_generator, flip_generator = np.random.default_rng(seed).spawn(2)
    resampled = np.empty((resamples, len(names)))
    as_extreme = np.zeros(len(observed))
    step = max(1, _NUMBERS_AT_ONCE // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = (
            bootstrap_generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        )
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        resampled[start : start + rows] = times @ table / count
        signs = flip_generator.integers(0, 2, (rows, count), np.int8) * 2.0 - 1.0
        flipped = signs @ table / count
        # Ties with what was observed count, and rounding must not part them.
        as_extreme += (
            np.abs(flipped[:, first] - flipped[:, second]) >= np.abs(observed) - 1e-12 * scale
        ).sum(axis=0)
    p_values = (as_extreme + 1) / (resamples + 1)

    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    comparisons = []
    for index, corrected in enumerate(holm(p_values)):
        estimate = float(observed[index])
        interval = Interval.without_bounds(estimate, count, confidence)
        if count >= FEWEST_IMAGES:
            low, high = np.quantile(resampled[:, first[index]] - resampled[:, second[index]], tails)
            interval = Interval(
                low=float(low), estimate=estimate, high=float(high), n=count, confidence=confidence
            )
        comparisons.append(
            PairedComparison(
                first=names[first[index]],
                second=names[second[index]],
                difference=interval,
                p_value=float(p_values[index]),
                corrected=corrected,
            )
        )
    return tuple(comparisons)


def holm(p_values: Sequence[float] | np.ndarray) -> list[float]:
    """Return p-values corrected for their number, in their order (Holm 1979).

    Rejecting where the corrected value is at most α makes at least one false rejection with
    probability α at most.
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(stepped, 1)
    return [float(value) for value in corrected]
