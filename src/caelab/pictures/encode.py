"""Encode pictures with their metadata, and write them to files."""

import io
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from caelab.errors import InputError, printable
from caelab.files import replacing
from caelab.pictures.color_profile import to_srgb
from caelab.pictures.formats import FORMATS, SUFFIX_FORMATS, WRITTEN_SUFFIXES, Format
from caelab.pictures.metadata import jp2_boxes, pillow_options
from caelab.pictures.picture import Picture, to_eight_bits
from caelab.pictures.write_png_tiff import write_png, write_pnm, write_tiff

JPEG_QUALITY = 95
"""Quality of lossy results, out of 100. A JPEG made from a JPEG is compressed like its source."""


def write_picture(
    path: Path, picture: Picture | Sequence[Picture], *, force: bool = False
) -> tuple[str, ...]:
    """Write a picture, or several pages, in the format that the path's suffix names.

    Args:
        path: Path of the file.
        picture: The picture, or the pages or frames of the file in order.
        force: Overwrite an existing file.

    Returns:
        Notes on what the format could not store.

    Raises:
        InputError: The file exists and ``force`` is false, the suffix is unknown, or the format
            cannot hold the picture. No partial file is left.
    """
    refuse_existing(path, force=force)
    pages = [picture] if isinstance(picture, Picture) else picture
    format_ = format_for(path, pages)
    # A temporary file is written and renamed, so that no other program reads half a picture.
    with replacing(path) as temporary, temporary.open("wb") as stream:
        return save(stream, pages, format_.name, name=printable(path))


def format_for(path: Path, pages: Sequence[Picture]) -> Format:
    """Return the format that a path's suffix names.

    Raises:
        InputError: The suffix names no format that is written, the package of the format is not
            installed, or the format cannot hold several pages.
    """
    format_ = SUFFIX_FORMATS.get(path.suffix.lower())
    if format_ is None or not format_.written:
        raise InputError(
            f"{printable(path)} has no suffix of a format that can be written:"
            f" {', '.join(WRITTEN_SUFFIXES)}."
        )
    if not format_.available:
        raise InputError(f"to write {printable(path)}, {format_.install}.")
    kind = "pages" if pages[0].duration is None else "animation"
    if len(pages) > 1 and kind not in format_.holds:
        others = [each.suffixes[0] for each in FORMATS.values() if kind in each.holds]
        raise InputError(
            f"{printable(path)}: {format_.name} holds one picture, not the {len(pages)} of this"
            f" {'animation' if kind == 'animation' else 'file'}. Name a file that ends in"
            f" {' or '.join(others)}."
        )
    return format_


def refuse_existing(path: Path, *, force: bool) -> None:
    """Check that a file may be written to ``path``.

    Raises:
        InputError: The path is a folder, a file exists there and ``force`` is false, or no file can
            have this name.
    """
    try:
        taken = path.is_dir() or (not force and (path.exists() or path.is_symlink()))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot write {printable(path)}: {reason}. Name another `output`."
        ) from error
    if taken:
        what = "is a folder" if path.is_dir() else "exists already; `force` overwrites it"
        raise InputError(f"{printable(path)} {what}.")


def encode(picture: Picture | Sequence[Picture]) -> bytes:
    r"""Return the bytes of a file in the picture's own format, or a PNG in place of a GIF.

    Raises:
        InputError: The format cannot hold the picture.

    >>> encode(Picture(pixels=np.zeros((2, 3, 3), np.uint16)))[:4]
    b'\x89PNG'
    """
    pages = [picture] if isinstance(picture, Picture) else picture
    stream = io.BytesIO()
    format_ = FORMATS[pages[0].format]
    save(stream, pages, format_.name if format_.written else "PNG", name="the result")
    return stream.getvalue()


def save(stream: BinaryIO, pages: Sequence[Picture], format_: str, *, name: str) -> tuple[str, ...]:
    """Write a picture to an open file.

    BMP, JPEG 2000, PNG, PNM and TIFF are written without losses, and so is WebP if the source file
    was lossless. A JPEG whose source was a JPEG is compressed in the same way. Other results have
    the quality ``JPEG_QUALITY``.

    Args:
        stream: Seekable file, open for writing.
        pages: Pages of a TIFF, frames of an animation, or one picture.
        format_: Pillow's name of the format, such as ``"TIFF"``.
        name: Name of the picture in messages.

    Returns:
        Notes on what the format could not keep.

    Raises:
        InputError: The format cannot hold the picture.
        OSError: The file cannot be written.
    """
    fitted = [_fitted(page, FORMATS[format_]) for page in pages]
    notes = dict.fromkeys(note for _, own in fitted for note in own)
    first, *others = (page for page, _ in fitted)
    FORMATS[format_].load()
    try:
        if format_ == "TIFF":
            write_tiff(stream, [first, *others])
        elif first.most > 255 and format_ in (own_writers := {"PNG": write_png, "PPM": write_pnm}):
            own_writers[format_](stream, first)
        else:
            options = _options(first, format_)
            if others:
                durations = [round(page.duration or 0) for page in (first, *others)]
                images = [page.to_pillow() for page in others]
                options |= {"save_all": True, "append_images": images}
                options |= {"duration": durations, "loop": first.plays}
            first.to_pillow().save(stream, format=format_, **options)
            if format_ == "JPEG2000":
                stream.seek(0, io.SEEK_END)
                stream.write(jp2_boxes(first.metadata))
    except (ValueError, KeyError, OSError, OverflowError, RuntimeError, struct.error) as error:
        # Errors of the disk have a number and are raised unchanged. Errors of an encoder have none.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{name} cannot be written as {format_}: {error}.") from error
    return tuple(notes)


def _fitted(picture: Picture, format_: Format) -> tuple[Picture, list[str]]:
    """Reduce a picture to what the format can store; return it with notes on what was lost."""
    notes = []
    holds = format_.holds
    sixteen = "16 bits" in holds or ("16 bits of gray" in holds and picture.channels == 1)
    if picture.most > 255 and (not sixteen or picture.duration is not None):
        notes.append(f"16 bits a channel were reduced to 8 for {format_.name}")
        alpha = None if picture.alpha is None else to_eight_bits(picture.alpha)
        picture = replace(picture, pixels=to_eight_bits(picture.pixels), alpha=alpha)
    if picture.alpha is not None and "alpha" not in holds:
        notes.append(f"{format_.name} holds no transparency; the picture was put on white")
        opacity = picture.alpha[..., None].astype(np.float32) / picture.most
        blended = picture.pixels * opacity + picture.most * (1 - opacity)
        picture = replace(picture, pixels=np.rint(blended).astype(picture.pixels.dtype), alpha=None)
    # Pillow cannot write gray with alpha as AVIF, HEIF or WebP, and cannot read it from a 16-bit
    # TIFF. RGB with three equal channels is written instead.
    deep_tiff = format_.name == "TIFF" and picture.most > 255
    if picture.channels == 2 and (format_.name in ("AVIF", "HEIF", "WEBP") or deep_tiff):
        picture = replace(picture, pixels=picture.pixels.repeat(3, axis=2))
    metadata, lost = picture.metadata.held_by(format_)
    if picture.icc and "profile" not in holds:
        wide = picture.wide_profile
        if wide and picture.most == 255:
            # Without the profile, the stored values would show other colors.
            picture = replace(picture, pixels=to_srgb(picture.pixels, wide))
            notes.append(f"{format_.name} holds no color profile; colors were converted to sRGB")
        elif wide or picture.pixels.shape[2] == 1:
            # Users must know that 16-bit RGB or gray loses its profile. RGB without a profile is
            # taken as sRGB, so the loss of an sRGB profile changes nothing.
            lost = ["color profile", *lost]
        picture = replace(picture, icc=None)
    if lost:
        notes.append(f"{format_.name} does not hold: {', '.join(lost)}")
    return replace(picture, metadata=metadata), notes


def _options(picture: Picture, format_: str) -> dict[str, Any]:
    """Return the options with which Pillow writes a picture in a format."""
    by_format: dict[str, dict[str, Any]] = {
        "AVIF": {"quality": JPEG_QUALITY, "subsampling": "4:4:4"},
        # Many devices cannot show HEIF with chroma at full size.
        "HEIF": {"quality": JPEG_QUALITY, "chroma": 420},
        # Optimization saves a seventh of a small file, but only 3% of a large one, and doubles the
        # time.
        "JPEG": {"subsampling": 0, "optimize": picture.pixels.size < 2**16},
        "JPEG2000": {"irreversible": False},
        "JXL": {"quality": JPEG_QUALITY},
        "PNG": {"compress_level": 4},
        "WEBP": {"lossless": picture.lossless, "quality": JPEG_QUALITY, "exact": True},
    }
    options = by_format.get(format_, {}) | pillow_options(picture.metadata, format_)
    if format_ == "JPEG" and "qtables" not in options:
        options["quality"] = JPEG_QUALITY
    if picture.icc:
        options["icc_profile"] = picture.icc
    return options
