"""What is to be beaten: linear codes of the same size."""

import contextlib
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from caelab.errors import InputError
from caelab.files import replacing
from caelab.measuring.metrics import squared_error
from caelab.progress import progress
from caelab.training.pixels import Pixels

LARGEST_DIMENSION = 4096
"""Numbers an image may have for a whole-image PCA; the covariance matrix has the square of it."""


class PrincipalComponents:
    """Principal component analysis of whole images: the best linear code of every size (Eckart and Young 1936).

    Attributes:
        mean: ``float32 (D,)``, the mean image on [0, 1], flattened channels last.
        components: ``float32 (K, D)``, orthonormal rows, those of the largest variance first; K is D, or one less than
            the images where they are fewer.
    """

    def __init__(self, mean: Tensor, components: Tensor) -> None:
        self.mean = mean
        self.components = components

    @classmethod
    def fit(cls, pixels: Pixels) -> "PrincipalComponents":
        """Fit on a part of the images, which should be the training part.

        Raises:
            ValueError: The images have more than ``LARGEST_DIMENSION`` numbers each.
        """
        dimension = int(np.prod(pixels.shape))
        if dimension > LARGEST_DIMENSION:
            raise ValueError(f"images of {dimension} numbers are too large for a whole-image PCA")
        mean = torch.zeros(dimension, dtype=torch.float64, device=pixels.device)
        second = torch.zeros(dimension, dimension, dtype=torch.float64, device=pixels.device)
        batches = pixels.batches(1024)
        eigenvectors = len(batches)  # they take about as long as all the products
        with progress("PCA, the linear code to compare with", len(batches) + eigenvectors) as bar:
            for chosen in batches:
                # Whole numbers in [-128, 127]: 1,024 products of two add up to 2²⁴ at most, exact in float32.
                flat = _flatten(pixels.batch(chosen)).mul_(255).round_().sub_(128)
                mean += flat.sum(0)
                second += flat.T @ flat
                bar()
            mean /= len(pixels)
            covariance = (second / len(pixels) - torch.outer(mean, mean)) / 255**2
            _, vectors = torch.linalg.eigh(covariance)
            bar(eigenvectors)
        rank = min(dimension, len(pixels) - 1)  # what lies beyond are directions that the images do not determine
        return cls(((mean + 128) / 255).float(), vectors.flip(1).T[:rank].float().contiguous())

    def errors(self, pixels: Pixels, size: int) -> np.ndarray:
        """Return each image's MSE, clipped to [0, 1], when ``size`` numbers of it are kept: ``float64 (N,)``."""
        kept = self.components[:size]
        errors = []
        for chosen in pixels.batches(2048):
            target = _flatten(pixels.batch(chosen))
            estimate = self.mean + (target - self.mean) @ kept.T @ kept
            errors.append(squared_error(estimate.clamp(0, 1), target))
        return torch.cat(errors).double().cpu().numpy()


def cached_principal_components(pixels: Pixels, folder: Path, key: str) -> PrincipalComponents:
    """Return the components fitted on ``pixels``, kept in ``folder`` under ``key``, as fitting takes some seconds.

    A cache that cannot be read is made again; one that cannot be written is done without.
    """
    file = folder / f"pca-{key}.safetensors"
    try:
        kept = load_file(file, device=str(pixels.device))
        return PrincipalComponents(kept["mean"], kept["components"])
    except (OSError, SafetensorError, KeyError):
        fitted = PrincipalComponents.fit(pixels)
    with contextlib.suppress(InputError), replacing(file) as temporary:
        save_file({"mean": fitted.mean.cpu(), "components": fitted.components.cpu()}, temporary)
    return fitted


def _flatten(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).flatten(1)
