"""How ambiguous the color of a gray patch is: the spread of colors of similar training patches.

Gray patches that look alike can have different colors. The best guess by squared error is the mean
of these colors. The error of this guess is the variance of the colors, which no training makes
smaller. A network can have a smaller error only because it sees the image around the patch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from caelab.color import SPACES
from caelab.data.device_images import DeviceImages

SIDE = 8
"""Side of a patch in pixels; its color is the mean of the 2×2 pixels in its middle."""

NEIGHBORS = 16
"""Training patches that a patch is compared with."""

POSITION = 0.1
"""Weight of a patch's position in its features: patches at opposite borders of the image differ as
much as patches in which each pixel differs by this much in luma, on [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Patches of images.

    Attributes:
        features: Luma and position of each patch, ``float32 (M, SIDE² + 2)``.
        chroma: Cb and Cr in its middle, ``float32 (M, 2)``, within ±0.5.
        images: Index of its image among the images, ``int64 (M,)``.
        corners: Row and column of its upper left pixel, ``int64 (M, 2)``.
    """

    features: Tensor
    chroma: Tensor
    images: Tensor
    corners: Tensor


@dataclass(frozen=True, kw_only=True)
class AmbiguityBin:
    """Mean spread and error of ``n`` patches of about the same ambiguity."""

    spread: float
    error: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Ambiguity:
    """Relation between the error of gray patches and their ambiguity.

    The ambiguity of a patch is the variance of the colors of its neighbors, the patches in training
    images that are most similar to it. Variances and errors are means over Cb and Cr.

    Attributes:
        bins: Groups of equally many patches, the least ambiguous first.
        spread: Mean variance of the neighbors' colors.
        error: Mean squared error of the estimate.
        neighbors_error: Mean squared error of the neighbors' mean color, an estimate without
            training.
        rank_correlation: Spearman's correlation of spread and error over patches; NaN if one of the
            two is constant.
        n: Number of patches.
        training: Number of training patches among which the neighbors are.
    """

    bins: tuple[AmbiguityBin, ...]
    spread: float
    error: float
    neighbors_error: float
    rank_correlation: float
    n: int
    training: int


def cut_patches(pixels: DeviceImages, count: int, *, seed: int) -> Patches:
    """Cut patches at random positions.

    Args:
        pixels: Color images ``(N, 3, H, W)``; every image gives about the same number of patches.
        count: Number of patches.
        seed: Seed of the positions.

    Raises:
        ValueError: The images are smaller than a patch.
    """
    _, height, width = pixels.shape
    if min(height, width) < SIDE:
        raise ValueError(f"images of {height}×{width} have no patches of {SIDE}×{SIDE}")
    generator = np.random.default_rng(seed)
    # Every image gives one patch before any gives two.
    images = torch.from_numpy(np.resize(generator.permutation(len(pixels)), count))
    highest = height - SIDE + 1, width - SIDE + 1
    corners = torch.from_numpy(generator.integers(0, highest, (count, 2)))
    features, chroma = [], []
    # The images of 20,000 patches would take 250 MB at once.
    for some in torch.split(torch.arange(count), 1024):
        planes = SPACES["ycbcr"].from_rgb(pixels.batch(images[some].to(pixels.device)))
        windows = patches_at(planes, corners[some].to(pixels.device))
        position = corners[some].to(windows) / (max(height, width) - 1)
        # A difference of POSITION in each of SIDE² pixels is SIDE · POSITION in Euclidean distance.
        features.append(torch.cat([windows[:, 0].flatten(1), position * POSITION * SIDE], dim=1))
        chroma.append(center_mean(windows[:, 1:]))
    return Patches(
        features=torch.cat(features), chroma=torch.cat(chroma), images=images, corners=corners
    )


def patches_at(planes: Tensor, corners: Tensor) -> Tensor:
    """Return one patch of each image.

    Args:
        planes: Images ``(M, C, H, W)``.
        corners: Row and column of each patch's upper left pixel, ``int64 (M, 2)``.

    Returns:
        Patches ``(M, C, SIDE, SIDE)``.
    """
    # Unfolding makes views, so that only the wanted patches are copied.
    patches = planes.unfold(2, SIDE, 1).unfold(3, SIDE, 1)  # (M, C, rows, columns, SIDE, SIDE)
    image = torch.arange(len(planes), device=planes.device)
    return patches[image, :, corners[:, 0], corners[:, 1]]


def center_mean(patches: Tensor) -> Tensor:
    """Return the mean of the 2×2 pixels in a patch's middle, ``(M, C, SIDE, SIDE)`` → ``(M, C)``.

    >>> center_mean(torch.ones(1, 2, SIDE, SIDE))
    tensor([[1., 1.]])
    """
    inside = slice(SIDE // 2 - 1, SIDE // 2 + 1)
    return patches[:, :, inside, inside].mean((2, 3))


@torch.no_grad()
def ambiguity(
    patches: Patches, estimate: Tensor, training: Patches, *, bins: int = 10
) -> Ambiguity:
    """Compare the errors in the middle of patches with the spread of their neighbors' colors.

    Args:
        patches: Patches of the images that are measured.
        estimate: Estimated Cb and Cr in their middle, ``float32 (M, 2)``.
        training: Patches of training images, at least ``NEIGHBORS``.
        bins: Largest number of groups that the patches are sorted into.
    """
    nearest = nearest_neighbors(patches.features, training.features, NEIGHBORS)
    colors = training.chroma[nearest].double()  # (M, NEIGHBORS, 2)
    truth = patches.chroma.double()
    measured = (colors.var(1), (estimate - truth).square(), (colors.mean(1) - truth).square())
    spread, error, neighbors_error = (values.mean(1).cpu().numpy() for values in measured)
    order = np.argsort(spread, kind="stable")
    # scipy warns of constant values, which have no ranks to correlate.
    varies = np.ptp(spread) > 0 and np.ptp(error) > 0
    return Ambiguity(
        bins=tuple(
            AmbiguityBin(
                spread=float(spread[part].mean()), error=float(error[part].mean()), n=len(part)
            )
            for part in np.array_split(order, min(bins, len(order)))
        ),
        spread=float(spread.mean()),
        error=float(error.mean()),
        neighbors_error=float(neighbors_error.mean()),
        rank_correlation=float(spearmanr(spread, error).statistic) if varies else float("nan"),
        n=len(order),
        training=len(training.features),
    )


def nearest_neighbors(features: Tensor, among: Tensor, count: int) -> Tensor:
    """Return the positions of the nearest rows, by exact search.

    Args:
        features: Rows of numbers ``(M, C)``.
        among: Rows ``(K, C)`` to search.
        count: Neighbors per row, at most K.

    Returns:
        Positions ``int64 (M, count)``, the nearest first.
    """
    # In parts, because the distances of 2,000 patches to 20,000 would take 160 MB at once.
    return torch.cat(
        [
            torch.cdist(part, among).topk(count, largest=False).indices
            for part in torch.split(features, 256)
        ]
    )
