"""Read CIFAR-10 in its Python or binary version, from a folder or an archive.

Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009: 60,000 color images of
32×32 pixels in ten classes, as five batches of 10,000 images for training and one for testing.
"""

import os
import pickletools
from collections.abc import Iterator
from itertools import dropwhile, islice, pairwise, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caelab.data.archive import MEMBER_LIMIT, read_file, read_members
from caelab.data.image_set import ImageSet, Source, fingerprint
from caelab.errors import InputError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIZE = 32
PER_BATCH = 10_000
PIXELS = 3 * SIZE * SIZE

BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
"""Names of the six files in the Python version: five with training images, one with test images."""

# The MATLAB version cannot be read. It is listed here so that a message can say so.
SUFFIXES = ("", ".bin", ".mat")
FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-10-batches-mat")
ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz", "cifar-10-matlab.tar.gz")
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar")

_FILES = frozenset(name + suffix for name in BATCHES for suffix in SUFFIXES)
_MAX_INSTRUCTIONS = 500_000
"""Largest number of instructions of a pickle that are read; official files have up to 300,000."""

_LIST = ("EMPTY_LIST", "MARK", "APPEND", "APPENDS")
"""Instructions of a pickle that make a list."""

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images ``uint8 (N, 3072)`` as a red, a green and a blue plane, and labels ``uint8 (N,)``."""


def list_pickle(content: bytes) -> list[Any]:
    """Return the values in a pickle in their order, without running the pickle.

    A pickle is a program, and a hostile one could do anything. An instruction without a value is
    listed by its name, such as ``"MARK"``.

    Raises:
        ValueError: The pickle is truncated or malformed.
    """
    try:
        listed = list(islice(pickletools.genops(content), _MAX_INSTRUCTIONS))
    except Exception as error:  # a hostile file can cause an error of any kind
        raise ValueError(f"it is truncated or malformed ({type(error).__name__})") from error
    # Instructions that only store a value for later use are left out, so that the values of an
    # array or a list follow each other.
    return [
        step.name if value is None else value
        for step, value, _ in listed
        if step.name not in ("BINPUT", "LONG_BINPUT", "MEMOIZE", "FRAME")
    ]


def items_after(key: str, values: list[Any]) -> Iterator[Any]:
    """Yield all values after the text ``key``, without the instructions that make a list.

    Args:
        key: Text to search for.
        values: Values of a pickle, as :func:`list_pickle` returns them. The items of the list that
            follows ``key`` come first; the caller must notice where they end.
    """
    after = islice(dropwhile(lambda value: value != key, values), 1, None)
    return (value for value in after if value not in _LIST)


def parse_python(
    content: bytes, *, count: int | None = None, key: str = "labels", classes: int = 10
) -> Batch:
    """Read a file of the Python version: a pickle, which is never run.

    The pickle contains one array of pixels, and the word ``key`` before the classes of the images.

    Args:
        content: The pickle.
        count: Number of images that the pickle should hold; 10,000 by default.
        key: Word before the classes of the images.
        classes: Number of classes.

    Raises:
        ValueError: The pickle holds something else; the message says what is wrong.
    """
    count = PER_BATCH if count is None else count
    values = list_pickle(content)
    # For an array, NumPy writes shape, type, NEWFALSE for C order, and the bytes. Python 2, which
    # wrote the official files, stored bytes as a text.
    pixels: str | bytes = b""
    for before, value in pairwise(values):
        if before == "NEWFALSE" and isinstance(value, str | bytes):
            pixels = value
    shape = (count, PIXELS)
    if len(pixels) != count * PIXELS or "u1" not in values or shape not in pairwise(values):
        raise ValueError(f"its data is not an array of {count}×{PIXELS} bytes in C order")
    raw = pixels.encode("latin-1") if isinstance(pixels, str) else pixels
    labels = list(takewhile(lambda value: value in range(classes), items_after(key, values)))
    if len(labels) != count:
        raise ValueError(f"its {key} are not a list of {count} numbers from 0 to {classes - 1}")
    return np.frombuffer(raw, np.uint8).reshape(shape), np.array(labels, np.uint8)


def parse_binary(content: bytes) -> Batch:
    """Read a batch of the binary version.

    Raises:
        ValueError: The batch has another length than 10,000 labels and images.
    """
    if len(content) != PER_BATCH * (1 + PIXELS):
        raise ValueError(f"it has {len(content)} bytes instead of {PER_BATCH * (1 + PIXELS)}")
    rows = np.frombuffer(content, np.uint8).reshape(PER_BATCH, 1 + PIXELS)
    return rows[:, 1:], rows[:, 0]


def find_cifar10(path: Path) -> Path | None:
    """Return the folder or archive of CIFAR-10 at ``path`` or directly in it, or ``None``."""
    folders = (path, *(path / name for name in FOLDERS))
    files = [(folder / name, folder) for folder in folders for name in _FILES]
    archives = [path / each for name in ARCHIVES for each in (name, name.removesuffix(".gz"))]
    files += [(archive, archive) for archive in archives]
    if path.name.endswith(ARCHIVE_SUFFIXES):
        files.append((path, path))
    # A folder without permission counts as one that does not exist.
    return next((found for file, found in files if os.path.isfile(file)), None)  # noqa: PTH113


def read_cifar10(path: Path) -> ImageSet:
    """Read CIFAR-10: the 50,000 training images in their order, then the 10,000 test images.

    Args:
        path: A folder or an archive, as :func:`find_cifar10` returns it.

    Raises:
        InputError: A batch is missing, truncated, damaged, hostile, or of the MATLAB version.
    """
    # The array for all images is filled batch by batch, because joining a list of batches would
    # need twice the memory.
    images = np.empty((len(BATCHES), PER_BATCH, PIXELS), np.uint8)
    labels = np.empty((len(BATCHES), PER_BATCH), np.int64)
    missing = list(BATCHES)
    contents = _read_folder(path) if path.is_dir() else read_members(path, _FILES)
    for file, content in contents:
        name, _, suffix = file.partition(".")
        if suffix == "mat":
            # Damaged MATLAB files made SciPy's reader crash the whole process.
            raise InputError(
                f"{path}: {file} is of the MATLAB version of CIFAR-10, which is not read. Take the"
                f" Python version, {ARCHIVES[0]}."
            )
        index = BATCHES.index(name)
        try:
            images[index], labels[index] = (parse_binary if suffix else parse_python)(content)
            if labels[index].max() > 9:
                raise ValueError("it has labels above 9")
        except ValueError as error:
            raise InputError(
                f"{path}: {file} is not a batch of CIFAR-10: {error}. The file is damaged or was"
                f" tampered with: fetch {ARCHIVES[0]} again."
            ) from error
        missing = [each for each in missing if each != name]
    if missing:
        raise InputError(
            f"{path} is not the whole of CIFAR-10: {', '.join(missing)} missing. Fetch"
            f" {ARCHIVES[0]} again."
        )
    pixels, classes = images.reshape(-1, 3, SIZE, SIZE), labels.ravel()
    digest = fingerprint(pixels, classes)
    return ImageSet(
        images=pixels,
        labels=classes,
        classes=CLASSES,
        source=Source(name="cifar10", where=str(path), fingerprint=digest),
        # `images` is in the order of BATCHES, whose last batch is the test batch.
        official_test=np.arange(len(pixels)) >= 5 * PER_BATCH,
    )


def _read_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each batch in a folder, with the first of ``SUFFIXES`` there."""
    for name in BATCHES:
        files = (path / f"{name}{suffix}" for suffix in SUFFIXES)
        file = next(filter(os.path.isfile, files), None)
        if file is not None:
            kind = "a batch of CIFAR-10"
            yield file.name, read_file(file, limit=MEMBER_LIMIT, kind=kind, source=ARCHIVES[0])
