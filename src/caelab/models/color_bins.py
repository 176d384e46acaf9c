"""Chroma in bins: a grid over the two planes, so that a color can be a class (Zhang et al. 2016,
arXiv 1603.08511).

Cells are squares of ten units of Lab, or as much of another space's chroma; the bins are the cells
that the training images fill most. Chroma is measured in cells here: cell (i, j) is centred on (i,
j), and gray is (0, 0).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from caelab.color import ColorSpace
from caelab.data.device_images import DeviceImages

NEIGHBORS = 5
"""Bins over which a color is spread."""

FEWEST_BINS = 8
"""Fewer are no distribution worth the name, and less than ``NEIGHBORS`` cannot be told apart."""

REACH = 13
"""Cells from gray to the most vivid color of sRGB, in any space."""

_STEPS = 14 / 10
"""Cells in a ``chroma_scale``: a cell is 10 units of Lab wide."""

_SPREAD = 0.5
"""Standard deviation, in cells, of the Gaussian by which a color is spread over its nearest
bins."""

_LATTICE = 9
"""Places a cell's side is divided into, for tables by place; odd, so that each place is in one
cell."""

_PLACES = (2 * REACH + 1) * _LATTICE

_STATISTICS_IMAGES = 4096
"""Training images that are looked at, evenly spaced: four million pixels of CIFAR-10."""


@dataclass(frozen=True, kw_only=True)
class ColorBins:
    """The classes that colors are, and how to go from a distribution over them to one color.

    Attributes:
        cells: Each bin's cell, in the order of the first plane and then the second.
        frequencies: Of the bins among the training images' pixels, each spread over its nearest;
            their sum is 1.
        rebalance: How far rare bins are weighted up, in [0, 1): 0 is not at all, towards 1 by the
            inverse of their frequency. It is 1 − λ of Zhang et al.
        temperature: Of the annealed mean: 1 is the mean of the distribution, towards 0 its most
            probable bin.

    Raises:
        ValueError: There is not one frequency a bin, or there are fewer bins than ``NEIGHBORS``.
    """

    cells: tuple[tuple[int, int], ...]
    frequencies: tuple[float, ...]
    rebalance: float
    temperature: float

    def __post_init__(self) -> None:
        if len(self.cells) != len(self.frequencies) or len(self.cells) < NEIGHBORS:
            raise ValueError(f"{len(self.cells)} bins and {len(self.frequencies)} frequencies")

    def weights(self) -> Tensor:
        """Return what a pixel of each bin counts in the loss, ``float32 (Q,)``; over all pixels the
        mean is 1.
        """
        frequencies = torch.tensor(self.frequencies, dtype=torch.float64)
        weights = 1 / (self.rebalance * frequencies + (1 - self.rebalance) / len(frequencies))
        return (weights / (weights * frequencies).sum()).float()


def in_cells(chroma: Tensor, space: ColorSpace) -> Tensor:
    """Return chroma planes ``(N, 2, H, W)`` of a space in cells: the same shape."""
    return chroma * (_STEPS / space.chroma_scale)


def from_cells(cells: Tensor, space: ColorSpace) -> Tensor:
    """Invert :func:`in_cells`."""
    return cells * (space.chroma_scale / _STEPS)


@torch.no_grad()
def choose_bins(
    images: DeviceImages, *, space: ColorSpace, count: int, rebalance: float, temperature: float
) -> ColorBins:
    """Return the ``count`` cells that images fill most, and after those that are filled the ones
    nearest to gray.

    Args:
        images: The training part.
        space: Whose chroma it is.
        count: Q, at least ``FEWEST_BINS``.
        rebalance: See :class:`ColorBins`.
        temperature: See :class:`ColorBins`.
    """
    places = torch.zeros(_PLACES**2, dtype=torch.float64, device=images.device)
    chosen = torch.linspace(
        0, len(images) - 1, min(len(images), _STATISTICS_IMAGES), dtype=torch.float64
    )
    for some in torch.split(chosen.round().long().to(images.device), 512):
        place = _place(
            in_cells(space.chroma(images.batch(some)), space).movedim(1, -1).reshape(-1, 2)
        )
        places += torch.bincount(place, minlength=_PLACES**2)
    places = places.cpu()

    side = 2 * REACH + 1
    filled = places.view(side, _LATTICE, side, _LATTICE).sum((1, 3)).flatten()
    grid = torch.cartesian_prod(*(torch.arange(-REACH, REACH + 1),) * 2)
    order = sorted(
        range(side**2),
        key=lambda cell: (-float(filled[cell]), int(grid[cell].square().sum()), cell),
    )
    cells = grid[sorted(order[:count])]

    centres = cells.float()
    where = places.nonzero().squeeze(1)
    bins, shares = spread(_centres(where), centres, nearest_bins(centres))
    frequencies = torch.zeros(count, dtype=torch.float64)
    frequencies.index_add_(
        0, bins.flatten(), (shares.double() * places[where].unsqueeze(1)).flatten()
    )
    return ColorBins(
        cells=tuple((int(first), int(second)) for first, second in cells.tolist()),
        frequencies=tuple((frequencies / frequencies.sum()).tolist()),
        rebalance=rebalance,
        temperature=temperature,
    )


def nearest_bins(centres: Tensor) -> Tensor:
    """Return the table by place of the nearest bins, nearest first, ``int64 (places, NEIGHBORS)``.

    Args:
        centres: Of the bins, in cells, ``float32 (Q, 2)``.
    """
    everywhere = torch.split(_centres(torch.arange(_PLACES**2, device=centres.device)), 8192)
    return torch.cat(
        [torch.cdist(some, centres).topk(NEIGHBORS, largest=False).indices for some in everywhere]
    )


def spread(colors: Tensor, centres: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Spread colors over their nearest bins, by a Gaussian of their distance (Zhang's soft
    encoding).

    Args:
        colors: In cells, ``(P, 2)``.
        centres: Of the bins, ``(Q, 2)``.
        table: From :func:`nearest_bins`.

    Returns:
        The bins, nearest first but for a place's width, and their shares, whose sum is 1: ``(P,
        NEIGHBORS)`` both.
    """
    bins = table.index_select(0, _place(colors))
    first, second = (
        centres[:, axis].contiguous().index_select(0, bins.flatten()).view_as(bins)
        for axis in (0, 1)
    )
    squares = (first - colors[:, :1]).square_() + (second - colors[:, 1:]).square_()
    shares = (
        (squares - squares[:, :1]).mul_(-1 / (2 * _SPREAD**2)).exp_()
    )  # torch.softmax is slow along five numbers
    return bins, shares.div_(shares.sum(1, keepdim=True))


def _place(colors: Tensor) -> Tensor:
    """Return the index of the place of each color in cells, ``(P, 2)`` → ``int64 (P,)``."""
    half = _PLACES // 2
    first, second = (colors * _LATTICE).round().clamp(-half, half).add_(half).long().unbind(1)
    return first * _PLACES + second


def _centres(places: Tensor) -> Tensor:
    """Return where places are, in cells, ``int64 (P,)`` → ``float32 (P, 2)``."""
    rows = torch.stack([places // _PLACES, places % _PLACES], dim=1)
    return (rows - _PLACES // 2).float() / _LATTICE
