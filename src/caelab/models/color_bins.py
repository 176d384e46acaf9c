"""Chroma bins: cells of a grid over the two chroma channels, which serve as classes of colors.

The method is from Zhang et al. 2016 (arXiv 1603.08511). A cell is a square with sides of ten units
of CIELAB, or of a similar size in another color space. The bins are the cells that contain most
pixels of the training images. In this module, the unit of chroma is the side of a cell: cell (i, j)
has its center at (i, j), and gray is (0, 0). This unit is called "cells" below.
"""

import numpy as np
import torch
from torch import Tensor

from caelab.color import ColorSpace
from caelab.data.device_images import DeviceImages
from caelab.data.image_set import evenly_spaced
from caelab.models.card import NEIGHBORS, ColorBins

MIN_BINS = 8
"""Smallest number of bins. A color is divided among its ``NEIGHBORS`` nearest bins."""

REACH = 13
"""Number of cells on each side of gray, along each chroma channel: enough for all sRGB colors."""

_CELLS_PER_SCALE = 14 / 10
"""Number of cells per ``chroma_scale``, which is 14 for CIELAB: a cell is 10 units wide."""

_SPREAD = 0.5
"""Standard deviation, in cells, of the Gaussian that divides a color among its nearest bins."""

_LATTICE = 9
"""Number of lattice points along a cell's side; odd, so that no point is between two cells."""

_SIDE = 2 * REACH + 1
"""Number of cells along one chroma channel."""

_POINTS = _SIDE * _LATTICE
"""Number of lattice points along one chroma channel."""

_MAX_IMAGES = 4096
"""Largest number of training images whose pixels are counted: four million pixels of CIFAR-10."""


def bin_weights(bins: ColorBins) -> Tensor:
    """Return each bin's weight in the loss, shape ``(Q,)``; the mean over training pixels is 1."""
    # Each frequency is mixed with 1 / Q, so that a rare bin does not get a huge weight.
    frequencies = torch.tensor(bins.frequencies, dtype=torch.float64)
    weights = 1 / (bins.rebalance * frequencies + (1 - bins.rebalance) / len(frequencies))
    return (weights / (weights * frequencies).sum()).float()


def in_cells(chroma: Tensor, space: ColorSpace) -> Tensor:
    """Convert chroma ``(N, 2, H, W)`` from the color space's unit to cells.

    >>> from caelab.color import SPACES
    >>> in_cells(torch.tensor(20.0), SPACES["lab"]).item()
    2.0
    """
    return chroma * (_CELLS_PER_SCALE / space.chroma_scale)


def from_cells(cells: Tensor, space: ColorSpace) -> Tensor:
    """Convert chroma ``(N, 2, H, W)`` from cells to the color space's unit."""
    return cells * (space.chroma_scale / _CELLS_PER_SCALE)


@torch.no_grad()
def choose_bins(
    images: DeviceImages, *, space: ColorSpace, count: int, rebalance: float, temperature: float
) -> ColorBins:
    """Return the ``count`` cells with most pixels; of equally full cells, those nearest to gray.

    Args:
        images: The training images.
        space: Color space of the chroma.
        count: Number of bins Q, at least ``MIN_BINS``.
        rebalance: Extra weight of rare bins; see :class:`ColorBins`.
        temperature: Temperature of the annealed mean; see :class:`ColorBins`.
    """
    # The pixels at each lattice point are counted once. Cells and frequencies follow from the
    # counts.
    counts = torch.zeros(_POINTS**2, dtype=torch.int64, device=images.device)
    chosen = torch.from_numpy(evenly_spaced(_MAX_IMAGES, len(images))).to(images.device)
    for batch in torch.split(chosen, 512):
        colors = in_cells(space.chroma(images.batch(batch)), space).movedim(1, -1).reshape(-1, 2)
        counts += torch.bincount(_lattice_point(colors), minlength=_POINTS**2)
    counts = counts.cpu().double()

    filled = counts.view(_SIDE, _LATTICE, _SIDE, _LATTICE).sum((1, 3)).flatten()
    grid = torch.cartesian_prod(*(torch.arange(-REACH, REACH + 1),) * 2)
    # Of cells with the same count, such as empty cells, those nearest to gray are chosen.
    order = np.lexsort((grid.square().sum(1), -filled))
    cells = grid[np.sort(order[:count])]

    centers = cells.float()
    points = counts.nonzero().squeeze(1)
    bins, shares = soft_encode(_lattice_color(points), centers, nearest_bins(centers))
    # Training divides every pixel among its nearest bins, so the frequencies are counted with the
    # same shares.
    spread_counts = shares.double() * counts[points].unsqueeze(1)
    frequencies = torch.bincount(bins.flatten(), spread_counts.flatten(), minlength=count)
    return ColorBins(
        cells=tuple(map(tuple, cells.tolist())),
        frequencies=tuple((frequencies / frequencies.sum()).tolist()),
        rebalance=rebalance,
        temperature=temperature,
    )


def nearest_bins(centers: Tensor) -> Tensor:
    """Return the bins nearest to every lattice point, the nearest first.

    Args:
        centers: Centers of the bins, in cells, ``float32 (Q, 2)``.

    Returns:
        Indices of the bins, ``int64`` of shape ``(points, NEIGHBORS)``.
    """
    points = torch.split(_lattice_color(torch.arange(_POINTS**2, device=centers.device)), 8192)
    return torch.cat(
        [torch.cdist(some, centers).topk(NEIGHBORS, largest=False).indices for some in points]
    )


def soft_encode(colors: Tensor, centers: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Divide each color among its nearest bins by a Gaussian of the distance (soft encoding).

    Args:
        colors: Colors in cells, ``(P, 2)``.
        centers: Centers of the bins, in cells, ``(Q, 2)``.
        table: Result of :func:`nearest_bins`.

    Returns:
        For each color the indices of the nearest bins, and the shares of these bins, whose sum is
        1; both have the shape ``(P, NEIGHBORS)``. The bins are those nearest to the lattice point
        that is nearest to the color.
    """
    bins = table.index_select(0, _lattice_point(colors))
    # The squared distances are computed one axis at a time: gathering pairs of numbers is slow.
    squares = sum(
        (axis.index_select(0, bins.flatten()).view_as(bins) - own.unsqueeze(1)).square_()
        for axis, own in zip(centers.T.contiguous(), colors.T, strict=True)
    )
    # This is a softmax; `torch.softmax` is slow for rows of five numbers.
    shares = (squares - squares[:, :1]).mul_(-1 / (2 * _SPREAD**2)).exp_()
    return bins, shares.div_(shares.sum(1, keepdim=True))


def _lattice_point(colors: Tensor) -> Tensor:
    """Return the index ``int64 (P,)`` of the lattice point nearest to each color ``(P, 2)``."""
    half = _POINTS // 2
    first, second = (colors * _LATTICE).round().clamp(-half, half).add_(half).long().unbind(1)
    return first * _POINTS + second


def _lattice_color(points: Tensor) -> Tensor:
    """Return the colors ``float32 (P, 2)``, in cells, of lattice points by index ``int64 (P,)``."""
    rows = torch.stack([points // _POINTS, points % _POINTS], dim=1)
    return (rows - _POINTS // 2).float() / _LATTICE
