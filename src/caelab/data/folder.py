"""A folder of pictures → images of one size, whatever the pictures are."""

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
"""The formats of Pillow that are read; some others start programs, and none is needed."""

SUFFIXES = frozenset(
    (
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
    )
)

PIXEL_LIMIT = 100_000_000
"""Larger pictures are refused: a file of a few kilobytes can claim any size."""

MEMORY_LIMIT = 8 * 2**30
"""Bytes that the resized images may take."""

BROKEN_SHARE = 0.1
"""With a larger share of broken pictures the folder is an error."""

_PART_FOLDERS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})


def read_folder(folder: Path, *, size: int) -> ImageSet:
    """Read every picture in ``folder`` and below, centre-cropped to a square and resized to
    ``size``.

    A picture's class is the folder it lies in directly below ``folder`` (or below ``train``,
    ``test``, ``val``, …, which are no classes); where a picture lies outside such folders, or there
    is only one, there are no classes. Pictures that cannot be read are left out, and
    ``source.note`` counts them.

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
    if len(paths) * 3 * size * size > MEMORY_LIMIT:
        raise InputError(
            f"{len(paths)} pictures of {size}×{size} take over 8 GiB. Choose a smaller size."
        )

    images = np.empty((len(paths), 3, size, size), np.uint8)
    good = np.zeros(len(paths), np.bool_)

    def read(index: int) -> None:
        try:
            images[index] = read_picture(paths[index], size=size)
            good[index] = True
        except (
            Exception
        ):  # Pillow meets broken files with errors of every kind; they are counted below
            good[index] = False

    with (
        warnings.catch_warnings(),
        progress("reading pictures", len(paths)) as advance,
        ThreadPoolExecutor(2) as pool,
    ):
        warnings.simplefilter(
            "ignore"
        )  # Pillow's remarks about metadata; its bound on size is checked by ours
        for _ in pool.map(read, range(len(paths))):
            advance(1)

    note = ""
    broken = [path for path, is_good in zip(paths, good, strict=True) if not is_good]
    if broken:
        names = ", ".join(str(path.relative_to(folder)) for path in broken[:3]) + (
            ", …" if len(broken) > 3 else ""
        )
        note = (
            f"{len(broken)} of {len(paths)} pictures in {folder} could not be read and were left"
            f" out ({names})"
        )
        if len(broken) > BROKEN_SHARE * len(paths):
            raise InputError(
                f"{folder}: {len(broken)} of {len(paths)} pictures cannot be read ({names}). Remove"
                " them."
            )
        paths = [path for path, is_good in zip(paths, good, strict=True) if is_good]
        for place, index in enumerate(np.flatnonzero(good)):  # moved up in place: no second array
            images[place] = images[index]
        images = images[: len(paths)]

    classes, labels = _classes([path.relative_to(folder) for path in paths])
    source = Source(
        name="folder", where=str(folder), note=note, fingerprint=fingerprint(images, labels)
    )
    return ImageSet(
        images=images, labels=labels, classes=classes, source=source, part=None, official_test=None
    )


def read_picture(path: Path, *, size: int) -> NDArray[np.uint8]:
    """Read one picture as uint8 (3, ``size``, ``size``), RGB.

    Turned as its EXIF says, centre-cropped to a square, resized with Lanczos. Sixteen bits are
    scaled to eight, transparency is laid on white, CMYK, gray and palettes become RGB; of an
    animation the first frame counts.

    Raises:
        Exception: Of nearly any kind, when the file is broken; ``ValueError`` when it has over 100
            million pixels (of a JPEG: after the decoder's own reduction).
    """
    with Image.open(path, formats=FORMATS) as opened:
        opened.draft(None, (2 * size, 2 * size))  # a JPEG decodes to a fraction of its size at once
        if opened.width * opened.height > PIXEL_LIMIT:
            raise ValueError("too large")
        ImageOps.exif_transpose(opened, in_place=True)
        side = min(opened.size)
        left, top = (opened.width - side) // 2, (opened.height - side) // 2
        square = to_rgb(opened.crop((left, top, left + side, top + side)))
        resized = square.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(resized).transpose(2, 0, 1)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert a picture of any mode to RGB, as people expect to see it.

    Integers of more than eight bits have the range 0–65535; floating point has 0–1, or 0–255 where
    a value is above 1.
    """
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.float64) / 257
    elif picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture).astype(np.float64))
        values *= 255 if values.max() <= 1 else 1
    elif picture.has_transparency_data:
        pixels = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels).convert("RGB")
    else:
        return picture.convert("RGB")
    return Image.fromarray(np.rint(values.clip(0, 255)).astype(np.uint8)).convert("RGB")


def _classes(paths: list[Path]) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Class names and labels by the folders of relative ``paths``; ``((), None)`` where they are no
    classes.
    """
    folders = [path.parts[:-1] for path in paths]
    if all(parts and parts[0].lower() in _PART_FOLDERS for parts in folders):
        folders = [parts[1:] for parts in folders]
    if not all(folders) or len({parts[0] for parts in folders}) < 2:
        return (), None
    names = sorted({parts[0] for parts in folders})
    index = {name: number for number, name in enumerate(names)}
    return tuple(names), np.array([index[parts[0]] for parts in folders], np.int64)
