"""Measure how ambiguous the color of a gray patch is, by the colors of similar training patches.

Gray patches that look alike can have different colors. The guess with the smallest squared error is
the mean of these colors. The error of this guess is the variance of the colors, which no training
can reduce. A network can have a smaller error only because it sees the image around the patch.
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
"""Number of most similar training patches with which a patch is compared."""

POSITION = 0.1
"""Weight of a patch's position in its features. If two equal patches lie k pixels apart along one
side of the image, they have the same distance as two patches at one position whose luma differs by
POSITION · k / (S − 1), on [0, 1], in every pixel. S is the longer side of the image in pixels."""


@dataclass(frozen=True, kw_only=True)
class Patches:
    """M patches that are cut out of images.

    Attributes:
        features: Luma and position of each patch, ``float32 (M, SIDE² + 2)``.
        chroma: Cb and Cr in the middle of each patch, ``float32 (M, 2)`` in [−0.5, 0.5].
        images: Index of the image that contains each patch, ``int64 (M,)``.
        corners: Row and column of the upper left pixel of each patch, ``int64 (M, 2)``.
    """

    features: Tensor
    chroma: Tensor
    images: Tensor
    corners: Tensor


@dataclass(frozen=True, kw_only=True)
class AmbiguityBin:
    """Mean spread and error of ``n`` patches of about the same spread (see :class:`Ambiguity`)."""

    spread: float
    error: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Ambiguity:
    """Relation between the error of gray patches and their ambiguity.

    The neighbors of a patch are the training patches that are most similar to it. The spread of the
    patch is the variance of the neighbors' colors, which measures how ambiguous the patch is.
    Spreads and errors are means over Cb and Cr.

    Attributes:
        bins: Groups of patches by rising spread; their sizes differ by at most 1.
        spread: Mean spread of the patches.
        error: Mean squared error of the network's estimate.
        neighbors_error: Mean squared error of the neighbors' mean color, an estimate that needs no
            training.
        rank_correlation: Spearman's correlation of spread and error over patches; NaN if the spread
            or the error is constant.
        n: Number of patches.
        training: Number of training patches from which the neighbors are chosen.
    """

    bins: tuple[AmbiguityBin, ...]
    spread: float
    error: float
    neighbors_error: float
    rank_correlation: float
    n: int
    training: int


def cut_patches(pixels: DeviceImages, count: int, *, seed: int) -> Patches:
    """Cut patches out of images at random positions.

    Args:
        pixels: Color images ``(N, 3, H, W)``. The numbers of patches from any two images differ by
            at most 1.
        count: Number of patches.
        seed: Seed of the positions.

    Raises:
        ValueError: The images are smaller than a patch.
    """
    _, height, width = pixels.shape
    if min(height, width) < SIDE:
        raise ValueError(f"images of {height}×{width} are too small for patches of {SIDE}×{SIDE}")
    generator = np.random.default_rng(seed)
    # The first N patches are from N different images. The same holds for the next N patches.
    images = torch.from_numpy(np.resize(generator.permutation(len(pixels)), count))
    highest = height - SIDE + 1, width - SIDE + 1
    corners = torch.from_numpy(generator.integers(0, highest, (count, 2)))
    features, chroma = [], []
    # The images of 20,000 patches take 250 MB, so only 1,024 patches are cut at a time.
    for some in torch.split(torch.arange(count), 1024):
        planes = SPACES["ycbcr"].from_rgb(pixels.batch(images[some].to(pixels.device)))
        windows = patches_at(planes, corners[some].to(pixels.device))
        position = corners[some].to(windows) / (max(height, width) - 1)
        # If each of SIDE² pixels differs by POSITION, the Euclidean distance is SIDE · POSITION.
        features.append(torch.cat([windows[:, 0].flatten(1), position * POSITION * SIDE], dim=1))
        chroma.append(center_mean(windows[:, 1:]))
    return Patches(
        features=torch.cat(features), chroma=torch.cat(chroma), images=images, corners=corners
    )


def patches_at(planes: Tensor, corners: Tensor) -> Tensor:
    """Cut one patch out of each image.

    Args:
        planes: Images ``(M, C, H, W)``.
        corners: Row and column of each patch's upper left pixel, ``int64 (M, 2)``.

    Returns:
        Patches ``(M, C, SIDE, SIDE)``.
    """
    # `unfold` returns views, so only the chosen patches are copied.
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
    """Compare the errors in the middle of patches with the patches' spreads.

    Args:
        patches: Patches of the images that are measured.
        estimate: Estimated Cb and Cr in the middle of each patch, ``float32 (M, 2)``.
        training: Patches of training images, at least ``NEIGHBORS``.
        bins: Largest number of groups into which the patches are sorted.
    """
    nearest = nearest_neighbors(patches.features, training.features, NEIGHBORS)
    colors = training.chroma[nearest].double()  # (M, NEIGHBORS, 2)
    truth = patches.chroma.double()
    measured = (colors.var(1), (estimate - truth).square(), (colors.mean(1) - truth).square())
    spread, error, neighbors_error = (values.mean(1).cpu().numpy() for values in measured)
    order = np.argsort(spread, kind="stable")
    # SciPy would warn if the spread or the error is constant, because all its ranks are equal.
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
    """Return the indices of the rows nearest to each row, by exact search.

    Args:
        features: Rows for which neighbors are searched, ``(M, C)``.
        among: Rows in which neighbors are searched, ``(K, C)``.
        count: Number of neighbors per row, at most K.

    Returns:
        Indices of rows of ``among``, ``int64 (M, count)``, the nearest first.
    """
    # The distances of 2,000 patches to 20,000 would take 160 MB, so they are computed in parts.
    return torch.cat(
        [
            torch.cdist(part, among).topk(count, largest=False).indices
            for part in torch.split(features, 256)
        ]
    )
