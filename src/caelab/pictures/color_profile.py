"""Convert the values of a picture between its ICC color profile and sRGB.

The rendering intent is "relative colorimetric" with black point compensation.
"""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Bytes = NDArray[np.uint8]

_SRGB = ImageCms.createProfile("sRGB")

_SRGB_TOLERANCE = 3
"""A profile counts as sRGB if its colors differ from sRGB by less than this, of 255 levels."""


def to_srgb(values: Bytes, icc: bytes) -> Bytes:
    """Convert gray, RGB or CMYK values ``uint8 (H, W, 1, 3 or 4)`` to sRGB ``uint8 (H, W, 3)``.

    Args:
        values: Values in the color space of the profile.
        icc: Content of the ICC profile.

    Raises:
        ValueError: The profile is damaged, or is for another number of channels.
    """
    return _converted(values, {1: "L", 3: "RGB", 4: "CMYK"}[values.shape[2]], icc, None)


def from_srgb(values: Bytes, icc: bytes) -> Bytes:
    """Convert sRGB ``uint8 (H, W, 3)`` to the color space of an RGB profile, in the same shape."""
    return _converted(values, "RGB", None, icc)


def is_wide(icc: bytes) -> bool:
    """Return whether a profile is for RGB values and differs visibly from sRGB."""
    # Profiles of the same color space may differ in bytes, so 6 × 6 × 6 colors are compared.
    colors = np.indices((6, 6, 6), np.uint8).reshape(3, 1, -1).transpose(1, 2, 0) * 51
    try:
        return bool(np.abs(to_srgb(colors, icc).astype(int) - colors).max() >= _SRGB_TOLERANCE)
    except ValueError:
        return False


def to_image(values: NDArray[Any]) -> Image.Image:
    """Return values of shape ``(H, W, C)``, with 1 to 4 channels, as a Pillow image."""
    return Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)


def _converted(values: Bytes, mode: str, source: bytes | None, target: bytes | None) -> Bytes:
    """Convert from the profile ``source`` to ``target``; ``None`` means sRGB."""
    try:
        from_profile, to_profile = (
            ImageCms.ImageCmsProfile(io.BytesIO(icc) if icc is not None else _SRGB)
            for icc in (source, target)
        )
        # The usual choice for photographs: white maps to white, and black to black.
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        transform = ImageCms.buildTransform(from_profile, to_profile, mode, "RGB", intent, flags)
        image = Image.frombytes(mode, values.shape[1::-1], values.tobytes())
        return np.asarray(ImageCms.applyTransform(image, transform))
    except (OSError, ImageCms.PyCMSError) as error:
        raise ValueError(f"the color profile cannot be used ({error})") from error
