"""Color profiles (ICC): values of a picture to and from sRGB, in which networks are trained."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Bytes = NDArray[np.uint8]

_SRGB_TOLERANCE = 3
"""A profile whose colors differ from sRGB's by less, of 255, counts as sRGB."""


class ColorProfile:
    """An ICC profile of gray, RGB or CMYK values.

    Conversions are relative colorimetric with black point compensation.

    Attributes:
        space: ``"GRAY"``, ``"RGB"`` or ``"CMYK"``.

    Args:
        icc: Content of the profile.

    Raises:
        ValueError: The profile is damaged, or of another kind of values.
    """

    def __init__(self, icc: bytes) -> None:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
            self.space = profile.profile.xcolor_space.strip()
            mode = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}[self.space]
            # The usual choice for photographs: white maps to white, and black to black.
            intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
            flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
            self._to = ImageCms.buildTransform(profile, srgb, mode, "RGB", intent, flags)
            if mode == "RGB":
                self._from = ImageCms.buildTransform(srgb, profile, mode, mode, intent, flags)
        except (OSError, KeyError, ImageCms.PyCMSError) as error:
            raise ValueError(f"the color profile cannot be used ({error})") from error

    @property
    def is_wide(self) -> bool:
        """True where the values are RGB, but not sRGB or nearly."""
        if self.space != "RGB":
            return False
        # Profiles of the same colors differ in bytes, so colors are compared: 6 × 6 × 6 of them.
        colors = np.indices((6, 6, 6), np.uint8).reshape(3, 1, -1).transpose(1, 2, 0) * 51
        return bool(np.abs(self.to_srgb(colors).astype(int) - colors).max() >= _SRGB_TOLERANCE)

    def to_srgb(self, values: Bytes | Image.Image) -> Bytes:
        """Convert an image, or ``uint8 (H, W, 1 or 3)``, to sRGB, ``uint8 (H, W, 3)``.

        Raises:
            ValueError: The values are not of the profile's kind.
        """
        return _apply(values, self._to)

    def from_srgb(self, values: Bytes) -> Bytes:
        """Convert sRGB to the values of an RGB profile, ``uint8 (H, W, 3)`` both."""
        return _apply(values, self._from)

    def gray_curve(self) -> Bytes:
        """Return the sRGB level, ``uint8 (256,)``, of each level of gray.

        Where the profile is not one of gray, the levels stay as they are.
        """
        levels = np.arange(256, dtype=np.uint8)
        return self.to_srgb(levels[None, :, None])[0, :, 1] if self.space == "GRAY" else levels


def to_image(values: NDArray[Any]) -> Image.Image:
    """Return values of shape ``(H, W, C)``, with 1 to 4 channels, as a Pillow image."""
    return Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)


def _apply(values: Bytes | Image.Image, transform: ImageCms.ImageCmsTransform) -> Bytes:
    image = values if isinstance(values, Image.Image) else to_image(values)
    try:
        return np.asarray(ImageCms.applyTransform(image, transform))
    except ImageCms.PyCMSError as error:
        raise ValueError(f"the color profile does not fit the values ({error})") from error
