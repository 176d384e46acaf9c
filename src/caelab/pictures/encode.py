"""A picture → a file: in the format it came in, with what it carried, whole or not at all."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from caelab.errors import InputError
from caelab.files import replacing
from caelab.pictures.picture import Picture, printable, to_eight_bits
from caelab.pictures.tiff import write_tiff
from caelab.pictures.write_16bit import write_png, write_pnm

SUFFIX_FORMATS = {
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".gif": "PNG",
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
"""The suffixes of the files that are read → the format that is written: 256 colors do not hold a
result."""

JPEG_QUALITY = 95

_HOLD_SIXTEEN = ("JPEG2000", "PNG", "PPM", "TIFF")
_HOLD_NO_ALPHA = ("JPEG", "PPM")
_HOLD_NO_METADATA = ("BMP", "JPEG2000", "PPM")
_MOST_EXIF = {"JPEG": 65533}
"""Bytes."""


def write_picture(path: Path, picture: Picture, *, force: bool = False) -> tuple[str, ...]:
    """Write a picture, atomically, in the format that the path's suffix names; return notes on what
    could not be kept.

    Raises:
        InputError: The file exists and ``force`` is not given, the suffix is unknown, or it cannot
            be written.
    """
    refuse_existing(path, force=force)
    format_ = SUFFIX_FORMATS.get(path.suffix.lower())
    if format_ is None or path.suffix.lower() == ".gif":
        raise InputError(
            f"{printable(str(path))} has no suffix of a format that is written: "
            f"{', '.join(suffix for suffix in SUFFIX_FORMATS if suffix != '.gif')}."
        )
    with replacing(path) as temporary, temporary.open("wb") as stream:
        return save(stream, picture, format_, name=printable(str(path)))


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise unless ``path`` is free, or an ordinary file and ``force`` is given.

    Raises:
        InputError: It is there.
    """
    if path.is_dir() or (not force and (path.exists() or path.is_symlink())):
        what = "is a folder" if path.is_dir() else "exists already; `force` overwrites"
        raise InputError(f"{printable(str(path))} {what}.")


def encode(picture: Picture, format_: str | None = None) -> bytes:
    """Return the picture as a file of ``format_``, by default its own (PNG instead of GIF).

    Raises:
        InputError: The format cannot hold it.
    """
    stream = io.BytesIO()
    save(
        stream,
        picture,
        format_ or ("PNG" if picture.format == "GIF" else picture.format),
        name="the result",
    )
    return stream.getvalue()


def save(stream: BinaryIO, picture: Picture, format_: str, *, name: str) -> tuple[str, ...]:
    """Write a picture to an open file; return notes on what the format could not keep.

    Lossless where the format can be and, for WebP, where the file was; else at high quality with
    full-size chroma.

    Raises:
        InputError: The format cannot hold it.
        OSError: The file cannot be written.
    """
    picture, notes = _fitted(picture, format_)
    try:
        if format_ == "TIFF":
            write_tiff(stream, picture)
        elif picture.most > 255 and format_ == "PNG":
            write_png(stream, picture)
        elif picture.most > 255 and format_ == "PPM":
            write_pnm(stream, picture)
        else:
            _image(picture, format_).save(stream, format=format_, **_options(picture, format_))
    except (ValueError, KeyError, Image.DecompressionBombError) as error:
        raise InputError(f"{name} cannot be written as {format_}: {error}.") from error
    except OSError as error:
        if error.errno is None:  # an encoder's refusal, not the disk's
            raise InputError(f"{name} cannot be written as {format_}: {error}.") from error
        raise
    return tuple(notes)


def _fitted(picture: Picture, format_: str) -> tuple[Picture, list[str]]:
    """Return what of a picture the format can hold, and notes on the rest."""
    notes = []
    gray = picture.pixels.shape[2] == 1
    if picture.most > 255 and (
        format_ not in _HOLD_SIXTEEN
        or (format_ == "JPEG2000" and not (gray and picture.alpha is None))
    ):
        notes.append(f"{format_} holds 8 bits a channel here, not 16")
        alpha = None if picture.alpha is None else to_eight_bits(picture.alpha)
        picture = replace(picture, pixels=to_eight_bits(picture.pixels), alpha=alpha)
    if picture.alpha is not None and format_ in _HOLD_NO_ALPHA:
        notes.append(f"{format_} holds no transparency; the picture was laid on white")
        opacity = picture.alpha[..., None].astype(np.float32) / picture.most
        laid = picture.pixels * opacity + picture.most * (1 - opacity)
        picture = replace(picture, pixels=np.rint(laid).astype(picture.pixels.dtype), alpha=None)
    if format_ == "TIFF" and picture.most > 255 and gray and picture.alpha is not None:
        # Gray of 16 bits with alpha is more than Pillow, and others, read.
        picture = replace(picture, pixels=picture.pixels.repeat(3, axis=2))
    if format_ in _HOLD_NO_METADATA and (picture.icc or picture.exif):
        notes.append(f"{format_} is written without color profile and EXIF")
    if len(picture.exif) > _MOST_EXIF.get(format_, len(picture.exif)):
        notes.append(f"{format_} holds no EXIF of {len(picture.exif):,} bytes; it was left out")
        picture = replace(picture, exif=b"")
    return picture, notes


def _image(picture: Picture, format_: str) -> Image.Image:
    """The picture as Pillow's, of a mode that the format takes; its array is shared where that can
    be.
    """
    if (
        picture.alpha is not None
        and picture.pixels.shape[2] == 1
        and format_ in ("AVIF", "BMP", "WEBP")
    ):
        picture = replace(picture, pixels=picture.pixels.repeat(3, axis=2))
    return picture.to_pillow()


def _options(picture: Picture, format_: str) -> dict[str, Any]:
    by_format: dict[str, dict[str, Any]] = {
        "AVIF": {"quality": JPEG_QUALITY, "subsampling": "4:4:4"},
        "JPEG": {
            "quality": JPEG_QUALITY,
            "subsampling": 0,
            "optimize": picture.pixels.size < 2**16,
        },
        "JPEG2000": {"irreversible": False},
        "PNG": {"compress_level": 4},
        "WEBP": {"lossless": picture.lossless, "quality": JPEG_QUALITY, "exact": True},
    }
    options = by_format.get(format_, {})
    if format_ not in _HOLD_NO_METADATA:
        options |= {"icc_profile": picture.icc} if picture.icc else {}
        options |= {"exif": picture.exif} if picture.exif else {}
    return options
