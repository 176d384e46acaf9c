"""Degrade images, restore them by any method, and measure the error of each image."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from caelab.data.device_images import DeviceImages
from caelab.degrade.apply import degrade
from caelab.degrade.degradation import Degradation
from caelab.metrics.image_metrics import METRICS, measure, squared_error
from caelab.randomness import image_keys

CLEAN = Degradation()
"""No degradation: the method gets the clean images and reconstructs them."""

EVALUATION_SEED = 0
"""Seed of the noise and masks of evaluated images. All methods get the same inputs, so that the
methods can be compared image by image."""

Restore = Callable[[Tensor], Tensor]
"""A method: a function from degraded ``(N, C', H, W)`` to restored ``(N, C, H, W)`` in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A batch of images: restored, clean and degraded, ``float32 (N, C, H, W)`` each.

    Attributes:
        estimate: The restored images, in [0, 1].
        target: The clean images, in [0, 1].
        degraded: The degraded images, which the method restored. They have one channel if they are
            gray, and their values can be outside [0, 1].
    """

    estimate: Tensor
    target: Tensor
    degraded: Tensor


@torch.no_grad()
def estimates(
    restore: Restore,
    pixels: DeviceImages,
    *,
    degradation: Degradation = CLEAN,
    batch_size: int = 512,
    adjust: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[Estimate]:
    """Degrade images and restore them with a method; yield the results batch by batch, in order.

    Noise and masks depend only on the image, so every method restores the same inputs.

    Args:
        restore: The method.
        pixels: The clean images.
        degradation: Degradation of the images before the method restores them.
        batch_size: Number of images in a batch; noise and masks do not depend on it.
        adjust: Function that changes the clean images, ``(N, C, H, W)`` in [0, 1], before the
            degradation; ``None`` for no change.
    """
    for rows in pixels.batches(batch_size):
        target = pixels.batch(rows) if adjust is None else adjust(pixels.batch(rows))
        # Keys come from an image's row in the data set, so that a subset of the test images gets
        # the same noise as all of them.
        keys = image_keys(pixels.rows[rows], EVALUATION_SEED).to(pixels.device)
        degraded = degrade(target, degradation, keys)
        yield Estimate(estimate=restore(degraded), target=target, degraded=degraded)


def squared_errors(
    restore: Restore,
    pixels: DeviceImages,
    *,
    degradation: Degradation = CLEAN,
    batch_size: int = 512,
) -> np.ndarray:
    """Return the mean squared error of every image that a method restores.

    Args:
        restore: The method.
        pixels: Clean images ``(N, C, H, W)``.
        degradation: Degradation of the images before the method restores them.
        batch_size: Number of images in a batch; noise and masks do not depend on it.

    Returns:
        Errors on [0, 1] pixels, ``float64 (N,)``.

    >>> white = np.full((2, 3, 4, 4), 255, np.uint8)
    >>> pixels = DeviceImages.of(white, np.arange(2), device=torch.device("cpu"))
    >>> squared_errors(lambda images: images * 0.5, pixels)
    array([0.25, 0.25])
    """
    batches = estimates(restore, pixels, degradation=degradation, batch_size=batch_size)
    errors = (squared_error(each.estimate, each.target) for each in batches)
    found = ({"mse": each.cpu().double().numpy()} for each in errors)
    return join_batches(found, len(pixels))["mse"]


def measure_restored(
    restore: Restore, pixels: DeviceImages, degradation: Degradation
) -> dict[str, np.ndarray]:
    """Return the values of all metrics that suit a degradation, for each image that is restored.

    Args:
        restore: The method.
        pixels: Clean images ``(N, C, H, W)``.
        degradation: Degradation of the images before the method restores them.

    Returns:
        Values ``float64 (N,)`` by name. Without a degradation, only ``mse``. If the degradation
        removes color, all of ``METRICS``, and ``true_colorfulness``, the colorfulness of the clean
        images. Otherwise the metrics that do not need color images.
    """
    # The metrics of color are left out if possible: they take twice as long as all others.
    gray = degradation.channels(3) == 1
    names = [name for name, metric in METRICS.items() if gray or not metric.color]

    def values(each: Estimate) -> dict[str, np.ndarray]:
        found = measure(each.estimate, each.target, names if degradation.steps else ["mse"])
        if "colorfulness" in found:
            truth = measure(each.target, each.target, ["colorfulness"])
            found["true_colorfulness"] = truth["colorfulness"]
        return found

    batches = map(values, estimates(restore, pixels, degradation=degradation))
    return join_batches(batches, len(pixels))


def join_batches(batches: Iterable[dict[str, np.ndarray]], count: int) -> dict[str, np.ndarray]:
    """Concatenate the values of all batches.

    Args:
        batches: For each batch, its values ``(K,)`` by name; each batch has the same names.
        count: Number of all values of a name.

    Returns:
        All values ``float64 (count,)`` by name.
    """
    # If each batch kept a small array of its own, these arrays would lie between the large blocks
    # of memory of the batches, and the allocator could not use the blocks again.
    joined: dict[str, np.ndarray] = {}
    start = 0
    for values in batches:
        joined = joined or {name: np.empty(count) for name in values}
        stop = start + len(next(iter(values.values())))
        for name, array in joined.items():
            array[start:stop] = values[name]
        start = stop
    return joined
