"""Principal component analysis: the linear codes that a network's code must beat."""

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caelab.baselines.cache import cached_arrays
from caelab.data.device_images import DeviceImages
from caelab.metrics.evaluate import Restore, squared_errors
from caelab.progress import progress

MAX_DIMENSION = 4096
"""Largest number of values of an image, or a patch, for a PCA; its covariance matrix has the square
of that."""


class PrincipalComponents:
    """The best linear code of every size for images (Eckart and Young 1936).

    By patch it is the best linear *convolutional* code whose kernel is as large as its stride: the
    same components at every position of the image.

    Attributes:
        mean: Mean image or patch on [0, 1], flattened channels first, ``float32 (D,)``.
        components: Orthonormal rows ``float32 (K, D)``, those of the largest variance first. K is
            D, or one less than the number of images or patches if there are fewer.
        patch: Side in pixels of the square patches that an image is cut into; ``None`` for the
            whole image.
    """

    def __init__(self, mean: Tensor, components: Tensor, *, patch: int | None = None) -> None:
        self.mean = mean
        self.components = components
        self.patch = patch

    @classmethod
    def fit(cls, pixels: DeviceImages, *, patch: int | None = None) -> "PrincipalComponents":
        """Fit on images.

        Args:
            pixels: Images ``(N, C, H, W)``, which should be the training part.
            patch: Side of the patches; ``None`` for whole images.

        Raises:
            ValueError: Images or patches have more than ``MAX_DIMENSION`` values each, or the
                patches do not tile the images.
        """
        *kernel, patches = _tile(pixels.shape, patch)
        dimension = int(np.prod(pixels.shape)) // patches
        if dimension > MAX_DIMENSION:
            what = "images" if patch is None else "patches"
            raise ValueError(f"{what} of {dimension} numbers are too large for a PCA")
        mean = torch.zeros(dimension, dtype=torch.float64, device=pixels.device)
        second = torch.zeros(dimension, dimension, dtype=torch.float64, device=pixels.device)
        batches = pixels.batches(1024)
        eigenvectors = len(batches)  # they take about as long as all the products
        with progress("PCA, the linear code to compare with", len(batches) + eigenvectors) as bar:
            for chosen in batches:
                rows = _to_rows(pixels.batch(chosen), *kernel).mul(255).round_().sub_(128)
                # Whole numbers in [−128, 127]: 1,024 products of two add up to 2²⁴ at most, which
                # float32 holds exactly. So the sums are exact, and the same on every machine.
                for some in torch.split(rows, 1024):
                    mean += some.sum(0)
                    second += some.T @ some
                bar()
            count = len(pixels) * patches
            mean /= count
            _, vectors = torch.linalg.eigh((second / count - torch.outer(mean, mean)) / 255**2)
            bar(eigenvectors)
        rank = min(dimension, count - 1)  # the images determine no further directions
        components = vectors.flip(1).T[:rank].float().contiguous()
        return cls(((mean + 128) / 255).float(), components, patch=patch)

    def restore(self, size: int, shape: tuple[int, int, int]) -> Restore:
        """Return the method that keeps ``size`` numbers of every image.

        Args:
            size: Numbers of a code.
            shape: Shape ``(C, H, W)`` of the images.

        Raises:
            ValueError: The numbers cannot be distributed evenly to the patches.
        """
        *kernel, patches = _tile(shape, self.patch)
        if size % patches:
            raise ValueError(
                f"a code of {size} numbers cannot be shared out evenly to {patches} patches"
            )
        kept = self.components[: size // patches]

        def restore(images: Tensor) -> Tensor:
            rows = self.mean + (_to_rows(images, *kernel) - self.mean) @ kept.T @ kept
            return _to_images(rows, shape, *kernel).clamp(0, 1)

        return restore

    def errors(self, pixels: DeviceImages, size: int) -> np.ndarray:
        """Return each image's MSE when ``size`` numbers of it are kept, ``float64 (N,)``."""
        return squared_errors(self.restore(size, pixels.shape), pixels, batch_size=2048)


def linear_code_errors(
    train: DeviceImages, measured: DeviceImages, sizes: Iterable[int], *, patch: int | None = None
) -> dict[int, np.ndarray]:
    """Return the errors of linear codes, from the cache where possible.

    The components take seconds to fit, and all runs of a study are compared with the same errors.

    Args:
        train: Images that the components are fitted on.
        measured: Images that the errors are measured on.
        sizes: Numbers of a code; those of no code smaller than the image are left out.
        patch: Side of the patches; ``None`` for whole images.

    Returns:
        Errors ``float64 (N,)`` by size.
    """

    def fit() -> dict[str, np.ndarray]:
        fitted = PrincipalComponents.fit(train, patch=patch)
        return {"mean": fitted.mean.cpu().numpy(), "components": fitted.components.cpu().numpy()}

    def measure() -> dict[str, np.ndarray]:
        arrays = cached_arrays("linear-components", train, patch, compute=fit)
        mean, components = (
            torch.from_numpy(arrays[name]).to(measured.device) for name in ("mean", "components")
        )
        fitted = PrincipalComponents(mean, components, patch=patch)
        return {str(size): fitted.errors(measured, size) for size in wanted}

    wanted = suitable_sizes(measured.shape, sizes, patch=patch)
    if not wanted:
        return {}
    errors = cached_arrays("linear-errors", train, measured, wanted, patch, compute=measure)
    return {size: errors[str(size)] for size in wanted}


def suitable_sizes(
    shape: tuple[int, int, int], sizes: Iterable[int], *, patch: int | None = None
) -> list[int]:
    """Return the sizes, ascending, that a linear code of images can have and that are smaller.

    Args:
        shape: Shape ``(C, H, W)`` of the images.
        sizes: Numbers of a code.
        patch: Side of the patches, which must tile the image and share the code evenly; ``None``
            for whole images.

    >>> suitable_sizes((3, 32, 32), [100, 768, 3072], patch=8)
    [768]
    """
    try:
        *_, patches = _tile(shape, patch)
    except ValueError:
        return []
    dimension = int(np.prod(shape))
    # A single patch would repeat the code of whole images.
    if dimension // patches > MAX_DIMENSION or (patch is not None and patches == 1):
        return []
    return sorted({size for size in sizes if 0 < size < dimension and size % patches == 0})


def _tile(shape: tuple[int, int, int], patch: int | None) -> tuple[int, int, int]:
    """Return height and width of the patches that tile an image ``(C, H, W)``, and their number."""
    _, height, width = shape
    if patch is None:
        return height, width, 1
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"patches of {patch}×{patch} do not tile images of {height}×{width}")
    return patch, patch, height // patch * (width // patch)


def _to_rows(images: Tensor, height: int, width: int) -> Tensor:
    """Cut images ``(N, C, H, W)`` into flat patches ``(N · patches, D)``, image by image."""
    kernel = (height, width)
    return F.unfold(images, kernel, stride=kernel).transpose(1, 2).flatten(0, 1)


def _to_images(rows: Tensor, shape: tuple[int, int, int], height: int, width: int) -> Tensor:
    """Join flat patches to images of a shape ``(C, H, W)``, the inverse of ``_to_rows``."""
    columns = rows.view(-1, int(np.prod(shape)) // rows.shape[1], rows.shape[1]).transpose(1, 2)
    return F.fold(columns, shape[1:], (height, width), stride=(height, width))
