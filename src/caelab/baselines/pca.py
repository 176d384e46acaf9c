"""Principal component analysis: the linear codes that a network's code must beat."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caelab.baselines.cache import cached_arrays
from caelab.data.device_images import DeviceImages
from caelab.metrics.evaluate import squared_errors
from caelab.progress import progress

MAX_DIMENSION = 4096
"""Largest number of values of an image or a patch for a PCA, whose covariance matrix has the square
of this number of entries."""


@dataclass(frozen=True, kw_only=True)
class PrincipalComponents:
    """The best linear code of every size for images (Eckart and Young 1936).

    For patches it is the best linear *convolutional* code whose stride equals its kernel size: all
    patches have the same components.

    Attributes:
        mean: Mean image or patch on [0, 1], flattened channels first, ``float32 (D,)``.
        components: Orthonormal rows ``float32 (D, D)``, those of the largest variance first.
        kernel: Height and width of the patches that tile an image; those of the whole image for
            components of whole images.
    """

    mean: Tensor
    components: Tensor
    kernel: tuple[int, int]

    @classmethod
    def fit(cls, pixels: DeviceImages, kernel: tuple[int, int]) -> "PrincipalComponents":
        """Fit on the patches ``kernel`` of images, which should be the training part."""
        dimension = pixels.shape[0] * kernel[0] * kernel[1]
        # The device computes products of rows, and the CPU adds them, because not every device has
        # float64.
        mean = torch.zeros(dimension, dtype=torch.float64)
        second = torch.zeros(dimension, dimension, dtype=torch.float64)
        count = 0
        batches = pixels.batches(1024)
        eigenvectors = len(batches)  # they take about as long as all products together
        with progress("PCA, the linear code to compare with", len(batches) + eigenvectors) as bar:
            for chosen in batches:
                rows = _to_rows(pixels.batch(chosen), kernel).mul(255).round_().sub_(128)
                # Whole numbers in [−128, 127]: 1,024 products of two add up to 2²⁴ at most, which
                # float32 holds exactly. So the sums are exact, and the same on every machine.
                for some in torch.split(rows, 1024):
                    mean += some.sum(0).cpu()
                    second += (some.T @ some).cpu()
                count += len(rows)
                bar()
            mean /= count
            _, vectors = torch.linalg.eigh((second / count - torch.outer(mean, mean)) / 255**2)
            bar(eigenvectors)
        return cls(
            mean=((mean + 128) / 255).float().to(pixels.device),
            components=vectors.flip(1).T.float().contiguous().to(pixels.device),
            kernel=kernel,
        )

    @classmethod
    def cached(cls, train: DeviceImages, *, patch: int | None = None) -> "PrincipalComponents":
        """Return the components of training images, from the cache where possible.

        Args:
            train: Images that the components are fitted on.
            patch: Side of the patches; ``None`` for whole images.
        """
        kernel = (patch, patch) if patch else train.shape[1:]

        def fit() -> dict[str, np.ndarray]:
            fitted = cls.fit(train, kernel)
            return {
                "mean": fitted.mean.cpu().numpy(),
                "components": fitted.components.cpu().numpy(),
            }

        arrays = cached_arrays("linear-components", train, patch, compute=fit)
        tensors = {name: torch.from_numpy(array).to(train.device) for name, array in arrays.items()}
        return cls(**tensors, kernel=kernel)

    def restore(self, images: Tensor, size: int) -> Tensor:
        """Return what a code of ``size`` numbers keeps of images.

        Args:
            images: ``float32 (N, C, H, W)`` on [0, 1].
            size: Numbers of the code of an image.
        """
        patches = images[0].numel() // len(self.mean)
        kept = self.components[: size // patches]
        rows = self.mean + (_to_rows(images, self.kernel) - self.mean) @ kept.T @ kept
        columns = rows.view(len(images), patches, -1).transpose(1, 2)
        return F.fold(columns, images.shape[2:], self.kernel, stride=self.kernel).clamp(0, 1)

    def errors(self, pixels: DeviceImages, size: int) -> np.ndarray:
        """Return each image's MSE for a code of ``size`` numbers, ``float64 (N,)``."""
        return squared_errors(partial(self.restore, size=size), pixels, batch_size=2048)


def linear_code_errors(
    train: DeviceImages, measured: DeviceImages, sizes: Iterable[int], *, patch: int | None = None
) -> dict[int, np.ndarray]:
    """Return the errors of linear codes, from the cache where possible.

    The components take seconds to fit, and all runs of a study are compared with the same errors.

    Args:
        train: Images that the components are fitted on.
        measured: Images that the errors are measured on.
        sizes: Numbers of a code; those that are not ``suitable_sizes`` are left out.
        patch: Side of the patches; ``None`` for whole images.

    Returns:
        Errors ``float64 (N,)`` by size.
    """
    wanted = suitable_sizes(measured.shape, len(train), sizes, patch=patch)
    if not wanted:
        return {}

    def measure() -> dict[str, np.ndarray]:
        fitted = PrincipalComponents.cached(train, patch=patch)
        return {str(size): fitted.errors(measured, size) for size in wanted}

    errors = cached_arrays("linear-errors", train, measured, wanted, patch, compute=measure)
    return {size: errors[str(size)] for size in wanted}


def suitable_sizes(
    shape: tuple[int, int, int], count: int, sizes: Iterable[int], *, patch: int | None = None
) -> list[int]:
    """Return the possible sizes of a linear code that is smaller than an image, ascending.

    Args:
        shape: Shape ``(C, H, W)`` of the images.
        count: Number of training images: they span at most ``count − 1`` directions.
        sizes: Numbers of a code.
        patch: Side of the patches, which must tile the image and have equally many numbers of the
            code; ``None`` for whole images.

    >>> suitable_sizes((3, 32, 32), 1000, [100, 768, 3072], patch=8)
    [768]
    >>> suitable_sizes((3, 32, 32), 500, [256, 768, 1024])
    [256]
    """
    channels, height, width = shape
    down, across = patch or height, patch or width
    patches, dimension = height // down * (width // across), channels * down * across
    tiled = height % down == width % across == 0
    # A single patch is a whole image.
    if not tiled or dimension > MAX_DIMENSION or (patch and patches == 1):
        return []
    # Beyond the rank, additional numbers of a code are all 0.
    rank = min(dimension, count * patches) - 1
    return sorted({size for size in sizes if 0 < size <= rank * patches and size % patches == 0})


def _to_rows(images: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Cut images ``(N, C, H, W)`` into flat patches ``(N · patches, D)``, image by image."""
    return F.unfold(images, kernel, stride=kernel).transpose(1, 2).flatten(0, 1)
