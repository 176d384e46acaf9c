"""Color profiles (ICC): what the numbers of a picture look like in sRGB, the space that networks
are trained in.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Bytes = NDArray[np.uint8]

_NEAR = 3
"""A profile whose colors differ by less than this from sRGB's, of 255, is taken for sRGB."""


class ColorProfile:
    """An ICC profile of gray, RGB or CMYK values.

    Attributes:
        space: ``"GRAY"``, ``"RGB"`` or ``"CMYK"``.
    """

    def __init__(self, icc: bytes) -> None:
        """Read a profile.

        Raises:
            ValueError: It is damaged, or of another kind of values.
        """
        try:
            self._profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            self.space = self._profile.profile.xcolor_space.strip()
            self._srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
            mode = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}[self.space]
            self._to = self._transform(self._profile, self._srgb, mode, "RGB")
            self._from = (
                self._transform(self._srgb, self._profile, "RGB", "RGB") if mode == "RGB" else None
            )
        except (OSError, KeyError, ImageCms.PyCMSError) as error:
            raise ValueError(f"the color profile cannot be used ({error})") from error

    @property
    def is_srgb(self) -> bool:
        """Whether it is sRGB, or as good as."""
        if self._from is None:
            return False
        steps = np.linspace(0, 255, 6).round().astype(np.uint8)
        colors = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
        return bool(np.abs(self.to_srgb(colors).astype(int) - colors).max() < _NEAR)

    def to_srgb(self, values: Bytes) -> Bytes:
        """Convert gray or RGB, uint8 (H, W, 1 or 3), to sRGB, uint8 (H, W, 3).

        Raises:
            ValueError: The values are not of the profile's kind.
        """
        return self.image_to_srgb(
            Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
        )

    def image_to_srgb(self, image: Image.Image) -> Bytes:
        """Convert an image of the profile's kind, CMYK too, to sRGB, uint8 (H, W, 3).

        Raises:
            ValueError: It is of another kind.
        """
        return self._apply(image, self._to)

    def from_srgb(self, values: Bytes) -> Bytes:
        """Convert sRGB, uint8 (H, W, 3), to this profile's values, which must be RGB."""
        assert self._from is not None
        return self._apply(Image.fromarray(values), self._from)

    def gray_curve(self) -> NDArray[np.float32]:
        """Return the sRGB level in [0, 1], ``float32 (256,)``, of each 8-bit level of gray.

        Where the profile is not one of gray, the levels stay as they are.
        """
        if self.space != "GRAY":
            return np.linspace(0, 1, 256, dtype=np.float32)
        ramp = self.to_srgb(np.arange(256, dtype=np.uint8).reshape(1, -1, 1))
        return ramp[0, :, 1].astype(np.float32) / np.float32(255)

    @staticmethod
    def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Bytes:
        try:
            converted = ImageCms.applyTransform(image, transform)
        except ImageCms.PyCMSError as error:
            raise ValueError(f"the color profile does not fit the values ({error})") from error
        assert converted is not None
        return np.asarray(converted)

    @staticmethod
    def _transform(
        source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, given: str, wanted: str
    ) -> ImageCms.ImageCmsTransform:
        return ImageCms.buildTransform(
            source,
            target,
            given,
            wanted,
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
