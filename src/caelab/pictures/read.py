"""Read picture files of all formats, with all pages and metadata."""

import contextlib
import io
import itertools
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from caelab.errors import InputError, printable
from caelab.pictures.color_profile import to_srgb
from caelab.pictures.formats import FORMATS, Format, format_of, jxl_pixels, prepare
from caelab.pictures.metadata import PROFILE_TAG, read_metadata
from caelab.pictures.picture import Picture, Values
from caelab.pictures.read_16bit import read_16_bits

PIXEL_LIMIT = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Default of the largest number of pixels in a file, all pages together. It is Pillow's own limit,
twice the number from which Pillow warns. Without a limit, a file of a few kilobytes could claim any
size and fill the memory."""

PIXEL_BYTES = 32
"""Bytes of memory that processing takes for each pixel. For 8 bits a channel, 16 were measured."""

_KEPT_INFO = ("comment", "dpi", "exif", "xmp")
"""Items of a Pillow image's ``info`` that its result gets too."""

MAX_PAGES = 10_000
"""Largest number of pages in a file, because even a tiny page takes time to read."""

PILLOW_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError),
    *(EOFError, OverflowError, RuntimeError, ZeroDivisionError, struct.error, zlib.error),
    AssertionError,
)
"""Errors that Pillow and its decoders raise for damaged files. They are caught only around calls of
Pillow, so that a mistake in this package is never reported as a damaged file."""


def read_picture(
    source: Path | bytes, *, name: str | None = None, max_pixels: int = PIXEL_LIMIT
) -> Picture:
    """Read a picture file of any known format; of several pages, read the first.

    Args:
        source: A file, or its content.
        name: Name of the picture in messages.
        max_pixels: Largest number of pixels, all pages together.

    Raises:
        InputError: The picture cannot be read, as for :func:`read_pages`.
    """
    first, *others = read_pages(source, name=name, max_pixels=max_pixels)
    if not others:
        return first
    note = f"of {len(others) + 1} pages only the first is used"
    return replace(first, notes=(*first.notes, note))


def read_pages(
    source: Path | bytes, *, name: str | None = None, max_pixels: int = PIXEL_LIMIT
) -> list[Picture]:
    """Read a picture of any format: one image, all pages of a TIFF, or all frames of an animation.

    Pictures are turned upright as their EXIF says. Palette colors become RGB; CMYK becomes sRGB.
    White is 65,535 in integers of more than 16 bits. In floating-point values white is 1, or 255 if
    any value is above 1.

    Args:
        source: A file, or its content.
        name: Name of the picture in messages.
        max_pixels: Largest number of pixels, all pages together.

    Raises:
        InputError: The file is not a picture, is damaged or too large, or has a format that is not
            read.
    """
    name = name or printable(source if isinstance(source, Path) else "the input")
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
    except (OSError, MemoryError) as error:
        raise InputError(f"{name} {_reason(error)}.") from error
    if not content:
        raise InputError(f"{name} is empty (0 bytes).")
    try:
        with warnings.catch_warnings(), _pillow_limit(max_pixels):
            # Pillow would warn about unusual metadata, and about sizes below the limit.
            warnings.simplefilter("ignore")
            return _read(content, max_pixels)
    except (InputError, MemoryError) as error:
        reason = str(error) if isinstance(error, InputError) else f"{_reason(error)}."
        raise InputError(f"{name} {reason}") from error


@contextlib.contextmanager
def _pillow_limit(max_pixels: int) -> Iterator[None]:
    """Let Pillow refuse pictures of more than ``max_pixels`` pixels within the block."""
    before = Image.MAX_IMAGE_PIXELS
    # Pillow refuses pictures of more than twice this number of pixels.
    Image.MAX_IMAGE_PIXELS = max_pixels // 2
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextlib.contextmanager
def _refusing_damage(*, unchanged: type[Exception] = InputError) -> Iterator[None]:
    """Turn errors of Pillow into ``InputError``, except for errors of the type ``unchanged``.

    The block must contain nothing but calls of Pillow, so that no other mistake is hidden.
    """
    try:
        yield
    except unchanged:
        raise
    except (Image.DecompressionBombError, *PILLOW_ERRORS) as error:
        raise InputError(f"{_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """Return the part of a message that says why a picture cannot be read."""
    match error:
        case UnidentifiedImageError():
            known = ", ".join(each.name for each in FORMATS.values())
            return f"is not a picture that can be read ({known})"
        case Image.DecompressionBombError():
            return _too_large(2 * (Image.MAX_IMAGE_PIXELS or 0))
        case MemoryError():
            return "does not fit into memory. Reduce it"
        case OSError():
            return f"cannot be read: {error.strerror or f'{error}; it is damaged or cut off'}"
    kind = type(error).__name__
    return f"cannot be read: {f'{kind}, {error}' if str(error) else kind}; it is damaged"


def _too_large(limit: int) -> str:
    return (
        f"claims to be larger than {limit:,} pixels, the limit. Reduce it, or raise `max_pixels`"
        " and `max_memory`"
    )


def picture_of(image: Image.Image) -> Picture:
    """Convert a Pillow image of any mode to an upright picture with its profile, but no metadata.

    >>> picture_of(Image.new("RGBA", (3, 2))).size
    (2, 3)
    """
    upright = ImageOps.exif_transpose(image)
    upright.load()
    icc = image.info.get("icc_profile")
    values, icc, notes = _values(upright, icc if isinstance(icc, bytes) and icc else None)
    return Picture.of_values(values, icc=icc, notes=tuple(notes))


def metadata_of(image: Image.Image) -> dict[str, object]:
    """Return the metadata in a Pillow image's ``info``, with the orientation set to upright."""
    # Pillow sets the orientation when it turns an image. An image of one pixel is enough.
    kept = Image.new("L", (1, 1))
    kept.info = {name: image.info[name] for name in _KEPT_INFO if name in image.info}
    return {str(name): value for name, value in ImageOps.exif_transpose(kept).info.items()}


def _read(content: bytes, max_pixels: int) -> list[Picture]:
    formats = prepare(content)
    with _refusing_damage():
        # For JPEG XL, Pillow knows the size only after the plugin has decoded the picture.
        pixels = jxl_pixels(content) if formats == ["JXL"] else 0
    if pixels > max_pixels:
        raise InputError(f"{_too_large(max_pixels)}.")
    with _refusing_damage():
        opened = Image.open(io.BytesIO(content), formats=formats)
    with opened:
        format_ = format_of(opened)
        paged = bool({"pages", "animation"} & format_.holds) or format_.name == "GIF"
        with _refusing_damage():
            animated = paged and _has_another(opened)
        if animated:
            return list(_read_all(opened, content, format_, max_pixels))
        picture = _read_page(opened, content, format_)
        with _refusing_damage():
            count = getattr(opened, "n_frames", 1)
        if not paged and format_.name != "JPEG" and count > 1:
            note = f"of {count} pictures only the first is used"
            picture = replace(picture, notes=(note, *picture.notes))
        return [picture]


def _has_another(opened: ImageFile.ImageFile) -> bool:
    """Return whether a file has a second page or frame."""
    # Pillow would read the whole file to count the pages.
    try:
        opened.seek(1)
    except EOFError:
        return False
    opened.seek(0)
    return True


def _read_all(
    opened: ImageFile.ImageFile, content: bytes, format_: Format, max_pixels: int
) -> Iterator[Picture]:
    """Yield the pages of a TIFF, or the frames of an animation."""
    pixels, first = 0, None
    # An APNG can begin with a picture for programs that cannot show animations. It is skipped.
    for page in itertools.count(int(getattr(opened, "default_image", False))):
        try:
            with _refusing_damage(unchanged=EOFError):
                opened.seek(page)
        except EOFError:
            return
        if page >= MAX_PAGES:
            raise InputError(f"has more than {MAX_PAGES:,} pages, the limit. Split it.")
        if page and isinstance(opened, TiffImageFile) and opened.tag_v2.get(254, 0) in (1, 4, 5):
            continue  # a reduced copy, or a mask, of another page
        pixels += math.prod(opened.size)
        if pixels > max_pixels:
            raise InputError(f"{_too_large(max_pixels)}.")
        if "pages" in format_.holds:
            yield _read_page(opened, content, format_)
            continue
        with _refusing_damage():
            if first is None:
                first = metadata, orientation, _ = read_metadata(opened, content)
            opened.load()
        values, icc, notes = _values(opened, _profile(opened))
        yield Picture.of_values(
            _upright(values, orientation),
            format=format_.name,
            icc=icc,
            metadata=metadata,
            lossless=_is_lossless(format_, content),
            # In some formats the duration is known only after decoding.
            duration=_number(opened.info.get("duration")),
            plays=_plays(opened),
            notes=tuple(notes),
        )


def _read_page(opened: ImageFile.ImageFile, content: bytes, format_: Format) -> Picture:
    """Read a picture, or the current page of a TIFF."""

    def reopen() -> ImageFile.ImageFile:
        again = Image.open(io.BytesIO(content), formats=[opened.format or ""])
        again.seek(opened.tell())
        return again

    with _refusing_damage():
        # 16-bit values are read first, because reading EXIF may decode the picture to 8 bits.
        values = read_16_bits(opened.tile, reopen)
        metadata, orientation, notes = read_metadata(opened, content)
        icc = _profile(opened)
        if icc is None and opened.info.get("icc_profile"):
            notes = [*notes, "its color profile is damaged and was left out"]
        # 8-bit values are decoded last, because decoding may drop the metadata.
        if values is None:
            opened.load()
    if values is None:
        values, icc, value_notes = _values(opened, icc)
        notes = [*notes, *value_notes]
    transparent = opened.info.get("transparency")
    if values.dtype == np.uint16 and values.shape[2] in (1, 3) and transparent is not None:
        values = np.dstack([values, _alpha_of_key(values, transparent)])
    return Picture.of_values(
        _upright(values, orientation),
        format=format_.name,
        icc=icc,
        metadata=metadata,
        lossless=_is_lossless(format_, content),
        notes=tuple(notes),
    )


def _profile(opened: ImageFile.ImageFile) -> bytes | None:
    """Return the color profile of the current page; ``None`` if there is none."""
    profile = opened.info.get("icc_profile")
    if isinstance(opened, TiffImageFile):
        # Pillow's `info` may keep the profile of an earlier page; the tags are those of this page.
        profile = opened.tag_v2.get(PROFILE_TAG)
    return profile if isinstance(profile, bytes) and profile else None


def _number(value: object) -> float:
    """Return a number that a file states; 0 if it is not plausible."""
    return float(value) if isinstance(value, int | float) and 0 <= value < 2**31 else 0.0


def _alpha_of_key(values: Values, key: object) -> Values:
    """Return the alpha ``(H, W)`` of 16-bit pixels: 0 where a pixel has the color ``key``."""
    key = key if isinstance(key, tuple) else (key,)
    if len(key) != values.shape[2] or not all(isinstance(each, int) for each in key):
        key = (-1,)  # a damaged key, which no pixel equals
    opaque = (values != np.array(key)).any(axis=2)
    alpha: Values = opaque.astype(np.uint16) * np.uint16(65535)
    return alpha


def _plays(opened: ImageFile.ImageFile) -> int:
    """Return how often an animation is played; 0 means endless repetition, as in PNG and WebP."""
    loop = opened.info.get("loop")
    if opened.format == "GIF":
        # A GIF without `loop` is played once. Otherwise `loop` counts the repetitions after that.
        return 1 if loop is None else int(_number(loop) + 1) % 65536 if loop else 0
    return int(_number(loop))


def _is_lossless(format_: Format, content: bytes) -> bool:
    """Return whether a file stores every value exactly."""
    if format_.name != "WEBP":
        return format_.name not in ("AVIF", "HEIF", "JPEG", "JXL")
    # The chunk of the pixels is "VP8L" or, with losses, "VP8 ". Other chunks may come before it.
    position = 12
    while position + 8 <= len(content):
        name, size = struct.unpack_from("<4sL", content, position)
        if name in (b"VP8L", b"VP8 "):
            return bool(name == b"VP8L")
        # The chunk of a frame contains other chunks after 16 bytes.
        position += 8 + (16 if name == b"ANMF" else size + size % 2)
    return False


def _values(opened: Image.Image, icc: bytes | None) -> tuple[Values, bytes | None, list[str]]:
    """Return the values ``(H, W, 1 to 4)`` of a loaded image, their profile, and notes."""
    mode, notes = opened.mode, []
    if mode in ("I", "F"):
        # float64 holds every 32-bit integer; infinity becomes white, NaN black.
        numbers = np.nan_to_num(np.asarray(opened).astype(np.float64), posinf=1e300, neginf=0)
        if mode == "F":
            numbers *= 65535 if numbers.max() <= 1 else 257
        values = np.rint(numbers.clip(0, 65535)).astype(np.uint16)
        if not np.array_equal(values, np.asarray(opened)):
            notes = ["its values were converted to 16 bits"]
    elif mode.startswith("I;16"):
        values = np.asarray(opened).astype(np.uint16)
    elif mode == "CMYK":
        try:
            values, note = to_srgb(np.asarray(opened), icc or b""), "CMYK was converted to sRGB"
        except ValueError:
            with _refusing_damage():
                values = np.asarray(opened.convert("RGB"))
            note = "CMYK without a usable profile was converted to RGB"
        icc, notes = None, [note]
    else:
        wanted = "L" if mode in ("1", "L", "LA", "La") else "RGB"
        with _refusing_damage():
            if opened.has_transparency_data:
                wanted += "A"
            values = np.asarray(opened if mode == wanted else opened.convert(wanted))
    return values.reshape(opened.height, opened.width, -1), icc, notes


def _upright(values: Values, orientation: int) -> Values:
    """Turn values ``(H, W, C)`` upright by EXIF's orientation; unknown numbers change nothing."""
    if orientation not in range(1, 9):
        return values
    if orientation > 4:
        values = values.swapaxes(0, 1)
    # The last four orientations are the first four with rows and columns exchanged.
    down, across = [(1, 1), (1, -1), (-1, -1), (-1, 1)][(orientation - 1) % 4]
    return values[::down, ::across]
