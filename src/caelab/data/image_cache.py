"""Image caches: folders of decoded images, which are read from the disk while a network trains.

A folder holds ``pixels.bin``, the images as bytes ``(N, H, W, C)``; ``arrays.npz``, their classes
and parts; and ``index.json``, everything else, with a checksum. The index is written last, so that
a folder without it is not complete.
"""

import contextlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from caelab.data.image_set import ImageSet, Source, fingerprint
from caelab.data.mapped_file import chunks, map_images, mapped_file
from caelab.data.pixel_store import ARRAYS, CHECKED, INDEX, PIXELS, FileStore
from caelab.errors import InputError
from caelab.files import read_arrays, read_json, replacing, to_json, without_home, write_text

VERSION = 1
"""Version of the form of the folder."""


def find_cache(path: Path) -> Path | None:
    """Return ``path`` if it is an image cache, complete or not, otherwise ``None``."""
    return path if (path / INDEX).is_file() or (path / PIXELS).is_file() else None


def complete_cache(images: ImageSet, store: FileStore) -> None:
    """Complete the folder of a store that holds the pixels of an image set.

    Images that are not in the store's file yet are written to it.

    Args:
        images: The image set.
        store: The store.

    Raises:
        InputError: A file cannot be written.
    """
    folder = store.file.parent
    if mapped_file(images.images) != store.file:
        source, shape = images.source, images.images.shape
        store.begin(shape[0], shape[1:], lambda: source.fingerprint, source.where)
        for chunk in chunks(images.images[store.taken :]):
            store.append(chunk, [])
        store.images()
    names = ("labels", "part", "official_test")
    arrays = {name: getattr(images, name) for name in names if getattr(images, name) is not None}
    with replacing(folder / ARRAYS) as temporary, temporary.open("wb") as written:
        np.savez(written, allow_pickle=False, **arrays)
    # Not the fingerprint of the source, which not every source makes of the same arrays.
    checksum = fingerprint(images.images, images.labels, images.part)
    index = {
        "version": VERSION,
        "shape": images.images.shape,
        "classes": images.classes,
        "checksum": checksum,
        "source": {**asdict(images.source), "where": without_home(images.source.where)},
    }
    write_text(folder / INDEX, to_json(index))
    write_text(folder / CHECKED, _record(folder, checksum))


def read_cache(folder: Path) -> ImageSet:
    """Return the images of an image cache, which stay on the disk.

    All images are read once to compare their checksum. The result is remembered as long as the file
    has the same size and time.

    Args:
        folder: The image cache.

    Raises:
        InputError: The image cache is not complete, or damaged.
    """
    if not (folder / INDEX).is_file():
        raise InputError(
            f"{folder} is an image cache that is not complete. Repeat the command that writes it:"
            " it continues."
        )
    try:
        images, checksum = _read(folder)
        file, record = folder / CHECKED, _record(folder, checksum)
        if not (file.is_file() and file.read_text(encoding="utf-8") == record):
            if fingerprint(images.images, images.labels, images.part) != checksum:
                raise ValueError("its checksum is wrong")
            # Without the record, the images are compared again the next time.
            with contextlib.suppress(InputError):
                write_text(file, record)
    except (InputError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the image cache {folder} is damaged: {error}. Remove it, and make it again."
        ) from error
    return images


def _record(folder: Path, checksum: str) -> str:
    """Return the text that says for which file the checksum was found to be right."""
    status = (folder / PIXELS).stat()
    return to_json({"checked": [status.st_size, status.st_mtime_ns, checksum]})


def _read(folder: Path) -> tuple[ImageSet, str]:
    """Return the images of an image cache, and the checksum that they should have."""
    index: dict[str, Any] = read_json(folder / INDEX)
    if index["version"] != VERSION:
        raise ValueError(f"its version is {index['version']!r}, and {VERSION} is known")
    shape = tuple(index["shape"])
    if len(shape) != 4 or not all(isinstance(side, int) and side > 0 for side in shape):
        raise ValueError(f"its shape is {index['shape']!r}")
    if (size := (folder / PIXELS).stat().st_size) != np.prod(shape, dtype=object):
        raise ValueError(f"{PIXELS} has {size} bytes, which do not fit the shape {shape}")
    arrays = read_arrays(folder / ARRAYS)
    source = Source(**index["source"])
    images = ImageSet(
        images=map_images(folder / PIXELS, shape),
        classes=tuple(map(str, index["classes"])),
        source=replace(source, where=str(folder)),
        **arrays,
    )
    if any(array.shape != shape[:1] for array in arrays.values()):
        raise ValueError(f"{ARRAYS} does not fit the shape {shape}")
    return images, str(index["checksum"])
