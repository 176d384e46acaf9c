"""Write a picture to a file in its own format, with its metadata, whole or not at all."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from caelab.errors import InputError
from caelab.files import replacing
from caelab.pictures.picture import Picture, printable, to_eight_bits
from caelab.pictures.write_png_tiff import write_png, write_pnm, write_tiff

SUFFIX_FORMATS = {
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".jfif": "JPEG",
    ".jp2": "JPEG2000",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".pgm": "PPM",
    ".png": "PNG",
    ".pnm": "PPM",
    ".ppm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""Suffixes of the files that are written, and their formats."""

READ_SUFFIXES = (*SUFFIX_FORMATS, ".gif")
"""Suffixes of the files that are read. The 256 colors of a GIF are too few for results."""

JPEG_QUALITY = 95

_HOLD_16_BITS = ("PNG", "PPM", "TIFF")
_HOLD_NO_ALPHA = ("JPEG", "PPM")
_HOLD_NO_METADATA = ("BMP", "JPEG2000", "PPM")
_MAX_JPEG_EXIF = 65533
"""Bytes of EXIF that a JPEG holds."""


def write_picture(path: Path, picture: Picture, *, force: bool = False) -> tuple[str, ...]:
    """Write a picture, atomically, in the format that the path's suffix names.

    Args:
        path: Path of the file.
        picture: What is written.
        force: Overwrite an existing file.

    Returns:
        Notes on what could not be kept.

    Raises:
        InputError: The file exists and ``force`` is false, the suffix is unknown, or the format
            cannot hold the picture.
    """
    refuse_existing(path, force=force)
    suffix = path.suffix.lower()
    if suffix not in SUFFIX_FORMATS:
        raise InputError(
            f"{printable(path)} has no suffix of a format that is written:"
            f" {', '.join(SUFFIX_FORMATS)}."
        )
    # Written next to its final path and renamed: a reader never sees half a picture.
    with replacing(path) as temporary, temporary.open("wb") as stream:
        return save(stream, picture, SUFFIX_FORMATS[suffix], name=printable(path))


def refuse_existing(path: Path, *, force: bool) -> None:
    """Check that ``path`` is free, or an ordinary file and ``force`` is true.

    Raises:
        InputError: It exists.
    """
    if path.is_dir() or (not force and (path.exists() or path.is_symlink())):
        what = "is a folder" if path.is_dir() else "exists already; `force` overwrites"
        raise InputError(f"{printable(path)} {what}.")


def encode(picture: Picture) -> bytes:
    r"""Return the content of a picture's file in its own format, PNG for GIF.

    Raises:
        InputError: The format cannot hold it.

    >>> encode(Picture(pixels=np.zeros((2, 3, 3), np.uint16)))[:4]
    b'\x89PNG'
    """
    stream = io.BytesIO()
    format_ = "PNG" if picture.format == "GIF" else picture.format
    save(stream, picture, format_, name="the result")
    return stream.getvalue()


def save(stream: BinaryIO, picture: Picture, format_: str, *, name: str) -> tuple[str, ...]:
    """Write a picture to an open file.

    Lossless where the format and, for WebP, the picture's own file are; otherwise at high quality
    with chroma at full size.

    Args:
        stream: Open file.
        picture: What is written.
        format_: Pillow's name of the format.
        name: Name of the picture in messages.

    Returns:
        Notes on what the format could not keep.

    Raises:
        InputError: The format cannot hold the picture.
        OSError: The file cannot be written.
    """
    picture, notes = _fitted(picture, format_)
    own_writers = {"TIFF": write_tiff}
    if picture.most > 255:
        own_writers |= {"PNG": write_png, "PPM": write_pnm}
    try:
        if format_ in own_writers:
            own_writers[format_](stream, picture)
        else:
            picture.to_pillow().save(stream, format=format_, **_options(picture, format_))
    except (ValueError, KeyError, OSError, Image.DecompressionBombError) as error:
        # An encoder's refusal has no number; the disk's errors have.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{name} cannot be written as {format_}: {error}.") from error
    return tuple(notes)


def _fitted(picture: Picture, format_: str) -> tuple[Picture, list[str]]:
    """Return what the format can hold of a picture, and notes on the rest."""
    notes = []
    # Pillow writes JPEG 2000 of 16 bits in one channel only.
    holds_16_bits = format_ in _HOLD_16_BITS or (format_, picture.channels) == ("JPEG2000", 1)
    if picture.most > 255 and not holds_16_bits:
        notes.append(f"{format_} holds 8 bits a channel here, not 16")
        alpha = None if picture.alpha is None else to_eight_bits(picture.alpha)
        picture = replace(picture, pixels=to_eight_bits(picture.pixels), alpha=alpha)
    if picture.alpha is not None and format_ in _HOLD_NO_ALPHA:
        notes.append(f"{format_} holds no transparency; the picture was laid on white")
        opacity = picture.alpha[..., None].astype(np.float32) / picture.most
        laid = picture.pixels * opacity + picture.most * (1 - opacity)
        picture = replace(picture, pixels=np.rint(laid).astype(picture.pixels.dtype), alpha=None)
    # Pillow's writers of three formats, and readers of such a TIFF, take no gray with alpha.
    takes_no_gray = format_ in ("AVIF", "BMP", "WEBP") or (format_ == "TIFF" and picture.most > 255)
    if picture.channels == 2 and takes_no_gray:
        picture = replace(picture, pixels=picture.pixels.repeat(3, axis=2))
    if format_ in _HOLD_NO_METADATA and (picture.icc or picture.exif):
        notes.append(f"{format_} is written without color profile and EXIF")
    if format_ == "JPEG" and len(picture.exif) > _MAX_JPEG_EXIF:
        notes.append(f"{format_} holds no EXIF of {len(picture.exif):,} bytes; it was left out")
        picture = replace(picture, exif=b"")
    return picture, notes


def _options(picture: Picture, format_: str) -> dict[str, Any]:
    """Return Pillow's options for writing a format."""
    by_format: dict[str, dict[str, Any]] = {
        "AVIF": {"quality": JPEG_QUALITY, "subsampling": "4:4:4"},
        # Optimizing saves a seventh of a small file. Of a large one it saves 3% and takes twice the
        # time.
        "JPEG": {
            "quality": JPEG_QUALITY,
            "subsampling": 0,
            "optimize": picture.pixels.size < 2**16,
        },
        "JPEG2000": {"irreversible": False},
        "PNG": {"compress_level": 4},
        "WEBP": {"lossless": picture.lossless, "quality": JPEG_QUALITY, "exact": True},
    }
    metadata = {"icc_profile": picture.icc, "exif": picture.exif}
    if format_ in _HOLD_NO_METADATA:
        metadata = {}
    # An empty profile would be written as one.
    return {**by_format.get(format_, {}), **{name: each for name, each in metadata.items() if each}}
