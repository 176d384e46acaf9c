"""What stands beside a network: linear codes of its size, or what needs no training at all."""

from pathlib import Path

import numpy as np
import pooch

from caelab.baselines.classical_choice import cached_classical_measures
from caelab.baselines.gray_baseline import average_chroma, gray_copy, mean_chroma
from caelab.baselines.pca import LARGEST_DIMENSION, cached_code_errors
from caelab.color import SPACES
from caelab.data import Source
from caelab.data.pixels import Pixels
from caelab.experiments.config import RunConfig
from caelab.experiments.setup import Parts
from caelab.metrics.evaluate import Restore, measure_restored
from caelab.networks import Description


def baseline_measures(
    parts: Parts,
    measured: Pixels,
    description: Description,
    config: RunConfig,
    *,
    source: Source | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Return the measures of each image, ``float64 (N,)``, of what a network is compared with.

    Where images are given as they are, PCA of its code's size, fitted on the training part; where
    they are gray, the gray image itself, and the same mean chroma everywhere; else what was given,
    and classical methods with parameters chosen on validation images. These are measured on some of
    the images only, those that ``classical_choice.some`` takes.

    Args:
        parts: What is fitted and chosen on.
        measured: What is measured.
        description: Of the network.
        config: Of the run that ``parts`` are for.
        source: Of ``measured``, where that is of other data.
    """
    degradation = config.degradation
    if not degradation.steps:
        linear = linear_code_errors(parts, measured, description, source=source)
        return {f"pca-{size}": {"mse": errors} for size, errors in linear.items()}
    methods: dict[str, Restore] = {"as given": lambda given: given.clamp(0, 1)}
    if degradation.channels(3) == 1:
        space = SPACES["ycbcr"]
        chroma = average_chroma(parts.train, space)
        methods = {
            "gray copy": lambda given: gray_copy(given.clamp(0, 1)),
            "mean chroma": lambda given: mean_chroma(given.clamp(0, 1), chroma, space),
        }
    baselines = {
        name: measure_restored(restore, measured, degradation) for name, restore in methods.items()
    }
    classical = cached_classical_measures(
        parts.validation,
        measured,
        degradation,
        Path(pooch.os_cache("caelab")),
        "-".join(each.fingerprint[:16] for each in (parts.source, source) if each is not None),
    )
    return {**baselines, **classical}


def linear_code_errors(
    parts: Parts, measured: Pixels, description: Description, *, source: Source | None = None
) -> dict[int, np.ndarray]:
    """Return the errors of PCA, fitted on the training part, by the size of its code.

    There are none where the network names no code or a skip runs around it, where the images are
    too large for a whole-image PCA, or where the code is no smaller than the image.
    """
    dimension = int(np.prod(parts.train.shape))
    if description.code is None or description.skip_around_code or dimension > LARGEST_DIMENSION:
        return {}
    sizes = sorted(
        {size for size in (description.code.size, description.narrowest.size) if size < dimension}
    )
    key, measured_key = (each.fingerprint[:16] for each in (parts.source, source or parts.source))
    folder = Path(pooch.os_cache("caelab"))
    return cached_code_errors(
        parts.train, measured, sizes, folder, key=key, measured_key=measured_key
    )
