"""The key of an image, from which all its random numbers follow."""

import numpy as np
from numpy.typing import NDArray

_STREAM = 3


def image_keys(rows: NDArray[np.int64], seed: int, *moments: int) -> NDArray[np.int64]:
    """Return each image's key, ``int64 (N,)``, all bits of it random.

    Args:
        rows: Where in the data set the images are, ``int64 (N,)``, not negative.
        seed: Of the run, not negative.
        moments: None for evaluation: the same impairment every time. The epoch for training:
            another one in each.
    """
    # Moments as a spawn key: appended to the seed, a moment 0 would be the same as none.
    (base,) = np.random.SeedSequence([seed, _STREAM], spawn_key=moments).generate_state(
        1, np.uint64
    )
    keys = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + base
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(
        0xBF58476D1CE4E5B9
    )  # SplitMix64 (Steele et al. 2014)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.int64] = (keys ^ (keys >> np.uint64(31))).view(np.int64)
    return mixed
