"""Principal component analysis (PCA): linear codes that a network's code is compared with."""

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
"""Largest number of values in an image or a patch for PCA. The covariance matrix has the square of
this number of entries."""


@dataclass(frozen=True, kw_only=True)
class PrincipalComponents:
    """Linear codes of every size with the smallest squared error (Eckart and Young 1936).

    They are codes of whole images or of patches. All patches have the same components, so a code of
    patches is the best linear *convolutional* code whose stride equals its kernel size.

    Attributes:
        mean: Mean image or patch on [0, 1], flattened channels first, ``float32 (D,)``.
        components: Orthonormal rows ``float32 (D, D)``, in the order of decreasing variance.
        kernel: Height and width of the patches that tile an image, or of the whole image.
    """

    mean: Tensor
    components: Tensor
    kernel: tuple[int, int]

    @classmethod
    def fit(cls, pixels: DeviceImages, kernel: tuple[int, int]) -> "PrincipalComponents":
        """Fit the components to patches of the size ``kernel`` in images of the training part."""
        dimension = pixels.shape[0] * kernel[0] * kernel[1]
        # The device computes products of rows. The CPU adds them in float64, which not every device
        # has.
        mean = torch.zeros(dimension, dtype=torch.float64)
        second = torch.zeros(dimension, dimension, dtype=torch.float64)
        count = 0
        batches = pixels.batches(1024)
        # Computing the eigenvectors takes about as long as computing all products.
        eigenvector_steps = len(batches)
        steps = len(batches) + eigenvector_steps
        with progress("PCA, the linear code to compare with", steps) as bar:
            for chosen in batches:
                rows = _to_rows(pixels.batch(chosen), kernel).mul(255).round_().sub_(128)
                # The values are whole numbers in [−128, 127]. The sum of 1,024 products of two of
                # them is at most 2²⁴, so float32 is exact, and the sums are the same on every
                # machine.
                for some in torch.split(rows, 1024):
                    mean += some.sum(0).cpu()
                    second += (some.T @ some).cpu()
                count += len(rows)
                bar()
            mean /= count
            _, vectors = torch.linalg.eigh((second / count - torch.outer(mean, mean)) / 255**2)
            bar(eigenvector_steps)
        return cls(
            mean=((mean + 128) / 255).float().to(pixels.device),
            components=vectors.flip(1).T.float().contiguous().to(pixels.device),
            kernel=kernel,
        )

    @classmethod
    def cached(cls, train: DeviceImages, *, patch: int | None = None) -> "PrincipalComponents":
        """Return the components of training images, from the cache where possible.

        Args:
            train: Images that the components are fitted to.
            patch: Side of the patches in pixels; ``None`` for whole images.
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
        """Encode each image by ``size`` numbers, and return the decoded images.

        Args:
            images: Images ``float32 (N, C, H, W)`` in [0, 1].
            size: Number of values in the code of an image.

        Returns:
            Images of the same shape, clipped to [0, 1].
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
    """Return each image's MSE for linear codes of several sizes, from the cache where possible.

    The cache saves time, because fitting takes seconds and all runs of a study use the same errors.

    Args:
        train: Images that the components are fitted to.
        measured: Images that the errors are measured on.
        sizes: Numbers of values in the codes. Sizes that :func:`suitable_sizes` does not return are
            left out.
        patch: Side of the patches in pixels; ``None`` for whole images.

    Returns:
        MSE of each image, ``float64 (N,)``, by size.
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
    """Return, in ascending order, those sizes that a linear code of the images can have.

    Args:
        shape: Shape ``(C, H, W)`` of the images.
        count: Number of training images, which span at most ``count − 1`` directions.
        sizes: Sizes to choose from: numbers of values in a code.
        patch: Side of the patches in pixels; ``None`` for whole images. Patches must tile the
            image, and each patch must get the same share of the code.

    >>> suitable_sizes((3, 32, 32), 1000, [100, 768, 3072], patch=8)
    [768]
    >>> suitable_sizes((3, 32, 32), 500, [256, 768, 1024])
    [256]
    """
    channels, height, width = shape
    down, across = patch or height, patch or width
    patches, dimension = height // down * (width // across), channels * down * across
    tiled = height % down == width % across == 0
    # A single patch would be the whole image, for which `patch` is None.
    if not tiled or dimension > MAX_DIMENSION or (patch and patches == 1):
        return []
    # All numbers of a code beyond the rank would be 0.
    rank = min(dimension, count * patches) - 1
    return sorted({size for size in sizes if 0 < size <= rank * patches and size % patches == 0})


def _to_rows(images: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Cut images ``(N, C, H, W)`` into flat patches ``(N · patches, D)``, image by image."""
    return F.unfold(images, kernel, stride=kernel).transpose(1, 2).flatten(0, 1)
