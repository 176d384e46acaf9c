"""What is to be beaten: linear codes of the same size."""

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from caelab.data.pixels import Pixels
from caelab.errors import InputError
from caelab.files import replacing
from caelab.metrics.image_metrics import squared_error
from caelab.progress import progress

LARGEST_DIMENSION = 4096
"""Numbers an image, or a patch, may have for its PCA; the covariance matrix has the square of
it."""


class PrincipalComponents:
    """Principal component analysis of whole images: the best linear code of every size (Eckart and
    Young 1936).

    By patch it is the best linear *convolutional* code whose kernel is as large as its stride: the
    same components at every place of the image.

    Attributes:
        mean: ``float32 (D,)``, the mean image or patch on [0, 1], flattened channels last.
        components: ``float32 (K, D)``, orthonormal rows, those of the largest variance first; K is
            D, or one less than the images or patches where they are fewer.
        patch: Pixels a side of the square patches that an image is cut into; ``None`` takes it
            whole.
    """

    def __init__(self, mean: Tensor, components: Tensor, *, patch: int | None = None) -> None:
        self.mean = mean
        self.components = components
        self.patch = patch

    @classmethod
    def fit(cls, pixels: Pixels, *, patch: int | None = None) -> "PrincipalComponents":
        """Fit on a part of the images, which should be the training part.

        Raises:
            ValueError: The images, or the patches, have more than ``LARGEST_DIMENSION`` numbers
                each, or the patches do not tile the images.
        """
        patches = _count_patches(pixels.shape, patch)
        dimension = int(np.prod(pixels.shape)) // patches
        if dimension > LARGEST_DIMENSION:
            what = "images" if patch is None else "patches"
            raise ValueError(f"{what} of {dimension} numbers are too large for a PCA")
        mean = torch.zeros(dimension, dtype=torch.float64, device=pixels.device)
        second = torch.zeros(dimension, dimension, dtype=torch.float64, device=pixels.device)
        batches = pixels.batches(1024)
        eigenvectors = len(batches)  # they take about as long as all the products
        with progress("PCA, the linear code to compare with", len(batches) + eigenvectors) as bar:
            for chosen in batches:
                # Whole numbers in [-128, 127]: 1,024 products of two add up to 2²⁴ at most, exact
                # in float32.
                rows = _flatten(pixels.batch(chosen), patch).mul_(255).round_().sub_(128)
                for flat in torch.split(rows, 1024):
                    mean += flat.sum(0)
                    second += flat.T @ flat
                bar()
            count = len(pixels) * patches
            mean /= count
            covariance = (second / count - torch.outer(mean, mean)) / 255**2
            _, vectors = torch.linalg.eigh(covariance)
            bar(eigenvectors)
        rank = min(
            dimension, count - 1
        )  # what lies beyond are directions that the images do not determine
        return cls(
            ((mean + 128) / 255).float(), vectors.flip(1).T[:rank].float().contiguous(), patch=patch
        )

    def errors(self, pixels: Pixels, size: int) -> np.ndarray:
        """Return each image's MSE, clipped to [0, 1], when ``size`` numbers of it are kept:
        ``float64 (N,)``.

        Raises:
            ValueError: ``size`` is not the same number for every patch.
        """
        patches = _count_patches(pixels.shape, self.patch)
        if size % patches:
            raise ValueError(
                f"a code of {size} numbers cannot be shared out evenly to {patches} patches"
            )
        kept = self.components[: size // patches]
        errors = []
        for chosen in pixels.batches(2048):
            target = _flatten(pixels.batch(chosen), self.patch)
            estimate = self.mean + (target - self.mean) @ kept.T @ kept
            errors.append(squared_error(estimate.clamp(0, 1), target).view(-1, patches).mean(1))
        return torch.cat(errors).double().cpu().numpy()


def patch_sides(shape: tuple[int, int, int], size: int) -> tuple[int, ...]:
    """Return the sides of square patches, smaller than the image ``(C, H, W)``, that a code of
    ``size`` numbers suits.

    The patches tile the image, and each gets the same number of them, which is smaller than the
    patch's own.
    """
    channels, height, width = shape
    sides = [
        side for side in range(1, min(height, width) + 1) if height % side == 0 == width % side
    ]
    counts = {side: _count_patches(shape, side) for side in sides}
    return tuple(
        side
        for side, count in counts.items()
        if count > 1 and size % count == 0 and 0 < size // count < channels * side * side
    )


def cached_principal_components(
    pixels: Pixels, folder: Path, key: str, *, patch: int | None = None
) -> PrincipalComponents:
    """Return the components fitted on ``pixels``, kept in ``folder``, as fitting takes some
    seconds.

    They are kept under ``key``, which names the data, and the places of the pixels' images in them.
    A cache that cannot be read is made again; one that cannot be written is done without.
    """
    file = folder / f"{_name(pixels, key)}{'' if patch is None else f'-patch{patch}'}.safetensors"
    try:
        kept = load_file(file, device=str(pixels.device))
        return PrincipalComponents(kept["mean"], kept["components"], patch=patch)
    except (OSError, SafetensorError, KeyError):
        fitted = PrincipalComponents.fit(pixels, patch=patch)
    with contextlib.suppress(InputError), replacing(file) as temporary:
        save_file({"mean": fitted.mean.cpu(), "components": fitted.components.cpu()}, temporary)
    return fitted


def cached_code_errors(
    pixels: Pixels,
    measured: Pixels,
    sizes: Iterable[int],
    folder: Path,
    *,
    key: str,
    measured_key: str,
) -> dict[int, np.ndarray]:
    """Return the errors, ``float64 (N,)``, of whole-image PCA fitted on ``pixels``, by the numbers
    that it keeps.

    Both the components and the errors are kept in ``folder``: a study's runs are all measured
    beside the same ones.

    Args:
        pixels: What is fitted on.
        measured: What is measured.
        sizes: Numbers that are kept of an image.
        folder: The cache; what cannot be read there is made again, what cannot be written is done
            without.
        key: Names the data that ``pixels`` are of.
        measured_key: Names the data that ``measured`` are of.
    """
    errors: dict[int, np.ndarray] = {}
    components: PrincipalComponents | None = None
    for size in sizes:
        file = folder / f"{_name(pixels, key)}-{size}-of-{_name(measured, measured_key)}.npy"
        with contextlib.suppress(OSError, ValueError), file.open("rb") as stream:
            errors[size] = np.lib.format.read_array(stream)
        if size not in errors or errors[size].shape != (len(measured),):
            components = components or cached_principal_components(pixels, folder, key)
            errors[size] = components.errors(measured, size)
            with (
                contextlib.suppress(InputError),
                replacing(file) as temporary,
                temporary.open("wb") as written,
            ):
                np.save(written, errors[size])
    return errors


def _name(pixels: Pixels, key: str) -> str:
    """Return what files of the cache are called after: the data, and which of their images."""
    return f"pca-{key}-{hashlib.sha256(pixels.rows.tobytes()).hexdigest()[:16]}"


def _count_patches(shape: tuple[int, int, int], patch: int | None) -> int:
    """Return how many square patches tile an image ``(C, H, W)``."""
    _, height, width = shape
    if patch is None:
        return 1
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"patches of {patch}×{patch} do not tile images of {height}×{width}")
    return (height // patch) * (width // patch)


def _flatten(images: Tensor, patch: int | None) -> Tensor:
    """Return images ``(N, C, H, W)`` as rows, channels last: ``(N, D)``, or ``(N · patches, D)``
    image by image.
    """
    rows = images.permute(0, 2, 3, 1)
    if patch is None:
        return rows.flatten(1)
    count, height, width, channels = rows.shape
    cut = rows.reshape(count, height // patch, patch, width // patch, patch, channels)
    return cut.transpose(2, 3).reshape(-1, patch * patch * channels)
