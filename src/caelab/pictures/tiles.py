"""A large picture through an image → image function in overlapping tiles, so that memory stays
bounded.

A network whose receptive field is known is applied to tiles that begin at multiples of its stride,
and of every tile only that part is used whose field lies within the tile (or ends at the picture's
border, as in the whole): the result is that of the whole picture, to the order in which a library
adds up numbers. Where the field is the whole image, the tiles fade into one another over a wide
overlap, and there are no seams.
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
"""Side of a tile in pixels, where nothing asks for another."""

WHOLE_IMAGE_TILE = 128
"""The most where the field is the whole image: nearer to what such networks were trained on, and
attention is dear."""

BATCH_PIXELS = TILE**2
"""Small tiles go through the network together, up to so many pixels."""


@dataclass(frozen=True)
class Span:
    """A tile along one side: pixels ``start`` to ``stop``, and how much each counts, float32 (stop
    − start,).
    """

    start: int
    stop: int
    weights: Floats


def spans(length: int, geometry: Geometry, *, tile: int = TILE) -> list[Span]:
    """Cut a side of ``length`` pixels, made up to a multiple of the network's stride, into tiles of
    one size.

    The weights of all tiles at a pixel add up to 1.

    Args:
        length: Pixels.
        geometry: The network's.
        tile: The side of a tile; more where the receptive field asks for more; without effect where
            it is fixed.
    """
    multiple = geometry.multiple
    if geometry.fixed is None:
        side = tile if geometry.field is not None else min(tile, WHOLE_IMAGE_TILE)
        margin, fade = (
            (geometry.field, 0) if geometry.field is not None else (side // 16, side // 8)
        )
        overlap = 2 * margin + fade
        side = _up(max(side, 4 * overlap, overlap + multiple), multiple)
        whole = _up(length, multiple)
    else:
        side, overlap, fade = geometry.fixed, geometry.fixed // 2, geometry.fixed // 4
        whole = max(length, side)
    if whole <= side:
        return [Span(0, whole, np.ones(whole, np.float32))]

    # Where neighbors begin is rounded down to the stride: being a multiple of it, this stays an
    # upper bound.
    spacing = max((side - overlap) // multiple, 1) * multiple
    count = -(-(whole - side) // spacing) + 1
    starts = [
        number * (whole - side) // (multiple * (count - 1)) * multiple for number in range(count)
    ]
    middles = [(left + side + right) // 2 for left, right in itertools.pairwise(starts)]
    pixels = np.arange(whole)
    # How much of a pixel lies behind each boundary between tiles: the differences are the weights.
    behind = [np.ones(whole), *(_ramp(pixels, middle, fade) for middle in middles), np.zeros(whole)]
    return [
        Span(
            start,
            start + side,
            (behind[number] - behind[number + 1])[start : start + side].astype(np.float32),
        )
        for number, start in enumerate(starts)
    ]


def in_tiles(
    model: PictureModel,
    read: Callable[[Indices, Indices], Floats],
    size: tuple[int, int],
    *,
    tile: int = TILE,
) -> Iterator[tuple[int, Floats]]:
    """Apply ``model`` to a picture in tiles; yield it from top to bottom, in bands.

    Beyond the right and lower border, where the sides are no multiple of the network's stride, the
    picture is mirrored.

    Args:
        model: What is applied.
        read: Given row and column numbers, (h,) and (w,), returns these pixels, float32 (C, h, w).
        size: Height and width of the picture.
        tile: Side of a tile in pixels.

    Yields:
        The first row of a band, and the band, float32 (C', rows, width), in order and without gaps.
    """
    height, width = size
    down, across = spans(height, model.geometry, tile=tile), spans(width, model.geometry, tile=tile)
    columns = [_mirrored(np.arange(span.start, span.stop), width) for span in across]
    at_once = max(
        1, BATCH_PIXELS // ((down[0].stop - down[0].start) * (across[0].stop - across[0].start))
    )
    band = np.zeros((0, 0, 0), np.float32)
    for number, span in enumerate(down):
        rows = _mirrored(np.arange(span.start, span.stop), height)
        for first in range(0, len(across), at_once):
            together = slice(first, first + at_once)
            outputs = model(np.stack([read(rows, places) for places in columns[together]]))
            if not band.size:
                band = np.zeros(
                    (outputs.shape[1], span.stop - span.start, across[-1].stop), np.float32
                )
            for output, beside in zip(outputs, across[together], strict=True):
                band[:, :, beside.start : beside.stop] += output * (
                    span.weights[:, None] * beside.weights
                )
        following = down[number + 1].start if number + 1 < len(down) else span.stop
        done = following - span.start
        if (rows_left := min(following, height) - span.start) > 0:
            yield span.start, band[:, :rows_left, :width].copy()
        band[:, : band.shape[1] - done] = band[:, done:].copy()
        band[:, band.shape[1] - done :] = 0


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _ramp(pixels: Indices, middle: int, width: int) -> NDArray[np.float64]:
    """From 0 to 1 over ``width`` pixels around the boundary before pixel ``middle``; a step where
    that is 0.
    """
    if width == 0:
        return (pixels >= middle).astype(np.float64)
    ramp: NDArray[np.float64] = ((pixels + 0.5 - middle) / width + 0.5).clip(0, 1)
    return ramp


def _mirrored(pixels: Indices, length: int) -> Indices:
    """Fold pixel numbers beyond ``length`` back into the picture, the border pixel twice."""
    folded = pixels % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)
