"""Read pictures from a folder or from memory, as images of one size."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from caelab.data.arrays import PARTS, make_set
from caelab.data.image_set import FREE, ImageSet
from caelab.data.pixel_store import MemoryStore, PixelStore, identify_files
from caelab.errors import InputError
from caelab.files import find_files
from caelab.progress import progress

FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are read. Others are refused, because Pillow starts programs to read some."""

SUFFIXES = frozenset(
    [
        ".apng",
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    ]
)

OTHER_SUFFIXES = frozenset(
    [".arw", ".avif", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jxl", ".nef", ".psd", ".svg"]
)
"""Suffixes of pictures that are not read. A note counts these files, because a user expects them to
be in the data; other files of a folder, such as texts, are left out without a note."""

PIXEL_LIMIT = 100_000_000
"""Largest number of pixels of a picture; a file of a few kilobytes can claim any number."""

BROKEN_SHARE = 0.1
"""Share of broken pictures above which a folder is refused."""

_AT_ONCE = 256
"""Number of pictures that are opened and decoded as one group."""

Sides = tuple[int, int]
"""Height and width in pixels."""


def read_folder(
    folder: Path, *, size: Sides, channels: int = 3, store: PixelStore | None = None
) -> ImageSet:
    """Read every picture in ``folder`` and its subfolders, cropped at the center and resized.

    A picture's class is the name of the subfolder of ``folder`` that contains it. There are no
    classes if a picture is in no subfolder, or if there is only one subfolder. If all subfolders
    have names in ``PARTS``, such as ``train`` and ``test``, they are the parts of the data, and
    their own subfolders are the classes. Pictures that cannot be read are left out, and
    ``source.note`` says how many, and how many files have one of the ``OTHER_SUFFIXES``.

    Args:
        folder: Folder of pictures.
        size: Height and width of the images, in pixels.
        channels: 3 for RGB, 1 for gray.
        store: Where the images are kept; by default in memory.

    Raises:
        InputError: There is no picture, more than a tenth of the pictures are broken, or the images
            do not fit into the memory for inputs.
    """
    found = list(find_files(folder, suffixes=SUFFIXES | OTHER_SUFFIXES))
    paths = [path for path in found if path.suffix.lower() in SUFFIXES]
    skipped = _skipped_note(found)
    if not paths:
        raise InputError(
            f"{folder} holds neither pictures ({', '.join(sorted(SUFFIXES))}) nor a known data set."
            f" {f'{skipped}.' if skipped else 'Name another folder.'}"
        )
    names = [str(path.relative_to(folder)) for path in paths]
    images, good, note = read_pictures(
        paths, names, paths, size=size, channels=channels, where=str(folder), store=store
    )
    part, inside = _parts([paths[index].relative_to(folder).parts[:-1] for index in good])
    classes, labels = _classes(inside)
    note = ". ".join(filter(None, (note, skipped)))
    return make_set(images, labels, classes, part, name="folder", where=str(folder), note=note)


def _skipped_note(files: Iterable[Path]) -> str:
    """Return a note that counts the files with one of the ``OTHER_SUFFIXES``, or ``""``."""
    counts = Counter(path.suffix.lower() for path in files)
    kinds = [f"{counts[suffix]:,} {suffix}" for suffix in sorted(OTHER_SUFFIXES & counts.keys())]
    if not kinds:
        return ""
    return (
        f"training does not read these pictures: {', '.join(kinds)}. Convert them to PNG or JPEG"
        " to use them"
    )


def read_pictures(
    pictures: Iterable[Path | IO[bytes] | Image.Image],
    names: Sequence[str],
    files: Iterable[Path],
    *,
    size: Sides,
    channels: int,
    where: str,
    store: PixelStore | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], str]:
    """Read pictures as images of one size; leave out pictures that cannot be read.

    Args:
        pictures: Paths, opened files, or pictures of Pillow. Only a few are taken at a time.
        names: Names of all pictures, for messages.
        files: Files that hold the pictures. A store recognizes the pictures by them.
        size: Height and width of the images, in pixels.
        channels: 3 for RGB, 1 for gray.
        where: Where the pictures come from, for messages.
        store: Where the images are kept; by default in memory. Pictures that it has taken already
            are not decoded again.

    Returns:
        Images ``uint8 (N, C, H, W)``; the index of each image's picture, ``int64 (N,)``; and a note
        about pictures that were left out, or ``""``.

    Raises:
        InputError: More than a tenth of the pictures are broken, or the images do not fit into the
            memory for inputs.
    """
    if channels not in (1, 3):
        raise InputError(f"`data.channels` {channels}: pictures are read as 3 channels, or 1.")
    store = store or MemoryStore()
    shape = (channels, *size)
    # Too many pictures are refused before the first one is decoded.
    broken = store.begin(len(names), shape, lambda: identify_files(files), where)
    rest = islice(pictures, store.taken, None)
    broken += _decode(rest, len(names) - store.taken, shape, store)
    good = np.delete(np.arange(len(names)), broken)
    return store.images(), good, _broken_note([names[index] for index in broken], len(names), where)


def _decode(
    pictures: Iterable[Path | IO[bytes] | Image.Image],
    count: int,
    shape: tuple[int, int, int],
    store: PixelStore,
) -> list[int]:
    """Decode pictures into a store; return the indices of those that cannot be read.

    Args:
        pictures: The pictures that the store has not taken yet.
        count: Their number.
        shape: Shape ``(C, H, W)`` of each image.
        store: Where the images are kept.
    """
    channels, *size = shape
    pictures = iter(pictures)
    broken: list[int] = []

    def read(picture: Path | IO[bytes] | Image.Image) -> NDArray[np.uint8] | None:
        try:
            return read_picture(picture, size=(size[0], size[1]), channels=channels)
        except Exception as error:  # Pillow raises errors of any type for broken files
            if _is_our_fault(error):
                raise
            return None

    with (
        warnings.catch_warnings(),
        progress("reading pictures", count) as advance,
        # Pillow decodes without Python's global lock, so threads help.
        ThreadPoolExecutor(2) as pool,
    ):
        # Pillow warns of bad metadata and large sizes; `read_picture` checks sizes itself.
        warnings.simplefilter("ignore")
        # `map` takes all its pictures at once, and they may not fit into memory. So it gets groups.
        while some := list(islice(pictures, _AT_ONCE)):
            group = []
            for image in pool.map(read, some):
                group.append(image)
                advance(1)
            first = store.taken
            missing = [first + index for index, image in enumerate(group) if image is None]
            whole = [image for image in group if image is not None]
            store.append(np.array(whole, np.uint8).reshape(-1, *shape), missing)
            broken += missing
    return broken


def _broken_note(broken: Sequence[str], count: int, where: str) -> str:
    """Return a note about pictures that could not be read, or ``""``.

    Args:
        broken: Names of these pictures.
        count: Number of all pictures.
        where: Where the pictures come from.

    Raises:
        InputError: More than a tenth of the pictures are broken.
    """
    if not broken:
        return ""
    listed = ", ".join(broken[:3]) + (", …" if len(broken) > 3 else "")
    if len(broken) > BROKEN_SHARE * count:
        raise InputError(
            f"{where}: {len(broken)} of {count} pictures cannot be read ({listed}). Remove them."
        )
    return (
        f"{len(broken)} of {count} pictures in {where} could not be read and were left out"
        f" ({listed})"
    )


def _is_our_fault(error: Exception) -> bool:
    """Return whether an error comes from a mistake in this module, not from a broken picture.

    If, for example, a version of Pillow lacks a method that this module calls, the pictures must
    not be reported as broken.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised_here = trace is not None and trace.tb_frame.f_globals is globals()
    return raised_here and isinstance(error, AttributeError | NameError | TypeError)


def read_picture(
    picture: Path | IO[bytes] | Image.Image, *, size: Sides, channels: int = 3
) -> NDArray[np.uint8]:
    """Read a picture as a small image, ``uint8 (C, H, W)``.

    A picture from a file is turned as its EXIF orientation says. Every picture is cropped at its
    center to the proportions of ``size`` and resized with a Lanczos filter. Values of 16 bits are
    scaled to 8, transparent pixels become white, and CMYK, gray and palettes become RGB. Only the
    first frame of an animation is read.

    Args:
        picture: A path, an opened file, or a picture of Pillow.
        size: Height and width of the image, in pixels.
        channels: 3 for RGB, 1 for gray.

    Raises:
        ValueError: The picture has over 100 million pixels. A JPEG may have more, because it can be
            decoded at a fraction of its size.
        Exception: The file is broken. The exception may be of nearly any type.
    """
    if isinstance(picture, Image.Image):
        return _shrink(picture, size, channels)
    with Image.open(picture, formats=FORMATS) as opened:
        # A JPEG can be decoded at a fraction of its size, which saves time and memory.
        opened.draft(None, (2 * max(size), 2 * max(size)))
        if opened.width * opened.height > PIXEL_LIMIT:
            raise ValueError("too large")
        ImageOps.exif_transpose(opened, in_place=True)
        return _shrink(opened, size, channels)


def crop_center(picture: Image.Image, size: Sides) -> Image.Image:
    """Crop a picture at its center to the proportions of ``size``, without resizing it."""
    high, wide = size
    width = max(1, min(picture.width, round(picture.height * wide / high)))
    height = max(1, min(picture.height, round(picture.width * high / wide)))
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _shrink(picture: Image.Image, size: Sides, channels: int) -> NDArray[np.uint8]:
    """Crop, convert and resize a picture to ``uint8 (C, H, W)``."""
    # After cropping, fewer pixels have to be converted and resized.
    cropped = _to_rgb(crop_center(picture, size))
    if channels == 1:
        cropped = cropped.convert("L")
    resized = cropped.resize(size[::-1], Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.atleast_3d(np.asarray(resized)).transpose(2, 0, 1)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Convert a picture of any mode to RGB.

    Integers of more than 8 bits have the range 0–65535. Floating-point numbers have the range 0–1,
    or 0–255 if a value is above 1. Transparent pixels become white.
    """
    # Pillow would clip integers at 255, so that a picture of 16 bits would be almost white.
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.float64) / 257
    elif picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture).astype(np.float64))
        values *= 255 if values.max() <= 1 else 1
    elif picture.has_transparency_data:
        # Transparent pixels are often stored as black, but a drawing should be on white.
        pixels = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels).convert("RGB")
    else:
        return picture.convert("RGB")
    return Image.fromarray(np.rint(values.clip(0, 255)).astype(np.uint8)).convert("RGB")


def _parts(
    folders: list[tuple[str, ...]],
) -> tuple[NDArray[np.int8], list[tuple[str, ...]]]:
    """Return the part of each picture, ``int8 (N,)``, and its folders below that of the part.

    If the first folder of any picture is no word of ``PARTS``, all pictures are ``FREE``, and their
    folders are returned unchanged.

    Args:
        folders: Folders that lead to each picture, the outermost first.
    """
    words = [PARTS.get(parts[0].lower(), None) if parts else None for parts in folders]
    if None in words:
        return np.full(len(folders), FREE, np.int8), folders
    return np.array(words, np.int8), [parts[1:] for parts in folders]


def _classes(
    folders: list[tuple[str, ...]],
) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Return the names of the classes and the class of each picture, ``int64 (N,)``.

    The class is the picture's first folder. The result is ``((), None)`` if a picture has no folder
    or all have the same.
    """
    if not all(folders) or len({parts[0] for parts in folders}) < 2:
        return (), None
    names, labels = np.unique([parts[0] for parts in folders], return_inverse=True)
    return tuple(names.tolist()), labels.astype(np.int64)
