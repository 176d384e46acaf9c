"""Errors of an image estimate, one value per image, so that models can be compared in pairs."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from caelab.data.pixels import Pixels
from caelab.degrade.apply import degrade
from caelab.degrade.degradation import Degradation
from caelab.device import autocast
from caelab.models.image_model import ImageModel
from caelab.models.inference import Inference
from caelab.randomness import image_keys

CLEAN = Degradation()
"""No degradation."""

EVALUATION_SEED = 0
"""Of what chance does to images that are measured: the same for all models, so that they are
comparable in pairs."""


def squared_error(estimate: Tensor, target: Tensor) -> Tensor:
    """Return each image's mean squared error over pixels and channels: ``(N, C, H, W)`` twice →
    ``(N,)``.
    """
    return (estimate - target).square().flatten(1).mean(1)


def psnr(mse: np.ndarray) -> np.ndarray:
    """Return the peak signal-to-noise ratio in dB, −10·log10(MSE), of images in [0, 1]; infinite
    where MSE is 0.
    """
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(np.asarray(mse, np.float64))


def summarize_errors(mse: np.ndarray, **others: np.ndarray) -> dict[str, float | int]:
    """Return the numbers that a result states about images' errors ``(N,)``.

    ``mse`` is the mean over images; ``psnr`` the mean of the images' PSNR; ``psnr_of_mean`` the
    PSNR of ``mse``, which is lower (Jensen) and is what many papers print; ``n`` counts the images.
    Of other metrics the mean is stated.
    """
    mean = float(np.mean(mse, dtype=np.float64))
    return {
        "mse": mean,
        "psnr": float(np.mean(psnr(mse))),
        "psnr_of_mean": -10.0 * math.log10(mean) if mean > 0 else math.inf,
        **{name: float(np.mean(values)) for name, values in others.items() if name != "psnr"},
        "n": len(mse),
    }


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What was made of some images, all ``float32 (N, C, H, W)``.

    Attributes:
        estimate: The image that came out, in [0, 1].
        target: The clean image, in [0, 1].
        given: What it was made of, of one channel where that was gray, and not clipped.
    """

    estimate: Tensor
    target: Tensor
    given: Tensor


Restore = Callable[[Tensor], Tensor]
"""From what is given, ``(N, C', H, W)``, to an image in [0, 1], ``(N, C, H, W)``: a model, or a
classical method."""


@torch.no_grad()
def estimates(
    restore: Restore, pixels: Pixels, *, degradation: Degradation = CLEAN, batch: int = 512
) -> Iterator[Estimate]:
    """Yield what becomes of degraded images, batch by batch in order.

    What chance does to an image is the same in every evaluation, of whatever method.
    """
    for chosen in pixels.batches(batch):
        target = pixels.batch(chosen)
        keys = image_keys(pixels.rows[chosen], EVALUATION_SEED).to(pixels.device)
        given = degrade(target, degradation, keys)
        yield Estimate(estimate=restore(given), target=target, given=given)


@contextmanager
def restoring(model: ImageModel, precision: torch.dtype = torch.float32) -> Iterator[Restore]:
    """Have the model in evaluation mode while the block runs, its convolutions computed in
    ``precision``.
    """
    inference, training = Inference(model), model.training

    def restore(given: Tensor) -> Tensor:
        with autocast(given.device, precision):
            return inference.restore(given)

    model.eval()
    try:
        yield restore
    finally:
        model.train(training)


def reconstruction_errors(
    model: ImageModel,
    pixels: Pixels,
    *,
    degradation: Degradation = CLEAN,
    batch: int = 512,
    precision: torch.dtype = torch.float32,
) -> np.ndarray:
    """Return every image's MSE on clipped [0, 1] pixels, ``float64 (N,)``."""
    with restoring(model, precision) as restore:
        made = estimates(restore, pixels, degradation=degradation, batch=batch)
        errors = [squared_error(each.estimate, each.target) for each in made]
    return torch.cat(errors).double().cpu().numpy()
