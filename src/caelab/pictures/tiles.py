"""Apply a network to large pictures in overlapping tiles, so that memory stays bounded.

A network whose receptive field is known is applied to tiles that begin at multiples of its stride.
Only that part of a tile counts whose field lies within the tile, or ends at the picture's border,
as in the whole: the result is that of the whole picture, up to the order of summation.
Where the field is the whole image, tiles fade into one another over a wide overlap, without seams.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caelab.pictures.backends.base import Geometry, PictureModel
from caelab.pictures.picture import Floats

Indices = NDArray[np.int64]

TILE = 512
"""Default side of a tile, in pixels."""

MAX_WHOLE_IMAGE_TILE = 128
"""Largest side of a tile where the receptive field is the whole image: closer to the training
images, and attention grows with the square of the pixels."""

BATCH_PIXELS = TILE**2
"""Small tiles go through the network together, up to this many pixels."""


@dataclass(frozen=True)
class Span:
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
    multiple = geometry.multiple
    if geometry.fixed is not None:
        # A network of one size gets tiles of that size. As no part of a tile is exact, half of it
        # overlaps and a quarter fades.
        side, overlap, fade = geometry.fixed, geometry.fixed // 2, geometry.fixed // 4
        whole = max(length, side)
    else:
        if geometry.field is not None:
            # The receptive field is a margin that is dropped; what is left is exact and needs no
            # fading.
            side, margin, fade = tile, geometry.field, 0
        else:
            side = min(tile, MAX_WHOLE_IMAGE_TILE)
            margin, fade = side // 16, side // 8
        overlap = 2 * margin + fade
        side = _rounded_up(max(side, 4 * overlap, overlap + multiple), multiple)
        whole = _rounded_up(length, multiple)
    if whole <= side:
        return [Span(0, whole, np.ones(whole, np.float32))]

    # The spacing is a multiple of the stride, so that it remains an upper bound of the distance
    # between tiles whose starts are rounded down to the stride.
    spacing = max((side - overlap) // multiple, 1) * multiple
    steps = -(-(whole - side) // spacing)
    starts = [index * (whole - side) // (multiple * steps) * multiple for index in range(steps + 1)]
    middles = [(left + side + right) // 2 for left, right in itertools.pairwise(starts)]
    pixels = np.arange(whole)
    # `after[i]` is the share of a pixel that lies after boundary i; a tile has what is after its
    # first boundary and not after its last, so all weights telescope to 1.
    # A fade of no pixels is a step.
    ramps = [((pixels + 0.5 - middle) / max(fade, 1e-6) + 0.5).clip(0, 1) for middle in middles]
    after = [np.ones(whole), *ramps, np.zeros(whole)]
    weights = [(left - right).astype(np.float32) for left, right in itertools.pairwise(after)]
    return [
        Span(start, start + side, own[start : start + side])
        for start, own in zip(starts, weights, strict=True)
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
    down, across = spans(height, model.geometry, tile=tile), spans(width, model.geometry, tile=tile)
    columns = [_mirrored(np.arange(span.start, span.stop), width) for span in across]
    at_once = max(1, BATCH_PIXELS // (len(down[0].weights) * len(across[0].weights)))
    # A band holds one row of tiles at the picture's full width: memory grows with the width alone.
    band = np.zeros(0, np.float32)
    for number, span in enumerate(down):
        rows = _mirrored(np.arange(span.start, span.stop), height)
        outputs: list[Floats] = []
        for first in range(0, len(across), at_once):
            tiles = [read(rows, chosen) for chosen in columns[first : first + at_once]]
            outputs += np.split(model(np.concatenate(tiles)), len(tiles))
        if number == 0:
            band = np.zeros((*outputs[0].shape[:3], across[-1].stop), np.float32)
        for output, own in zip(outputs, across, strict=True):
            band[..., own.start : own.stop] += output * (span.weights[:, None] * own.weights)
        # Rows above the next tile are complete; the others wait at the top of the band.
        following = down[number + 1].start if number + 1 < len(down) else span.stop
        done = following - span.start
        if (rows_left := min(following, height) - span.start) > 0:
            yield span.start, band[:, :, :rows_left, :width].copy()
        band = np.concatenate([band[:, :, done:], np.zeros_like(band[:, :, :done])], axis=2)


def _rounded_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _mirrored(pixels: Indices, length: int) -> Indices:
    """Fold indices beyond ``length`` back into the picture, the border pixel twice."""
    folded = pixels % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)
