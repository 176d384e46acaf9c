"""Errors of an image estimate, one value per image, so that models can be compared in pairs."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from caelab.training.compose import ImageModel
from caelab.training.device import autocast
from caelab.training.pixels import Pixels


def squared_error(estimate: Tensor, target: Tensor) -> Tensor:
    """Return each image's mean squared error over pixels and channels: ``(N, C, H, W)`` twice → ``(N,)``."""
    return (estimate - target).square().flatten(1).mean(1)


def psnr(mse: np.ndarray) -> np.ndarray:
    """Return the peak signal-to-noise ratio in dB, −10·log10(MSE), of images in [0, 1]; infinite where MSE is 0."""
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(np.asarray(mse, np.float64))


def summarize_errors(mse: np.ndarray) -> dict[str, float | int]:
    """Return the numbers that a result states about images' errors ``(N,)``.

    ``mse`` is the mean over images; ``psnr`` the mean of the images' PSNR; ``psnr_of_mean`` the PSNR of ``mse``, which
    is lower (Jensen) and is what many papers print.
    """
    mean = float(np.mean(mse, dtype=np.float64))
    return {
        "mse": mean,
        "psnr": float(np.mean(psnr(mse))),
        "psnr_of_mean": -10.0 * math.log10(mean) if mean > 0 else math.inf,
        "n": len(mse),
    }


@torch.no_grad()
def estimates(
    model: ImageModel, pixels: Pixels, *, batch: int, precision: torch.dtype
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ``(estimate, target)`` in [0, 1], batch by batch in order, with the model in evaluation mode."""
    training = model.training
    model.eval()
    try:
        for chosen in pixels.batches(batch):
            target = pixels.batch(chosen)
            with autocast(pixels.device, precision):
                output = model(target)
            yield model.image(output), target
    finally:
        model.train(training)


def reconstruction_errors(
    model: ImageModel, pixels: Pixels, *, batch: int = 512, precision: torch.dtype = torch.float32
) -> np.ndarray:
    """Return every image's MSE on clipped [0, 1] pixels, ``float64 (N,)``."""
    errors = [squared_error(*pair) for pair in estimates(model, pixels, batch=batch, precision=precision)]
    return torch.cat(errors).double().cpu().numpy()
