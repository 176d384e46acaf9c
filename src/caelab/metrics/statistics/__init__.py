"""Statistics that say how sure a number is; numpy and scipy only.

Two things vary and are kept apart: the *seed* of a training (``mean_interval``, ``effect``), and
what a result is an average over: *images* (``compare_pairs``) or *architectures* (the
correlations). Where there is too little to say something, an interval has no bounds and is
``undetermined``; nothing fails.
"""

from caelab.metrics.statistics.correlations import (
    FEWEST_ARCHITECTURES,
    PowerLaw,
    partial_correlation,
    pearson_log,
    power_law,
    spearman,
)
from caelab.metrics.statistics.intervals import Effect, Interval, effect, mean_interval
from caelab.metrics.statistics.pairs import FEWEST_IMAGES, PairedComparison, compare_pairs, holm
from caelab.metrics.statistics.pareto import pareto_front

__all__ = [
    "FEWEST_ARCHITECTURES",
    "FEWEST_IMAGES",
    "Effect",
    "Interval",
    "PairedComparison",
    "PowerLaw",
    "compare_pairs",
    "effect",
    "holm",
    "mean_interval",
    "pareto_front",
    "partial_correlation",
    "pearson_log",
    "power_law",
    "spearman",
]
