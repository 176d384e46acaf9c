"""A picture in memory: its values, and what else its file contains."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from caelab.pictures.color_profile import is_wide, to_image
from caelab.pictures.metadata import Metadata

Values = NDArray[Any]
"""uint8 or uint16."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture in memory, upright.

    Attributes:
        pixels: uint8 or uint16 ``(H, W, C)``, gamma-encoded, full range; C is 1 for gray and 3 for
            RGB, in the color space of ``icc``.
        alpha: ``(H, W)`` of the same type, 0 where transparent; ``None`` where all is opaque.
        format: Pillow's name of the file's format.
        icc: Color profile of the values; ``None`` for sRGB.
        metadata: The file's other content, such as EXIF.
        lossless: Whether the file kept every value; decides how a WebP file is written.
        duration: Milliseconds for which a frame of an animation is shown; ``None`` for any other
            picture.
        plays: Number of times that the animation is played; 0 for always.
        notes: What users should know about how the file was read.
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
        """Return the picture of values ``(H, W, 1 to 4)``, whose last channel may be alpha.

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
        """Number of channels, with the alpha."""
        return int(self.pixels.shape[2]) + (self.alpha is not None)

    @property
    def wide_profile(self) -> bytes | None:
        """The profile if the values are RGB but not sRGB; an unusable profile counts as sRGB."""
        return self.icc if self.icc and self.pixels.shape[2] == 3 and is_wide(self.icc) else None

    def joined(self, rows: slice = slice(None)) -> Values:
        """Return some rows with the alpha after the colors, ``(R, W, 1 to 4)``."""
        values = self.pixels[rows]
        return values if self.alpha is None else np.dstack([values, self.alpha[rows]])

    def to_pillow(self) -> Image.Image:
        """Return a Pillow image with the profile; in Pillow only gray can have 16 bits."""
        values = self.joined()
        if values.dtype == np.uint16 and values.shape[2] > 1:
            values = to_eight_bits(values)
        image = to_image(values)
        if self.icc:
            image.info["icc_profile"] = self.icc
        return image

    def reduced(self, size: tuple[int, int], resampling: Image.Resampling) -> NDArray[np.uint8]:
        """Resize the colors to 8 bits; of 16 bits, the upper byte counts.

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
