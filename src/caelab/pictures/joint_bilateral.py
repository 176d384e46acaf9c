"""Joint bilateral upsampling: enlarge predicted chroma to the size of a photograph.

The luma of the photograph guides the enlargement, so that colors stop at edges (Kopf et al. 2007,
doi:10.1145/1276377.1276497). Each step doubles the size; its result is called an octave. The last
step enlarges by the factor that remains. The chroma of a new pixel is a weighted mean of the 3×3
pixels around its position in the octave before. The weight of each of these pixels depends on its
nearness (a quadratic B-spline) and on the similarity of its luma. Means do not overshoot, but they
lower the contrast. Therefore the difference between the network's chroma and the reduced means is
added back once ("back projection").

Chroma of a photograph was reduced to a shorter side of 32, 64 or 128 pixels and enlarged again. The
mean PSNR over scikit-image's astronaut, cat, coffee and rocket was 1.1 dB higher than by bicubic
interpolation. With the guided filter (He et al. 2013, and its fast form, 2015) in place of the
weighted mean, the PSNR was lower for 32 pixels, and equal for 64 and 128.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from caelab.pictures.picture import Floats

Size = tuple[int, int]
"""Height and width, in pixels."""

WHOLE_PIXELS = 2**20
"""Octaves of up to this many pixels are computed as a whole. If the picture is larger, the last
step enlarges the last of these octaves by the remaining factor, and only for the wanted rows."""

LUMA_SCALE = 0.05
"""Difference of luma, on [0, 1], at which the weight of a neighbor falls to a quarter."""


class GuidedChroma:
    """Chroma enlarged to the size of a picture, computed for any rows of the picture.

    A row has the same bits, whichever rows are computed with it. Chroma that already has the size
    of the picture is not changed, and larger chroma is averaged down to this size.

    Args:
        chroma: Predicted chroma, ``float32 (2, h, w)``.
        size: Height and width of the picture.
        guide: Function that returns the picture's luma, averaged down to a height and width, as
            ``float32 (height, width)`` in [0, 1].
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
            # Larger octaves would take too much memory. `rows` enlarges the last octave by the
            # remaining factor, and only for the wanted rows.
            if larger[0] * larger[1] > whole_pixels:
                break
            luma = guide(larger)
            chroma = _step(self._planes, luma, size=larger, top=0)
            self._planes = np.concatenate([luma[None], chroma])
        if octave != smallest:
            # Back projection: the contrast that the means have lost is measured at the network's
            # scale, where the chroma is known, and added back. The lost contrast is smooth, so
            # bilinear interpolation is enough.
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
    """Resize the channels of an array to ``(C, *size)``.

    Args:
        planes: Array of shape ``(C, h, w)``.
        size: Height and width in pixels.
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
    # The weight for nearness is the product of a factor for the row and a factor for the column.
    # Only the weight for similar luma is computed for each pair of pixels.
    row_weights, row_indices = _neighbors(np.arange(top, top + rows), size[0], coarse.shape[1])
    column_weights, column_indices = _neighbors(np.arange(columns), size[1], coarse.shape[2])
    # Only the needed coarse rows are read, so that they stay in the processor's cache.
    first, last = int(row_indices.min()), int(row_indices.max()) + 1
    planes = coarse[:, first:last]

    # Three sums over the nine neighbors: the weights, and the two weighted channels of chroma.
    sums = np.zeros((3, *luma.shape), np.float32)
    for across in range(3):
        # Columns are gathered once for the three rows that need them.
        neighbors = planes[:, :, column_indices[across]]
        for down in range(3):
            index = row_indices[down] - first
            # Computed in place, because allocating an array takes longer than this arithmetic.
            weight = luma - neighbors[0][index]
            weight *= 1 / LUMA_SCALE
            weight *= weight
            weight += 1
            # The weight of a luma difference d, in units of LUMA_SCALE, is (1 + d²)⁻². It is never
            # 0, so a pixel unlike all its neighbors still gets their mean. A Gaussian would need an
            # exponential.
            weight *= weight
            np.divide(row_weights[down][:, None], weight, out=weight)
            weight *= column_weights[across]
            sums[0] += weight
            # One plane at a time, because `neighbors[1:, index]` takes ten times as long.
            for plane in (1, 2):
                sums[plane] += weight * neighbors[plane][index]
    # The weights do not add up to 1, so the mean is the sum divided by the sum of the weights.
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
    # The quadratic B-spline is 0 from 1.5 coarse pixels on. Where `rint` moves to the next three
    # neighbors, the neighbor that is dropped has the weight 0, so the result has no seams.
    weights = np.where(distances < 0.5, 0.75 - distances**2, 0.5 * (1.5 - distances).clip(0) ** 2)
    return weights.astype(np.float32), indices.clip(0, coarse - 1)
