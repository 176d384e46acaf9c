"""A picture file as values, with everything that must not be lost on the way back to a file."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from caelab.errors import InputError
from caelab.pictures.color_profile import is_wide, to_image, to_srgb
from caelab.pictures.read_16bit import read_16_bits

Values = NDArray[Any]
"""uint8 or uint16."""

Floats = NDArray[np.float32]

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's formats that are read. Some others start programs, which a file must not do."""

ORIENTATION = 0x0112
"""EXIF's tag of the orientation."""

KEPT_TAGS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 18246, 33432)
"""TIFF tags that are kept: description, maker, model, resolution, software, date, artist, rating,
copyright."""

KEPT_DIRECTORIES = (34665, 34853)
"""EXIF directories in a TIFF that are kept: the camera's settings, and the location."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture in memory, upright.

    Attributes:
        pixels: uint8 or uint16 ``(H, W, C)``, gamma-encoded, full range; C is 1 for gray and 3 for
            RGB, in the color space of ``icc``.
        alpha: ``(H, W)`` of the same type, 0 where transparent; ``None`` where all is opaque.
        format: Pillow's name of the file's format.
        icc: Color profile of the values; ``None`` for sRGB.
        exif: EXIF as in a file, without the orientation; empty where there is none.
        lossless: Whether the file kept every value; decides how a WebP file is written.
        notes: What users should know about how the file was read.
    """

    pixels: Values
    alpha: Values | None = None
    format: str = "PNG"
    icc: bytes | None = None
    exif: bytes = b""
    lossless: bool = True
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
        """The profile of RGB values that are not sRGB; one that cannot be used counts as sRGB."""
        return self.icc if self.icc and self.pixels.shape[2] == 3 and is_wide(self.icc) else None

    def joined(self, rows: slice = slice(None)) -> Values:
        """Return some rows with the alpha after the colors, ``(R, W, 1 to 4)``."""
        values = self.pixels[rows]
        return values if self.alpha is None else np.dstack([values, self.alpha[rows]])

    def to_pillow(self) -> Image.Image:
        """Return a Pillow image with the profile; Pillow holds 16 bits of gray alone."""
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
    # In C order, as the layout of the transposed view would make every later operation strided.
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


def read_picture(source: Path | bytes, *, name: str | None = None) -> Picture:
    """Read a picture of any kind.

    It is turned as its EXIF says. Palettes become RGB, CMYK becomes sRGB; of an animation, the
    first frame is read. Integers of more than 16 bits have the range 0–65535, floating point 0–1,
    or 0–255 where a value is above 1.

    Args:
        source: A file, or its content.
        name: Name of the picture in messages.

    Raises:
        InputError: It is no picture, damaged, too large, or of a kind that is not read.
    """
    name = name or printable(source if isinstance(source, Path) else "the input")
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
        if not content:
            raise InputError(f"{name} is empty (0 bytes).")
        with warnings.catch_warnings():
            # Pillow warns of odd metadata, and of sizes that it does not refuse yet.
            warnings.simplefilter("ignore")
            return _read(content)
    except InputError:
        raise
    except Exception as error:  # Pillow raises errors of every kind for broken files
        raise InputError(f"{name} {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """Say what is wrong with a picture that cannot be read."""
    match error:
        case UnidentifiedImageError():
            return f"is not a picture that can be read ({', '.join(FORMATS)})"
        case Image.DecompressionBombError():
            # Pillow refuses twice the number of pixels from which it warns: a file of a few
            # kilobytes can claim any size.
            limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
            return f"claims to be larger than {limit:,} pixels, the limit. Reduce it"
        case MemoryError():
            return "does not fit into memory. Reduce it"
        case OSError():
            return f"cannot be read: {error.strerror or f'{error}; it is damaged or cut off'}"
    return f"cannot be read: {type(error).__name__}, {error}; it is damaged"


def printable(name: str | Path) -> str:
    r"""Escape every character that a terminal would act on or cannot show.

    >>> printable("a\nb.png")
    'a\\nb.png'
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(name)
    )


def picture_of(image: Image.Image) -> Picture:
    """Return a Pillow image of any mode as a picture, upright, with its profile, without its EXIF.

    >>> picture_of(Image.new("RGBA", (3, 2))).size
    (2, 3)
    """
    upright = ImageOps.exif_transpose(image)
    values, icc, notes = _values(upright, image.info.get("icc_profile") or None)
    return Picture.of_values(values, icc=icc, notes=tuple(notes))


def _read(content: bytes) -> Picture:
    def reopen() -> ImageFile.ImageFile:
        Image.init()  # registers the plugins; a build of Pillow may lack some
        known = [format_ for format_ in FORMATS if format_ in Image.OPEN]
        return Image.open(io.BytesIO(content), formats=known)

    with reopen() as opened:
        format_, frames = opened.format or "PNG", getattr(opened, "n_frames", 1)
        notes = [f"of {frames} frames only the first is used"] if frames > 1 else []
        if format_ == "MPO":
            # A JPEG of a telephone with a second picture inside, which is smaller.
            format_, notes = "JPEG", []
        # The depth comes first: EXIF may load the picture, after which Pillow no longer tells it.
        values = None if "transparency" in opened.info else read_16_bits(opened.tile, reopen)
        exif, orientation, exif_notes = _exif(opened)
        icc = opened.info.get("icc_profile") or None
        # Values come last: decoding may drop the metadata.
        if values is None:
            values, icc, value_notes = _values(opened, icc)
            notes += value_notes
    return Picture.of_values(
        _upright(values, orientation),
        format=format_,
        icc=icc,
        exif=exif,
        # The header of a WebP file names its kind: VP8L is lossless.
        lossless=format_ != "JPEG" and (format_ != "WEBP" or b"VP8L" in content[:4096]),
        notes=(*notes, *exif_notes),
    )


def _values(opened: Image.Image, icc: bytes | None) -> tuple[Values, bytes | None, list[str]]:
    """Decode to uint8 or uint16 ``(H, W, 1 to 4)``; return the values' profile and notes too."""
    opened.load()
    mode, notes = opened.mode, []
    if mode in ("I", "F"):
        # float64 holds every 32-bit integer; infinity becomes white, NaN black.
        numbers = np.nan_to_num(np.asarray(opened).astype(np.float64), posinf=1e300, neginf=0)
        if mode == "F":
            numbers *= 65535 if numbers.max() <= 1 else 257
        values = np.rint(numbers.clip(0, 65535)).astype(np.uint16)
        if not np.array_equal(values, np.asarray(opened)):
            notes = ["its values were brought to 16 bits"]
    elif mode.startswith("I;16"):
        values = np.asarray(opened).astype(np.uint16)
    elif mode == "CMYK":
        try:
            values, note = to_srgb(np.asarray(opened), icc or b""), "CMYK was converted to sRGB"
        except ValueError:
            values = np.asarray(opened.convert("RGB"))
            note = "CMYK without a usable profile was converted to RGB"
        icc, notes = None, [note]
    else:
        wanted = "L" if mode in ("1", "L", "LA", "La") else "RGB"
        if opened.has_transparency_data:
            wanted += "A"
        values = np.asarray(opened if mode == wanted else opened.convert(wanted))
    return values.reshape(opened.height, opened.width, -1), icc, notes


def _exif(opened: ImageFile.ImageFile) -> tuple[bytes, int, list[str]]:
    """Return EXIF without its orientation, the orientation, and notes; omit damaged EXIF."""
    try:
        exif = Image.Exif()
        exif.load(opened.getexif().tobytes())  # a copy: decoding looks at the original
        orientation = int(exif.pop(ORIENTATION, 1))
        if opened.format == "TIFF":
            orientation = 1  # Pillow turns a TIFF by itself
            # A TIFF's tags also say how the values are stored, which does not hold for the result.
            for tag in set(exif) - {*KEPT_TAGS, *KEPT_DIRECTORIES}:
                del exif[tag]
        return (exif.tobytes() if len(exif) else b""), orientation, []
    except Exception:  # as broken as files can be; the picture is what matters
        return b"", 1, ["its EXIF is damaged and was left out"]


def _upright(values: Values, orientation: int) -> Values:
    """Turn values ``(H, W, C)`` as EXIF's orientation says; unknown ones change nothing."""
    if orientation not in range(1, 9):
        return values
    if orientation > 4:
        values = values.swapaxes(0, 1)
    # The last four are the first four, of a picture whose rows are its columns.
    down, across = [(1, 1), (1, -1), (-1, -1), (-1, 1)][(orientation - 1) % 4]
    return values[::down, ::across]
