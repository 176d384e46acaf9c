"""Chroma in bins: a grid over the two chroma channels, so that a color can be a class.

The method is that of Zhang et al. 2016, arXiv 1603.08511. Cells are squares of ten units of CIELAB,
or of a similar size in other spaces. The bins are the cells that contain most pixels of the
training images. This module measures chroma in cells: cell (i, j) has its center at (i, j), and
gray is (0, 0).
"""

import numpy as np
import torch
from torch import Tensor

from caelab.color import ColorSpace
from caelab.data.device_images import DeviceImages
from caelab.data.image_set import evenly_spaced
from caelab.models.card import NEIGHBORS, ColorBins

MIN_BINS = 8
"""Smallest number of bins; a color is spread over ``NEIGHBORS`` of them."""

REACH = 13
"""Distance in cells from gray to the most saturated color of sRGB, in any space."""

_CELLS_PER_SCALE = 14 / 10
"""Cells in a ``chroma_scale``: a cell is 10 units of CIELAB wide."""

_SPREAD = 0.5
"""Standard deviation, in cells, of the Gaussian by which a color is spread over its bins."""

_LATTICE = 9
"""Points of the lookup tables along a cell's side; odd, so that each point is in one cell."""

_SIDE = 2 * REACH + 1
_POINTS = _SIDE * _LATTICE
"""Lattice points along one chroma channel."""

_MAX_IMAGES = 4096
"""Largest number of training images whose pixels are counted: four million pixels of CIFAR-10."""


def bin_weights(bins: ColorBins) -> Tensor:
    """Return each bin's weight in the loss, shape ``(Q,)``; the mean over pixels is 1."""
    # Frequencies are mixed with equal shares, so that a rare bin gets no huge weight.
    frequencies = torch.tensor(bins.frequencies, dtype=torch.float64)
    weights = 1 / (bins.rebalance * frequencies + (1 - bins.rebalance) / len(frequencies))
    return (weights / (weights * frequencies).sum()).float()


def in_cells(chroma: Tensor, space: ColorSpace) -> Tensor:
    """Convert chroma ``(N, 2, H, W)`` from the space's unit to cells.

    >>> from caelab.color import SPACES
    >>> in_cells(torch.tensor(20.0), SPACES["lab"]).item()
    2.0
    """
    return chroma * (_CELLS_PER_SCALE / space.chroma_scale)


def from_cells(cells: Tensor, space: ColorSpace) -> Tensor:
    """Convert chroma ``(N, 2, H, W)`` from cells to the space's unit."""
    return cells * (space.chroma_scale / _CELLS_PER_SCALE)


@torch.no_grad()
def choose_bins(
    images: DeviceImages, *, space: ColorSpace, count: int, rebalance: float, temperature: float
) -> ColorBins:
    """Return the cells with most pixels; if too few have any, also those nearest to gray.

    Args:
        images: The training images.
        space: Color space of the chroma.
        count: Number of bins Q, at least ``MIN_BINS``.
        rebalance: See :class:`ColorBins`.
        temperature: See :class:`ColorBins`.
    """
    # Pixels are counted by lattice point once; cells and frequencies both follow from the counts.
    counts = torch.zeros(_POINTS**2, dtype=torch.int64, device=images.device)
    chosen = torch.from_numpy(evenly_spaced(_MAX_IMAGES, len(images))).to(images.device)
    for batch in torch.split(chosen, 512):
        colors = in_cells(space.chroma(images.batch(batch)), space).movedim(1, -1).reshape(-1, 2)
        counts += torch.bincount(_lattice_point(colors), minlength=_POINTS**2)
    counts = counts.cpu().double()

    filled = counts.view(_SIDE, _LATTICE, _SIDE, _LATTICE).sum((1, 3)).flatten()
    grid = torch.cartesian_prod(*(torch.arange(-REACH, REACH + 1),) * 2)
    # Among cells with the same count, such as empty ones, those nearest to gray are chosen.
    order = np.lexsort((grid.square().sum(1), -filled))
    cells = grid[np.sort(order[:count])]

    centers = cells.float()
    points = counts.nonzero().squeeze(1)
    bins, shares = soft_encode(_lattice_color(points), centers, nearest_bins(centers))
    # Training spreads every pixel over its nearest bins, so frequencies must be counted the same
    # way.
    spread_counts = shares.double() * counts[points].unsqueeze(1)
    frequencies = torch.bincount(bins.flatten(), spread_counts.flatten(), minlength=count)
    return ColorBins(
        cells=tuple(map(tuple, cells.tolist())),
        frequencies=tuple((frequencies / frequencies.sum()).tolist()),
        rebalance=rebalance,
        temperature=temperature,
    )


def nearest_bins(centers: Tensor) -> Tensor:
    """Return the bins nearest to every lattice point, nearest first.

    Args:
        centers: Centers of the bins, in cells, ``float32`` of shape ``(Q, 2)``.

    Returns:
        ``int64`` of shape ``(points, NEIGHBORS)``.
    """
    points = torch.split(_lattice_color(torch.arange(_POINTS**2, device=centers.device)), 8192)
    return torch.cat(
        [torch.cdist(some, centers).topk(NEIGHBORS, largest=False).indices for some in points]
    )


def soft_encode(colors: Tensor, centers: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Spread colors over their nearest bins, by a Gaussian of the distance (soft encoding).

    Args:
        colors: Colors in cells, ``(P, 2)``.
        centers: Centers of the bins, in cells, ``(Q, 2)``.
        table: Result of :func:`nearest_bins`.

    Returns:
        The bins, nearest first to within a lattice point, and their shares, whose sum is 1: both of
        shape ``(P, NEIGHBORS)``.
    """
    bins = table.index_select(0, _lattice_point(colors))
    # One axis at a time, because gathering pairs of numbers is slow.
    squares = sum(
        (axis.index_select(0, bins.flatten()).view_as(bins) - own.unsqueeze(1)).square_()
        for axis, own in zip(centers.T.contiguous(), colors.T, strict=True)
    )
    # A softmax in single operations, because torch.softmax is slow for rows of five numbers.
    shares = (squares - squares[:, :1]).mul_(-1 / (2 * _SPREAD**2)).exp_()
    return bins, shares.div_(shares.sum(1, keepdim=True))


def _lattice_point(colors: Tensor) -> Tensor:
    """Return the index of the lattice point nearest to colors ``(P, 2)``, ``int64 (P,)``."""
    half = _POINTS // 2
    first, second = (colors * _LATTICE).round().clamp(-half, half).add_(half).long().unbind(1)
    return first * _POINTS + second


def _lattice_color(points: Tensor) -> Tensor:
    """Return the colors, in cells, at indices ``int64 (P,)`` of the lattice, ``float32 (P, 2)``."""
    rows = torch.stack([points // _POINTS, points % _POINTS], dim=1)
    return (rows - _POINTS // 2).float() / _LATTICE
