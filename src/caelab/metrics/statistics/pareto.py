"""What is best when more than one thing counts."""

import numpy as np
from numpy.typing import ArrayLike


def pareto_front(costs: ArrayLike) -> np.ndarray:
    """Return which rows of ``costs``, ``(N, K)``, are on the Pareto front when every column is to
    be small: bool (N,).

    A row is off the front when another is no larger in any column and smaller in one, or when it
    holds a NaN. Rows that are alike are on it together.
    """
    table = np.asarray(costs, np.float64)
    others, rows = table[:, None], table[None, :]
    dominates = (others <= rows).all(axis=2) & (others < rows).any(axis=2)
    return np.logical_not(dominates.any(axis=0) | np.isnan(table).any(axis=1))
