"""A picture in memory: its pixels, and the other content of its file."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from caelab.pictures.color_profile import is_wide, to_image
from caelab.pictures.metadata import Metadata

Values = NDArray[Any]
"""Array of uint8 or uint16."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture in memory, upright.

    Attributes:
        pixels: uint8 or uint16 ``(H, W, C)``, gamma-encoded, full range; C is 1 for gray and 3 for
            RGB, in the color space of ``icc``.
        alpha: Opacity ``(H, W)`` of the same type, 0 for transparent pixels; ``None`` if all pixels
            are opaque.
        format: Pillow's name of the file's format.
        icc: ICC color profile of the pixels; ``None`` for sRGB.
        metadata: The file's other content, such as EXIF.
        lossless: True if the file stored every value exactly. A WebP of the result is then lossless
            too.
        duration: Milliseconds for which a frame of an animation is shown; ``None`` for any other
            picture.
        plays: Number of times that the animation is played; 0 for endless repetition.
        notes: Remarks for the user about how the file was read.
    """

    pixels: Values
    alpha: Values | None = None
    format: str = "PNG"
    icc: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)
    lossless: bool = True
    duration: float | None = None
    plays: int = 0
    notes: tuple[str, ...] = ()

    @classmethod
    def of_values(cls, values: Values, **attributes: Any) -> "Picture":
        """Make a picture of values ``(H, W, C)``, whose last channel is alpha if C is 2 or 4.

        >>> Picture.of_values(np.zeros((4, 5, 4), np.uint8)).alpha.shape
        (4, 5)
        """
        colors = values.shape[2] - (values.shape[2] in (2, 4))
        alpha = None if colors == values.shape[2] else np.ascontiguousarray(values[..., -1])
        return cls(pixels=np.ascontiguousarray(values[..., :colors]), alpha=alpha, **attributes)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def most(self) -> int:
        """The value of white: 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)

    @property
    def channels(self) -> int:
        """Number of channels, alpha included."""
        return int(self.pixels.shape[2]) + (self.alpha is not None)

    @property
    def wide_profile(self) -> bytes | None:
        """The color profile of RGB pixels; ``None`` if it is sRGB, damaged or for other pixels."""
        return self.icc if self.icc and self.pixels.shape[2] == 3 and is_wide(self.icc) else None

    def joined(self, rows: slice = slice(None)) -> Values:
        """Return rows of pixels ``(R, W, 1 to 4)``; the alpha, if any, is the last channel."""
        values = self.pixels[rows]
        return values if self.alpha is None else np.dstack([values, self.alpha[rows]])

    def to_pillow(self) -> Image.Image:
        """Return a Pillow image with the color profile; 16-bit colors or alpha become 8-bit."""
        values = self.joined()
        # Pillow has 16 bits only for gray.
        if values.dtype == np.uint16 and values.shape[2] > 1:
            values = to_eight_bits(values)
        image = to_image(values)
        if self.icc:
            image.info["icc_profile"] = self.icc
        return image

    def reduced(self, size: tuple[int, int], resampling: Image.Resampling) -> NDArray[np.uint8]:
        """Resize the pixels without alpha, as 8 bits: the upper byte of 16-bit values.

        Args:
            size: Height and width in pixels.
            resampling: Pillow's filter.

        Returns:
            ``uint8`` of shape ``(*size, C)``.
        """
        eight = self.pixels if self.most == 255 else (self.pixels >> 8).astype(np.uint8)
        resized = to_image(eight).resize(size[::-1], resampling, reducing_gap=3.0)
        return np.asarray(resized).reshape(*size, eight.shape[2])


def to_eight_bits(values: Values) -> Values:
    """Round ``uint16`` to ``uint8``, any shape.

    >>> to_eight_bits(np.array([0, 128, 129, 65535], np.uint16)).tolist()
    [0, 0, 1, 255]
    """
    return np.rint(values / 257).astype(np.uint8)


def to_planes(values: Values) -> Floats:
    """Convert integers ``(H, W, C)`` to ``float32 (C, H, W)`` in [0, 1].

    >>> to_planes(np.array([[[0, 51, 255]]], np.uint8)).ravel().astype(float).round(2).tolist()
    [0.0, 0.2, 1.0]
    """
    # In C order, because later operations would be slow on a transposed view.
    planes = values.transpose(2, 0, 1).astype(np.float32, order="C")
    planes *= np.float32(1 / np.iinfo(values.dtype).max)
    return planes


def from_planes(planes: Floats, dtype: DTypeLike) -> Values:
    """Clip ``(C, H, W)`` to [0, 1] and round to integers ``(H, W, C)``.

    Args:
        planes: Values on [0, 1].
        dtype: ``uint8`` or ``uint16``.

    >>> from_planes(np.array([[[0.2]], [[-1]], [[2]]], np.float32), np.uint8).ravel().tolist()
    [51, 0, 255]
    """
    # Truncation of x + ½ rounds, and is several times faster than `rint`.
    scaled = planes.clip(0, 1) * np.float32(np.iinfo(dtype).max) + np.float32(0.5)
    return scaled.transpose(1, 2, 0).astype(dtype, order="C")
