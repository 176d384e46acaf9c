"""Apply a network to large pictures in overlapping tiles, so that memory stays bounded.

A network whose receptive field is known is applied to tiles that begin at multiples of its stride.
Only the pixels of a tile are used whose receptive field is inside the tile; at the picture's border
the field ends as it does in the whole picture. The result is therefore that of the whole picture,
up to the order of summation. If the receptive field is the whole image, tiles fade into each other
over a wide overlap, without seams.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from caelab.pictures.backends.base import Geometry, PictureModel
from caelab.pictures.picture import Floats

Indices = NDArray[np.int64]
ItemT = TypeVar("ItemT")

TILE = 512
"""Default side of a tile, in pixels."""

MAX_WHOLE_IMAGE_TILE = 128
"""Largest side of a tile where the receptive field is the whole image. A small tile is closer to
the training images, and the cost of attention grows with the square of a tile's pixels."""

BATCH_PIXELS = TILE**2
"""Small tiles go through the network together, up to this many pixels."""


class Span(NamedTuple):
    """A tile along one side.

    Attributes:
        start: First pixel.
        stop: Pixel after the last.
        weights: Weights of the pixels in the sum over tiles, ``float32 (stop − start,)``.
    """

    start: int
    stop: int
    weights: Floats


def spans(length: int, geometry: Geometry, *, tile: int = TILE) -> list[Span]:
    """Divide a side into tiles of equal length whose weights add up to 1 at every pixel.

    The tiles cover the side extended to a multiple of the network's stride.

    Args:
        length: Length of the side in pixels.
        geometry: Sizes that the network takes.
        tile: Length of a tile; longer where the receptive field requires it, without effect where
            the network takes one size.
    """
    multiple, fixed = geometry.multiple, geometry.fixed
    if fixed is not None:
        # A network of one size gets tiles of that size. As no part of a tile is exact, half of it
        # overlaps and a quarter fades.
        side, overlap, fade = fixed, fixed // 2, fixed // 4
    elif geometry.field is None:
        side = min(tile, MAX_WHOLE_IMAGE_TILE)
        overlap, fade = side // 4, side // 8
    else:
        # Both tiles drop a margin of the size of the receptive field. The other pixels are exact
        # and need no fading.
        side, overlap, fade = tile, 2 * geometry.field, 0
    if fixed is None:
        # A tile is at least four overlaps long, because an overlap is computed twice.
        side = max(side, 4 * overlap, overlap + multiple)
        side += -side % multiple
    whole = max(length + -length % multiple, fixed or 0)
    if whole <= side:
        return [Span(0, whole, np.ones(whole, np.float32))]

    # The spacing is a multiple of the stride, so that it remains an upper bound of the distance
    # between tiles whose starts are rounded down to the stride.
    spacing = max((side - overlap) // multiple, 1) * multiple
    steps = -(-(whole - side) // spacing)
    starts = np.arange(steps + 1) * (whole - side) // (multiple * steps) * multiple
    middles = (starts[:-1] + starts[1:] + side) // 2
    # `after[i]` is the share of a pixel that lies after boundary i. A tile has what is after its
    # first boundary and not after its last, so all weights telescope to 1. A fade of no pixels is
    # a step.
    ramps = (np.arange(whole) + 0.5 - middles[:, None]) / max(fade, 1e-6) + 0.5
    after = np.vstack([np.ones(whole), ramps.clip(0, 1), np.zeros(whole)])
    weights = (after[:-1] - after[1:]).astype(np.float32)
    return [
        Span(start, start + side, own[start : start + side])
        for start, own in zip(starts.tolist(), weights, strict=True)
    ]


def in_tiles(
    model: PictureModel,
    read: Callable[[Indices, Indices], Floats],
    size: tuple[int, int],
    *,
    tile: int = TILE,
) -> Iterator[tuple[int, Floats]]:
    """Apply a model to pictures of one size in tiles; yield the results in bands from the top.

    Where the sides are no multiple of the network's stride, pictures are mirrored at their right
    and lower border.

    Args:
        model: Model to apply.
        read: Returns the pixels of P pictures at row and column indices, ``(h,)`` and ``(w,)``, as
            ``float32 (P, C, h, w)``.
        size: Height and width of the pictures.
        tile: Side of a tile in pixels.

    Yields:
        Index of a band's first row, and the band, of shape ``(P, C', rows, W)``, without gaps.
    """
    height, width = size
    down, across = (spans(side, model.geometry, tile=tile) for side in size)
    columns = [_pixels(span, width) for span in across]
    # Rows that the tiles below will complete; none before the first tiles.
    waiting = np.zeros((1, 1, 0, 1), np.float32)
    # A band holds one row of tiles at the picture's full width: memory grows only with the width.
    for span, below in itertools.zip_longest(down, down[1:]):
        rows = _pixels(span, height)
        outputs: list[Floats] = []
        for some in batches(columns, pixels=len(rows) * len(columns[0])):
            tiles = np.concatenate([read(rows, chosen) for chosen in some])
            outputs += np.split(model(tiles), len(some))
        band = np.zeros((*outputs[0].shape[:3], across[-1].stop), np.float32)
        for output, own in zip(outputs, across, strict=True):
            band[..., own.start : own.stop] += output * (span.weights[:, None] * own.weights)
        band[:, :, : waiting.shape[2]] += waiting
        # Rows above the next tile are complete.
        done = below.start - span.start if below else height - span.start
        yield span.start, band[:, :, :done, :width]
        waiting = band[:, :, done:]


def batches(items: Sequence[ItemT], *, pixels: int) -> Iterator[Sequence[ItemT]]:
    """Divide items into batches that go through a network together, with at least one item each.

    Args:
        items: What to divide, images or other things of equal size.
        pixels: Pixels of one item.
    """
    count = max(1, BATCH_PIXELS // pixels)
    for first in range(0, len(items), count):
        yield items[first : first + count]


def _pixels(span: Span, length: int) -> Indices:
    """Return the indices of a tile's pixels, mirrored beyond ``length``, the border pixel twice."""
    folded = np.arange(span.start, span.stop) % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)
