"""Every metric that tells something about a task, for each image of a part."""

import numpy as np

from caelab.data.pixels import Pixels
from caelab.degrade.degradation import Degradation
from caelab.metrics.image_errors import Restore, estimates, squared_error
from caelab.metrics.image_metrics import METRICS, measure


def measure_restored(
    restore: Restore, pixels: Pixels, degradation: Degradation
) -> dict[str, np.ndarray]:
    """Return the metrics of what becomes of each image, ``float64 (N,)`` by name.

    Reconstructions of images that were given as they are have their ``mse`` alone; what was done to
    color is measured by all of ``METRICS``, with ``true_colorfulness`` beside; other degradations by
    those that are not of color.
    """
    names = ["mse"]
    if degradation.steps:
        gray = degradation.channels(3) == 1
        names = [name for name, metric in METRICS.items() if gray or not metric.color]
    measured: list[dict[str, np.ndarray]] = []
    for made in estimates(restore, pixels, degradation=degradation):
        if names == ["mse"]:
            measured.append(
                {"mse": squared_error(made.estimate, made.target).double().cpu().numpy()}
            )
            continue
        one = measure(made.estimate, made.target, names)
        if "colorfulness" in one:
            one["true_colorfulness"] = measure(made.target, made.target, ["colorfulness"])[
                "colorfulness"
            ]
        measured.append(one)
    return {name: np.concatenate([one[name] for one in measured]) for name in measured[0]}
