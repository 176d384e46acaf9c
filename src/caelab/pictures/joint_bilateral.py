"""Joint bilateral upsampling: chroma from the network's scale to a photograph's.

The photograph's own luma guides it, so that colors stop at edges (Kopf et al. 2007,
doi:10.1145/1276377.1276497). It works octave by octave: the chroma of a new pixel is the mean of
the 3×3 pixels around it one octave down, weighted by nearness (a quadratic B-spline) and by
similarity of luma. Means do not overshoot, but they lower the contrast, so the difference to the
network's chroma is added back once ("back projection").

Chroma reduced to a shorter side of 32, 64 or 128 pixels is recovered 1.1 dB better than by bicubic
interpolation (mean over scikit-image's astronaut, cat, coffee and rocket). The guided filter (He et
al. 2013, and its fast form, 2015), measured in the same frame, was worse at 32 and equal above.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from caelab.pictures.picture import Floats

Size = tuple[int, int]
"""Height and width, in pixels."""

WHOLE_PIXELS = 2**20
"""Octaves of up to this many pixels are computed as a whole, and the last step row by row."""

LUMA_SCALE = 0.05
"""Difference of luma, on [0, 1], at which the weight of a neighbor is a quarter."""


class GuidedChroma:
    """Chroma at the size of a picture, computed for any rows of it.

    The bits do not depend on the division into rows. Chroma of the picture's size is not changed;
    larger chroma is averaged.

    Args:
        chroma: ``float32 (2, h, w)``.
        size: Height and width of the picture.
        guide: Returns the picture's luma averaged to a size of at most the picture's, ``float32
            (height, width)`` in [0, 1].
        whole_pixels: Octaves of up to this many pixels are computed as a whole.
    """

    def __init__(
        self,
        chroma: Floats,
        *,
        size: Size,
        guide: Callable[[Size], Floats],
        whole_pixels: int = WHOLE_PIXELS,
    ) -> None:
        self._size = size
        # Chroma that is larger than the picture is averaged down to it.
        smallest = (min(chroma.shape[1], size[0]), min(chroma.shape[2], size[1]))
        first = resized(chroma, smallest, Image.Resampling.BOX)
        # Luma and chroma are in one array, because each step gathers both at the same pixels.
        self._planes = np.concatenate([guide(smallest)[None], first])
        while (octave := self._planes.shape[1:]) != size:
            larger = min(2 * octave[0], size[0]), min(2 * octave[1], size[1])
            # Larger octaves would take too much memory. `rows` computes the last step, with the
            # remaining factor, for the wanted rows.
            if larger[0] * larger[1] > whole_pixels:
                break
            luma = guide(larger)
            chroma = _step(self._planes, luma, size=larger, top=0)
            self._planes = np.concatenate([luma[None], chroma])
        if octave != smallest:
            # Back projection: the contrast that the means have lost is measured at the network's
            # scale, where the chroma is known, and added back. It is smooth, so that bilinear
            # interpolation is enough.
            lost = first - resized(self._planes[1:], smallest, Image.Resampling.BOX)
            self._planes[1:] += resized(lost, octave, Image.Resampling.BILINEAR)

    def rows(self, luma: Floats, *, top: int) -> Floats:
        """Return the chroma of some rows.

        Args:
            luma: Luma of these rows at full size, ``float32 (R, W)`` in [0, 1].
            top: Index of the first row.

        Returns:
            ``float32`` of shape ``(2, R, W)``.
        """
        if self._planes.shape[1:] == self._size:
            return self._planes[1:, top : top + len(luma)]
        return _step(self._planes, luma, size=self._size, top=top)


def resized(planes: Floats, size: Size, resampling: Image.Resampling) -> Floats:
    """Resize channels to ``size``.

    Args:
        planes: Array of shape ``(C, h, w)``.
        size: Height and width.
        resampling: Pillow's filter.
    """
    return np.stack(
        [np.asarray(Image.fromarray(plane).resize(size[::-1], resampling)) for plane in planes]
    )


def _step(coarse: Floats, luma: Floats, *, size: Size, top: int) -> Floats:
    """Return rows of chroma enlarged to ``size``, ``float32 (2, R, W)``.

    Args:
        coarse: Luma and the two channels of chroma, ``float32 (3, h, w)``.
        luma: Luma of the wanted rows, ``float32 (R, W)``.
        size: Height and width of the enlarged chroma.
        top: Index of the first wanted row.
    """
    rows, columns = luma.shape
    # The weight of nearness is a product of one factor for rows and one for columns. Only the
    # weight of similar luma is computed for each pair of pixels.
    row_weights, row_indices = _neighbors(np.arange(top, top + rows), size[0], coarse.shape[1])
    column_weights, column_indices = _neighbors(np.arange(columns), size[1], coarse.shape[2])
    # Only the coarse rows that the wanted rows need, so that they stay in the cache.
    first, last = int(row_indices.min()), int(row_indices.max()) + 1
    planes = coarse[:, first:last]

    # Sums over the nine neighbors: of the weights, and of both weighted channels.
    sums = np.zeros((3, *luma.shape), np.float32)
    for across in range(3):
        # Columns are gathered once for the three rows that need them.
        neighbors = planes[:, :, column_indices[across]]
        for down in range(3):
            index = row_indices[down] - first
            # In place: an array of a strip's size costs more to allocate than to compute.
            weight = luma - neighbors[0][index]
            weight *= 1 / LUMA_SCALE
            weight *= weight
            weight += 1
            # (1 + d²)⁻² falls like a bell, but never to 0: a pixel unlike all its neighbors still
            # gets their mean. It also needs no exponential.
            weight *= weight
            np.divide(row_weights[down][:, None], weight, out=weight)
            weight *= column_weights[across]
            sums[0] += weight
            # One plane at a time: `neighbors[1:, index]` takes over ten times as long.
            for plane in (1, 2):
                sums[plane] += weight * neighbors[plane][index]
    # The weights do not add up to 1; dividing by their sum gives a mean.
    means: Floats = sums[1:] / sums[0]
    return means


def _neighbors(
    pixels: NDArray[np.int64], fine: int, coarse: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Return weights and indices ``(3, R)`` of the three coarse pixels around each fine pixel.

    Args:
        pixels: Indices of the fine pixels along one side, ``(R,)``.
        fine: Length of the side in fine pixels.
        coarse: Length of the side in coarse pixels.
    """
    # Pixel centers are at half-integers in both grids.
    positions = (pixels + 0.5) * (coarse / fine) - 0.5
    indices = np.rint(positions).astype(np.int64) + np.array([[-1], [0], [1]])
    distances = np.abs(indices - positions)
    # The quadratic B-spline reaches 1.5 coarse pixels, so a pixel's weight is 0 where `rint` jumps
    # to the next three: the result has no seams.
    weights = np.where(distances < 0.5, 0.75 - distances**2, 0.5 * (1.5 - distances).clip(0) ** 2)
    return weights.astype(np.float32), indices.clip(0, coarse - 1)
