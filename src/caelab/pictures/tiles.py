"""Apply a network to large pictures in overlapping tiles, so that memory stays bounded.

If the receptive field of a network is limited, tiles begin at multiples of the network's stride. An
output pixel of a tile is used only if its receptive field stays inside the tile. At the border of
the picture all pixels are used, because tiles are padded there like the whole picture. Therefore
the result is the same as without tiles, up to rounding. If the receptive field is the whole image,
tiles overlap widely and fade into each other, so that no seams appear.
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
"""Largest side of a tile in pixels, if the receptive field is the whole image. Small tiles resemble
the training images, and the cost of attention grows with the square of the number of pixels."""

BATCH_PIXELS = TILE**2
"""Largest number of pixels that go through the network together, unless a single tile has more."""


class Span(NamedTuple):
    """Range of a tile along one side of a picture.

    Attributes:
        start: Index of the first pixel.
        stop: Index after the last pixel.
        weights: Weights of the pixels in the sum over tiles, ``float32 (stop − start,)``.
    """

    start: int
    stop: int
    weights: Floats


def spans(length: int, geometry: Geometry, *, tile: int = TILE) -> list[Span]:
    """Divide a side into tiles of equal length whose weights add up to 1 at every pixel.

    The side is first extended to a multiple of the network's stride.

    Args:
        length: Length of the side in pixels.
        geometry: Sizes that the network takes.
        tile: Wanted length of a tile in pixels. Tiles become longer if the receptive field requires
            it. A network that takes a single size ignores this value.
    """
    multiple, fixed = geometry.multiple, geometry.fixed
    if fixed is not None:
        # No part of such a tile is exact, so neighboring tiles share half of their pixels, and fade
        # into each other over a quarter.
        side, overlap, fade = fixed, fixed // 2, fixed // 4
    elif geometry.field is None:
        side = min(tile, MAX_WHOLE_IMAGE_TILE)
        overlap, fade = side // 4, side // 8
    else:
        # In an overlap each tile drops a margin of the size of the receptive field. All other
        # pixels are exact and need no fading.
        side, overlap, fade = tile, 2 * geometry.field, 0
    if fixed is None:
        # Pixels of an overlap are computed twice, so a tile is at least four overlaps long.
        side = max(side, 4 * overlap, overlap + multiple)
        side += -side % multiple
    extended = max(length + -length % multiple, fixed or 0)
    if extended <= side:
        return [Span(0, extended, np.ones(extended, np.float32))]

    # Starts of tiles are rounded down to multiples of the stride. The spacing is such a multiple
    # too, so that rounding never moves neighboring tiles further apart than the spacing.
    spacing = max((side - overlap) // multiple, 1) * multiple
    steps = -(-(extended - side) // spacing)
    starts = np.arange(steps + 1) * (extended - side) // (multiple * steps) * multiple
    boundaries = (starts[:-1] + starts[1:] + side) // 2
    # `after[i]` is 0 for pixels before boundary i and 1 for pixels after it; it rises linearly over
    # the fade, or in one step if there is no fade. The weights of a tile are the difference of two
    # successive rows of `after`, so that the weights of all tiles add up to 1.
    ramps = (np.arange(extended) + 0.5 - boundaries[:, None]) / max(fade, 1e-6) + 0.5
    after = np.vstack([np.ones(extended), ramps.clip(0, 1), np.zeros(extended)])
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

    If a side is not a multiple of the network's stride, the pictures are extended by mirroring them
    at their right or lower border.

    Args:
        model: Model to apply.
        read: Function of row indices ``(h,)`` and column indices ``(w,)`` that returns the pixels
            of P pictures at these indices, ``float32 (P, C, h, w)``.
        size: Height and width of the pictures.
        tile: Side of a tile in pixels.

    Yields:
        Index of a band's first row, and the band, of shape ``(P, C', rows, W)``. The bands follow
        one another without gaps.
    """
    height, width = size
    down, across = (spans(side, model.geometry, tile=tile) for side in size)
    columns = [_pixels(span, width) for span in across]
    # Rows to which the next tiles below will add; at the beginning there are none.
    waiting = np.zeros((1, 1, 0, 1), np.float32)
    # A band is one row of tiles, so memory grows only with the width of the picture.
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
        # Rows above the next tiles are complete.
        done = below.start - span.start if below else height - span.start
        yield span.start, band[:, :, :done, :width]
        waiting = band[:, :, done:]


def batches(items: Sequence[ItemT], *, pixels: int) -> Iterator[Sequence[ItemT]]:
    """Divide items into batches of up to ``BATCH_PIXELS`` pixels, with at least one item each.

    Args:
        items: Items to divide, such as images, all of equal size.
        pixels: Number of pixels of one item.
    """
    count = max(1, BATCH_PIXELS // pixels)
    for first in range(0, len(items), count):
        yield items[first : first + count]


def _pixels(span: Span, length: int) -> Indices:
    """Return the indices of a tile's pixels; beyond ``length`` they are mirrored at the border."""
    folded = np.arange(span.start, span.stop) % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)
