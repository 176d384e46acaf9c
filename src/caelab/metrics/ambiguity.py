"""How many colors a gray patch can have: the spread of the training colors of patches that look
like it.

Gray patches that are alike have different colors. Whoever is given such a patch and wants the
smallest squared error answers with their mean, and is left with their variance: no training removes
it. A network sees the whole image and may do better than the patch allows; where it does not, what
is left is not the network's fault.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from caelab.color import SPACES
from caelab.data.pixels import Pixels
from caelab.progress import progress

SIDE = 8
"""Pixels of a patch's side; its color is that of the 2×2 pixels in its middle."""

NEIGHBORS = 16

POSITION = 0.1
"""Patches at opposite borders of the image count as different as if each pixel differed by this in
luma."""


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Patches of images.

    Attributes:
        features: The luma and the place of each, ``float32 (M, SIDE² + 2)``.
        chroma: Cb and Cr in its middle, ``float32 (M, 2)``.
        images: Positions of the images they are from, ``int64 (M,)``.
        corners: Their upper left pixels, row and column, ``int64 (M, 2)``.
    """

    features: Tensor
    chroma: Tensor
    images: Tensor
    corners: Tensor


@dataclass(frozen=True, kw_only=True)
class AmbiguityBin:
    """Patches of about the same ambiguity: means over them."""

    spread: float
    error: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Ambiguity:
    """How the error grows with the ambiguity; all in squared chroma, the mean of Cb and Cr.

    Attributes:
        bins: Equally many patches each, the least ambiguous first.
        spread: Mean variance of the neighbors' colors.
        error: Mean squared error of the estimate.
        neighbors_error: That of the neighbors' mean color, a regressor without training.
        rank_correlation: Spearman's, of spread and error over patches; NaN where one of them does
            not vary.
        n: How many patches.
        training: Among how many neighbors were looked for.
    """

    bins: tuple[AmbiguityBin, ...]
    spread: float
    error: float
    neighbors_error: float
    rank_correlation: float
    n: int
    training: int


def cut_patches(pixels: Pixels, count: int, *, seed: int) -> Patches:
    """Cut ``count`` patches at random from a part, its images taken in turn.

    Raises:
        ValueError: The images are smaller than a patch.
    """
    _, height, width = pixels.shape
    if min(height, width) < SIDE:
        raise ValueError(f"images of {height}×{width} have no patches of {SIDE}×{SIDE}")
    generator = np.random.default_rng(seed)
    images = generator.permutation(len(pixels))[np.arange(count) % len(pixels)]
    corners = generator.integers(0, (height - SIDE + 1, width - SIDE + 1), (count, 2))
    features, chroma = [], []
    for start in range(0, count, 1024):
        chosen = slice(start, start + 1024)
        planes = SPACES["ycbcr"].from_rgb(
            pixels.batch(torch.from_numpy(images[chosen]).to(pixels.device))
        )
        windows = patches_at(planes, torch.from_numpy(corners[chosen]).to(pixels.device))
        places = torch.from_numpy(corners[chosen] / (max(height, width) - 1)).to(windows) * (
            POSITION * SIDE
        )
        features.append(torch.cat([windows[:, 0].flatten(1), places], dim=1))
        chroma.append(middle(windows[:, 1:]))
    return Patches(
        features=torch.cat(features),
        chroma=torch.cat(chroma),
        images=torch.from_numpy(images),
        corners=torch.from_numpy(corners),
    )


def patches_at(planes: Tensor, corners: Tensor) -> Tensor:
    """Return one patch of each image: ``(M, C, H, W)`` and corners ``(M, 2)`` → ``(M, C, SIDE,
    SIDE)``.
    """
    reach = torch.arange(SIDE, device=planes.device)
    rows, columns = (corners[:, axis, None] + reach for axis in (0, 1))
    image = torch.arange(len(planes), device=planes.device)[:, None, None]
    return planes.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


def middle(windows: Tensor) -> Tensor:
    """Return the mean of the 2×2 pixels in the middle of patches, ``(M, C, SIDE, SIDE)`` → ``(M,
    C)``.
    """
    inside = slice(SIDE // 2 - 1, SIDE // 2 + 1)
    return windows[:, :, inside, inside].mean((2, 3))


@torch.no_grad()
def ambiguity(
    patches: Patches, estimate: Tensor, training: Patches, *, bins: int = 10
) -> Ambiguity:
    """Compare the errors in the middle of patches with the spread of their neighbors' colors.

    Args:
        patches: Of the images that are measured.
        estimate: Cb and Cr that were found in their middle, ``float32 (M, 2)``.
        training: Patches of training images, at least ``NEIGHBORS``.
        bins: At most, into which the patches are sorted.
    """
    nearest = nearest_neighbors(patches.features, training.features, NEIGHBORS)
    colors = training.chroma[nearest].double()  # (M, NEIGHBORS, 2)
    spread = colors.var(1).mean(1).cpu().numpy()
    truth = patches.chroma.double()
    error, neighbors_error = (
        (guess - truth).square().mean(1).cpu().numpy() for guess in (estimate, colors.mean(1))
    )
    order = np.argsort(spread, kind="stable")
    varies = len(np.unique(spread)) > 1 and len(np.unique(error)) > 1
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
    """Return the positions of the ``count`` nearest rows: ``(M, D)`` and ``(K, D)`` → ``int64 (M,
    count)``.

    The search is exact, by matrix products: |x − y|² = |x|² − 2 x·y + |y|², of which |x|² changes
    no order.
    """
    lengths = among.square().sum(1)
    found = []
    with progress("patches that look alike", len(features)) as bar:
        for part in torch.split(features, 256):
            found.append(
                torch.addmm(lengths, part, among.T, alpha=-2).topk(count, largest=False).indices
            )
            bar(len(part))
    return torch.cat(found)
