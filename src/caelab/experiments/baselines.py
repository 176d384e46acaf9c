"""The linear codes that stand beside a network: PCA at the size of its code, and at its narrowest."""

from pathlib import Path

import numpy as np
import pooch

from caelab.experiments.config import RunConfig
from caelab.experiments.materials import Parts
from caelab.measuring.baselines import LARGEST_DIMENSION, cached_principal_components
from caelab.networks import Description
from caelab.training.pixels import Pixels


def linear_code_errors(
    parts: Parts, measured: Pixels, description: Description, config: RunConfig
) -> dict[int, np.ndarray]:
    """Return the errors of PCA, fitted on the training part, by the size of its code.

    There are none where the network names no code or a skip runs around it, where the images are too large for a
    whole-image PCA, or where the code is no smaller than the image.
    """
    dimension = int(np.prod(parts.train.shape))
    if description.code is None or description.skip_around_code or dimension > LARGEST_DIMENSION:
        return {}
    sizes = sorted({size for size in (description.code.size, description.narrowest.size) if size < dimension})
    if not sizes:
        return {}
    key = f"{parts.source.fingerprint[:16]}-{config.split}-{config.split_seed}"
    components = cached_principal_components(parts.train, Path(pooch.os_cache("caelab")), key)
    return {size: components.errors(measured, size) for size in sizes}
