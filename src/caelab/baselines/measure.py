"""All baselines of a task, measured on the same images as a network."""

import numpy as np
from torch import Tensor

from caelab.baselines.classical import measure_classical
from caelab.baselines.gray_baseline import gray_copy, mean_chroma
from caelab.baselines.pca import linear_code_errors
from caelab.data.device_images import DeviceImages
from caelab.degrade.degradation import Degradation
from caelab.metrics.evaluate import Restore, measure_restored
from caelab.networks.description import Description


def measure_baselines(
    train: DeviceImages,
    validation: DeviceImages,
    measured: DeviceImages,
    degradation: Degradation,
    description: Description,
) -> dict[str, dict[str, np.ndarray]]:
    """Return the metrics of everything that a network is compared with.

    Args:
        train: Images that baselines are fitted on.
        validation: Images by which the parameters of classical methods are chosen.
        measured: Images that the baselines are measured on; classical methods take some of them.
        degradation: The degradation of the images.
        description: The network, which says how large the linear codes are.

    Returns:
        For each baseline its metrics ``float64 (N,)`` by name. For reconstructions these are linear
        codes ``pca-{size}`` of the network's sizes, none if it has no bottleneck or the images are
        too large; for gray images ``gray copy`` and ``mean chroma``; otherwise ``as given``, the
        degraded image itself, and the classical methods.
    """
    if not degradation.steps:
        # With a skip connection around its code a network passes more than the code on, and a
        # linear code of that size is no fair comparison.
        sizes = []
        if description.code is not None and not description.skip_around_code:
            sizes = [description.code.size, description.narrowest.size]
        errors = linear_code_errors(train, measured, sizes)
        return {f"pca-{size}": {"mse": values} for size, values in errors.items()}
    methods: dict[str, Restore] = {"as given": _as_given}
    if degradation.channels(3) == 1:
        methods = {"gray copy": gray_copy, "mean chroma": mean_chroma(train)}
    simple = {
        name: measure_restored(restore, measured, degradation) for name, restore in methods.items()
    }
    return simple | measure_classical(validation, measured, degradation)


def _as_given(images: Tensor) -> Tensor:
    return images.clamp(0, 1)
