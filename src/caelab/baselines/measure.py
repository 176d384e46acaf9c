"""Measure all baselines of a task on the images that a network is measured on."""

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
    """Return the metrics of all baselines that a network is compared with.

    Args:
        train: Images that baselines are fitted on.
        validation: Images by which the parameters of classical methods are chosen.
        measured: Clean images that the baselines are measured on. Classical methods are measured on
            some of them only.
        degradation: The degradation that the network undoes.
        description: Description of the network, which determines the sizes of linear codes.

    Returns:
        Metrics of each baseline, ``float64 (N,)`` by the metric's name. Without a degradation, the
        baselines are linear codes ``pca-{size}``. Their sizes are those of the network's code and
        of its narrowest representation; there are none if it has no bottleneck or the images are
        too large. For gray images, the baselines are ``gray copy`` and ``mean chroma``. For any
        other degradation, they are ``as given``, which is the degraded image itself, and the
        classical methods.
    """
    if not degradation.steps:
        # A skip connection around the code passes on more than the code, so a linear code of the
        # same size would be no fair comparison.
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
    """Return the degraded images ``(N, C, H, W)`` themselves, clipped to [0, 1]."""
    return images.clamp(0, 1)
