"""Explicit generators, one for each purpose, so that changing one thing does not reshuffle
another.
"""

from typing import Literal

import numpy as np
import torch

Purpose = Literal["initialisation", "batches", "dropout"]

# Impairments and augmentation have the third, in impair.keys.
_STREAMS: dict[Purpose, int] = {"initialisation": 1, "batches": 2, "dropout": 4}


def generator_for(seed: int, purpose: Purpose, *moments: int) -> torch.Generator:
    """Return a CPU generator that depends only on the arguments.

    ``moments`` (an epoch, a step) make the stream stateless: a resumed run asks again and gets the
    same numbers, so there is no generator state to save. Streams are separated by numpy's
    ``SeedSequence``.
    """
    entropy = np.random.SeedSequence([seed, _STREAMS[purpose], *moments])
    return torch.Generator().manual_seed(int(entropy.generate_state(1, np.uint64)[0]) & (2**63 - 1))
