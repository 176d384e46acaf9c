"""Color profiles (ICC): values of a picture to and from sRGB, in which networks are trained."""

import io

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
            settings = (
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
                ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            self._to = ImageCms.buildTransform(profile, srgb, mode, "RGB", *settings)
            if mode == "RGB":
                self._from = ImageCms.buildTransform(srgb, profile, "RGB", "RGB", *settings)
        except (OSError, KeyError, ImageCms.PyCMSError) as error:
            raise ValueError(f"the color profile cannot be used ({error})") from error

    @property
    def is_srgb(self) -> bool:
        """True where the values are sRGB's, or nearly."""
        if self.space != "RGB":
            return False
        # Profiles of the same colors differ in bytes, so colors are compared: 6 × 6 × 6 of them.
        steps = np.linspace(0, 255, 6).round().astype(np.uint8)
        colors = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
        return bool(np.abs(self.to_srgb(colors).astype(int) - colors).max() < _SRGB_TOLERANCE)

    def to_srgb(self, values: Bytes) -> Bytes:
        """Convert gray or RGB, ``uint8 (H, W, 1 or 3)``, to sRGB, ``uint8 (H, W, 3)``.

        Raises:
            ValueError: The values are not of the profile's kind.
        """
        return self.image_to_srgb(
            Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
        )

    def image_to_srgb(self, image: Image.Image) -> Bytes:
        """Convert an image of the profile's kind, CMYK included, to sRGB, ``uint8 (H, W, 3)``.

        Raises:
            ValueError: The image is of another kind.
        """
        return _apply(image, self._to)

    def from_srgb(self, values: Bytes) -> Bytes:
        """Convert sRGB to the values of an RGB profile, ``uint8 (H, W, 3)`` both."""
        return _apply(Image.fromarray(values), self._from)

    def gray_curve(self) -> NDArray[np.float32]:
        """Return the sRGB level in [0, 1], ``float32 (256,)``, of each 8-bit level of gray.

        Where the profile is not one of gray, the levels stay as they are.
        """
        if self.space != "GRAY":
            return np.linspace(0, 1, 256, dtype=np.float32)
        ramp = self.to_srgb(np.arange(256, dtype=np.uint8).reshape(1, -1, 1))
        return ramp[0, :, 1].astype(np.float32) / np.float32(255)


def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Bytes:
    try:
        return np.asarray(ImageCms.applyTransform(image, transform))
    except ImageCms.PyCMSError as error:
        raise ValueError(f"the color profile does not fit the values ({error})") from error
