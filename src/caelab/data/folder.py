"""Reads a folder of pictures as images of one size."""

import contextlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from caelab.data.image_set import ImageSet, Source, fingerprint
from caelab.errors import InputError
from caelab.files import find_files
from caelab.progress import progress

FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are read; Pillow's readers of some others start programs, and none is needed."""

SUFFIXES = frozenset(
    [
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    ]
)

PIXEL_LIMIT = 100_000_000
"""Larger pictures are refused: a file of a few kilobytes can claim any size."""

MEMORY_LIMIT = 8 * 2**30
"""Largest size of all resized images, in bytes."""

BROKEN_SHARE = 0.1
"""Largest share of broken pictures in a folder that is accepted."""

_PART_FOLDERS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})


def read_folder(folder: Path, *, size: int) -> ImageSet:
    """Read every picture in ``folder`` and below, cropped at the center to a square and resized.

    A picture's class is the folder it lies in directly below ``folder`` (or below ``train``,
    ``test``, ``val``, …, which are no classes). If a picture lies outside such folders, or there is
    only one, there are no classes. Pictures that cannot be read are left out, and ``source.note``
    counts them.

    Args:
        folder: The folder.
        size: Side of the images, in pixels.

    Raises:
        InputError: There is no picture, more than a tenth are broken, or the images would take over
            8 GiB.
    """
    paths = list(find_files(folder, suffixes=SUFFIXES))
    if not paths:
        raise InputError(
            f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))}), nor CIFAR-10. Name"
            " another one."
        )
    # Checked by the number of files, before any is decoded.
    if len(paths) * 3 * size * size > MEMORY_LIMIT:
        raise InputError(
            f"{len(paths)} pictures of {size}×{size} take over 8 GiB. Choose a smaller size."
        )

    images, good = _read_all(paths, size)
    note = ""
    if not good.all():
        broken = [str(paths[index].relative_to(folder)) for index in np.flatnonzero(~good)]
        names = ", ".join(broken[:3]) + (", …" if len(broken) > 3 else "")
        if len(broken) > BROKEN_SHARE * len(paths):
            raise InputError(
                f"{folder}: {len(broken)} of {len(paths)} pictures cannot be read ({names}). Remove"
                " them."
            )
        note = (
            f"{len(broken)} of {len(paths)} pictures in {folder} could not be read and were left"
            f" out ({names})"
        )
        paths = [paths[index] for index in np.flatnonzero(good)]
        for index, old in enumerate(np.flatnonzero(good)):  # in place: a copy might not fit
            images[index] = images[old]
        images = images[: len(paths)]

    classes, labels = _classes([path.relative_to(folder).parts[:-1] for path in paths])
    digest = fingerprint(images, labels)
    source = Source(name="folder", where=str(folder), note=note, fingerprint=digest)
    return ImageSet(images=images, labels=labels, classes=classes, source=source)


def _read_all(paths: list[Path], size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return all pictures, ``(N, 3, size, size)``, and which of them could be read, ``(N,)``."""
    images = np.empty((len(paths), 3, size, size), np.uint8)
    good = np.zeros(len(paths), np.bool_)

    def read(index: int) -> None:
        with contextlib.suppress(Exception):  # broken files raise errors of all kinds
            images[index], good[index] = read_picture(paths[index], size=size), True

    with (
        warnings.catch_warnings(),
        progress("reading pictures", len(paths)) as advance,
        # Pillow decodes without Python's global lock, so threads help.
        ThreadPoolExecutor(2) as pool,
    ):
        warnings.simplefilter("ignore")  # remarks about metadata; sizes are checked here
        for _ in pool.map(read, range(len(paths))):
            advance(1)
    return images, good


def read_picture(path: Path, *, size: int) -> NDArray[np.uint8]:
    """Read a picture as a small RGB image of shape ``(3, size, size)``, ``uint8``.

    It is turned as its EXIF says, cropped at the center to a square and resized with Lanczos.
    Sixteen bits are scaled to eight, transparency is laid on white, CMYK, gray and palettes become
    RGB; of an animation the first frame counts.

    Raises:
        Exception: The file is broken; the exception may be of nearly any kind. It is ``ValueError``
            if the picture has over 100 million pixels (of a JPEG: after the decoder's reduction).
    """
    with Image.open(path, formats=FORMATS) as opened:
        opened.draft(None, (2 * size, 2 * size))  # a JPEG decodes to a fraction of its size at once
        if opened.width * opened.height > PIXEL_LIMIT:
            raise ValueError("too large")
        ImageOps.exif_transpose(opened, in_place=True)
        # Cropped first: what is cut off need not be converted and resized.
        side = min(opened.size)
        left, top = (opened.width - side) // 2, (opened.height - side) // 2
        square = _to_rgb(opened.crop((left, top, left + side, top + side)))
        resized = square.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(resized).transpose(2, 0, 1)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Convert a picture of any mode to RGB, as people expect to see it.

    Integers of more than eight bits have the range 0–65535; floating point has 0–1, or 0–255 if a
    value is above 1.
    """
    # Pillow itself would clip such integers at 255, and a picture of 16 bits would be white.
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.float64) / 257
    elif picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture).astype(np.float64))
        values *= 255 if values.max() <= 1 else 1
    elif picture.has_transparency_data:
        # Transparent pixels are often stored black, and people expect paper behind a drawing.
        pixels = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels).convert("RGB")
    else:
        return picture.convert("RGB")
    return Image.fromarray(np.rint(values.clip(0, 255)).astype(np.uint8)).convert("RGB")


def _classes(
    folders: list[tuple[str, ...]],
) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Return names and labels of the classes by the folders of pictures, or ``((), None)``."""
    # Data sets come as train/cat/1.png, too: then the part's folder is not the class.
    if all(parts and parts[0].lower() in _PART_FOLDERS for parts in folders):
        folders = [parts[1:] for parts in folders]
    if not all(folders) or len({parts[0] for parts in folders}) < 2:
        return (), None
    names, labels = np.unique([parts[0] for parts in folders], return_inverse=True)
    return tuple(names.tolist()), labels.astype(np.int64)
