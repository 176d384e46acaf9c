"""A picture file → its values, and everything beside them that must not be lost on the way back to
a file.
"""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from caelab.errors import InputError
from caelab.pictures.color_profile import ColorProfile
from caelab.pictures.luma import Floats
from caelab.pictures.read_16bit import is_sixteen, read_sixteen

Values = NDArray[Any]
"""uint8 or uint16."""

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""The formats of Pillow that are read; some others start programs, and none is needed."""

PIXEL_LIMIT = 178_956_970
"""Larger pictures are refused, as Pillow does by itself: a file of a few kilobytes can claim any
size."""

ORIENTATION = 0x0112
"""The number of EXIF's tag."""

KEPT_TAGS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 18246, 33432)
"""Of a TIFF's tags: description, maker, model, resolution, software, date, artist, rating,
copyright."""

KEPT_DIRECTORIES = (34665, 34853)
"""EXIF's own directories in a TIFF: the camera's settings, and the place."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture in memory, upright.

    Attributes:
        pixels: uint8 or uint16 (H, W, C), gamma-encoded, full range; C is 1 for gray and 3 for RGB,
            of ``icc``.
        alpha: The same type, (H, W); 0 is transparent; ``None`` where all is opaque.
        format: Pillow's name of the file's format.
        icc: The color profile of the values; ``None`` is sRGB.
        exif: As in a file, without the orientation; empty where there is none.
        lossless: Whether the file kept every value; it says how a WebP file is written.
        notes: What people should know about how the file was read.
    """

    pixels: Values
    alpha: Values | None = None
    format: str = "PNG"
    icc: bytes | None = None
    exif: bytes = b""
    lossless: bool = True
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def most(self) -> int:
        """The value of white: 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)

    def values(self, rows: slice) -> Floats:
        """Return some rows as float32 (rows, W, C) in [0, 1]."""
        part: Floats = self.pixels[rows].astype(np.float32)
        part *= np.float32(1 / self.most)
        return part

    def reduced(self, size: tuple[int, int], resampling: Image.Resampling) -> NDArray[np.uint8]:
        """Resize to (height, width), as uint8 (height, width, C); 16 bits count with their upper
        byte.
        """
        eight = (
            self.pixels if self.pixels.dtype == np.uint8 else (self.pixels >> 8).astype(np.uint8)
        )
        if size == self.size:
            return eight
        image = Image.fromarray(eight[..., 0] if eight.shape[2] == 1 else eight)
        resized = np.asarray(image.resize(size[::-1], resampling, reducing_gap=3.0))
        return resized.reshape(*size, eight.shape[2])

    def noting(self, *notes: str) -> "Picture":
        """Return the same picture with more notes."""
        return replace(self, notes=(*self.notes, *notes))


def read_picture(
    source: Path | bytes, *, name: str | None = None, pixel_limit: int = PIXEL_LIMIT
) -> Picture:
    """Read a picture of any kind.

    It is turned as its EXIF says. Palettes become RGB, CMYK becomes sRGB; of an animation the first
    frame counts. Integers of more than 16 bits have the range 0–65535, floating point 0–1, or 0–255
    where a value is above 1.

    Args:
        source: A file, or what it holds.
        name: What messages call it.
        pixel_limit: Larger pictures are refused.

    Raises:
        InputError: It is no picture, damaged, too large, or of a kind that is not read.
    """
    name = (
        printable(str(source) if isinstance(source, Path) else "the input")
        if name is None
        else name
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow's remarks about metadata; its bound on size is checked by ours
            return _read(source, name, pixel_limit)
    except (InputError, KeyboardInterrupt):
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} is not a picture that can be read ({', '.join(FORMATS)})."
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name} claims to be larger than {pixel_limit:,} pixels, the limit. Reduce it."
        ) from error
    except MemoryError as error:
        raise InputError(f"{name} does not fit into memory. Reduce it.") from error
    except OSError as error:
        reason = error.strerror or f"{error}; it is damaged or cut off"
        raise InputError(f"{name} cannot be read: {reason}.") from error
    except Exception as error:  # Pillow meets broken files with errors of every kind
        raise InputError(
            f"{name} cannot be read: {type(error).__name__}, {error}; it is damaged."
        ) from error


def printable(name: str) -> str:
    """Return a name with everything escaped that a terminal would act on or cannot show."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in name
    )


def _read(source: Path | bytes, name: str, pixel_limit: int) -> Picture:
    content = io.BytesIO(source) if isinstance(source, bytes) else None
    if (len(source) if isinstance(source, bytes) else source.stat().st_size) == 0:
        raise InputError(f"{name} is empty (0 bytes).")

    def reopen() -> ImageFile.ImageFile:
        Image.init()  # registers the plugins, of which a build of Pillow may lack one
        return Image.open(
            content or source, formats=[known for known in FORMATS if known in Image.OPEN]
        )

    with reopen() as opened:
        if opened.width * opened.height > pixel_limit:
            raise InputError(
                f"{name} has {opened.width}×{opened.height} pixels, more than the limit of"
                f" {pixel_limit:,}. Reduce it."
            )
        notes = []
        frames = getattr(opened, "n_frames", 1)
        if frames > 1 and opened.format != "MPO":
            notes.append(f"of {frames} frames only the first is used")
        sixteen = is_sixteen(opened) and "transparency" not in opened.info
        exif, orientation, exif_notes = _exif(opened)
        format_ = "JPEG" if opened.format == "MPO" else opened.format or "PNG"
        lossless = format_ != "JPEG" and (format_ != "WEBP" or _is_lossless_webp(source))
        icc = opened.info.get("icc_profile") or None
        # Of the three, values come last: decoding may drop what the file says beside them.
        values, icc, value_notes = (
            (read_sixteen(reopen), icc, []) if sixteen else _values(opened, icc)
        )
    pixels, alpha = _apart(_TURNS.get(orientation, np.asarray)(values))
    return Picture(
        pixels=pixels,
        alpha=alpha,
        format=format_,
        icc=icc,
        exif=exif,
        lossless=lossless,
        notes=(*notes, *exif_notes, *value_notes),
    )


def picture_of(image: Image.Image) -> Picture:
    """Return a Pillow image of any mode as a picture, upright, with its color profile but without
    its EXIF.
    """
    upright = ImageOps.exif_transpose(image)
    values, icc, notes = _values(upright, image.info.get("icc_profile") or None)
    pixels, alpha = _apart(values)
    return Picture(pixels=pixels, alpha=alpha, icc=icc, notes=tuple(notes))


def _apart(values: Values) -> tuple[Values, Values | None]:
    """Part (H, W, 1 to 4) into colors and alpha."""
    channels = values.shape[2]
    has_alpha = channels in (2, 4)
    alpha = np.ascontiguousarray(values[..., -1]) if has_alpha else None
    return np.ascontiguousarray(values[..., : channels - has_alpha]), alpha


def _values(opened: Image.Image, icc: bytes | None) -> tuple[Values, bytes | None, list[str]]:
    """Decode to uint8 or uint16 (H, W, 1 to 4), with the profile that holds for the values, and
    notes.
    """
    opened.load()
    mode = opened.mode
    if mode.startswith("I;16"):
        return np.asarray(opened).astype(np.uint16)[..., None], icc, []
    if mode in ("I", "F"):
        numbers = np.nan_to_num(np.asarray(opened).astype(np.float64), posinf=1e300, neginf=0)
        if mode == "F":
            numbers *= 65535 if numbers.max() <= 1 else 257
        kept = mode == "I" and numbers.min() >= 0 and numbers.max() <= 65535
        values = np.rint(numbers.clip(0, 65535)).astype(np.uint16)[..., None]
        return values, icc, [] if kept else ["its values were brought to 16 bits"]
    if mode == "CMYK":
        try:
            return (
                ColorProfile(icc or b"").image_to_srgb(opened),
                None,
                ["CMYK was converted to sRGB"],
            )
        except ValueError:
            return (
                np.asarray(opened.convert("RGB")),
                None,
                ["CMYK without a usable profile was converted to RGB"],
            )
    if opened.has_transparency_data:
        wanted = "LA" if mode in ("1", "L", "LA", "La") else "RGBA"
    else:
        wanted = "L" if mode in ("1", "L") else "RGB"
    values = np.asarray(opened if mode == wanted else opened.convert(wanted))
    return values.reshape(opened.height, opened.width, -1), icc, []


def _exif(opened: ImageFile.ImageFile) -> tuple[bytes, int, list[str]]:
    """Return the EXIF without its orientation, the orientation, and notes; damaged EXIF is left
    out.
    """
    try:
        exif = Image.Exif()
        exif.load(opened.getexif().tobytes())  # a copy: decoding looks at the original
        orientation = int(exif.pop(ORIENTATION, 1))
        if opened.format == "TIFF":  # its tags also say how the values are stored
            orientation = 1  # Pillow turns a TIFF by itself
            for tag in set(exif) - {*KEPT_TAGS, *KEPT_DIRECTORIES}:
                del exif[tag]
        return (exif.tobytes() if len(exif) else b""), orientation, []
    except Exception:  # as broken as files can be; the picture is what matters
        return b"", 1, ["its EXIF is damaged and was left out"]


def _is_lossless_webp(source: Path | bytes) -> bool:
    if isinstance(source, bytes):
        return b"VP8L" in source[:4096]
    with source.open("rb") as stream:
        return b"VP8L" in stream.read(4096)


_TURNS: dict[int, Callable[[Values], Values]] = {
    2: lambda values: values[:, ::-1],
    3: lambda values: values[::-1, ::-1],
    4: lambda values: values[::-1],
    5: lambda values: values.swapaxes(0, 1),
    6: lambda values: np.rot90(values, -1),
    7: lambda values: np.rot90(values, 2).swapaxes(0, 1),
    8: lambda values: np.rot90(values),
}
"""EXIF's orientation → what makes (H, W, C) upright."""
