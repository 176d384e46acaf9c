"""Read CIFAR-100 in its Python version, from a folder or an archive.

Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009: 60,000 color images of
32×32 pixels in a hundred classes; 10,000 of the images are for testing.
"""

from itertools import takewhile
from pathlib import Path

from caelab.data.archive import read_file, read_members
from caelab.data.arrays import Arrays, join_arrays
from caelab.data.cifar10 import ARCHIVE_SUFFIXES, SIZE, items_after, list_pickle, parse_python
from caelab.data.image_set import ImageSet
from caelab.errors import InputError

FOLDER = "cifar-100-python"
COUNTS = {"train": 50_000, "test": 10_000}
"""Number of images in each file."""

NAMES = "meta"
"""File that holds the names of the classes."""

CLASSES = 100
"""Number of classes."""

_FILE_LIMIT = 192 * 2**20
"""Largest size of a file in bytes; the training images have 156 MB."""


def find_cifar100(path: Path) -> Path | None:
    """Return the folder or archive of CIFAR-100 at ``path`` or directly in it, or ``None``."""
    for folder in (path, path / FOLDER):
        if all((folder / name).is_file() for name in (*COUNTS, NAMES)):
            return folder
    archives = [path] if path.name.startswith("cifar-100") else []
    archives += [path / f"{FOLDER}{suffix}" for suffix in ARCHIVE_SUFFIXES]
    return next(
        (file for file in archives if file.name.endswith(ARCHIVE_SUFFIXES) and file.is_file()), None
    )


def read_cifar100(path: Path) -> ImageSet:
    """Read CIFAR-100 with its hundred fine classes, and mark its test images as test images.

    Args:
        path: A folder or an archive, as :func:`find_cifar100` returns it.

    Raises:
        InputError: A file is missing, truncated, damaged or hostile.
    """
    wanted = frozenset([*COUNTS, NAMES])
    contents = dict(
        ((name, _read_file(path / name)) for name in wanted)
        if path.is_dir()
        else read_members(path, wanted, limit=_FILE_LIMIT)
    )
    if missing := sorted(wanted - contents.keys()):
        raise InputError(
            f"{path} is not the whole of CIFAR-100: {', '.join(missing)} missing. Fetch"
            f" {FOLDER}.tar.gz again."
        )
    parts: dict[str, Arrays] = {}
    name = NAMES
    try:
        texts = items_after("fine_label_names", list_pickle(contents.pop(NAMES)))
        classes = tuple(takewhile(lambda text: isinstance(text, str) and text.islower(), texts))
        for name, count in COUNTS.items():
            pixels, labels = parse_python(
                contents.pop(name), count=count, key="fine_labels", classes=CLASSES
            )
            parts[name] = (pixels.reshape(-1, 3, SIZE, SIZE), labels)
    except ValueError as error:
        raise InputError(
            f"{path}: {name} is not a file of CIFAR-100: {error}. The file is damaged or was"
            f" tampered with: fetch {FOLDER}.tar.gz again."
        ) from error
    return join_arrays(parts, name="cifar100", where=str(path), classes=classes[:CLASSES])


def _read_file(file: Path) -> bytes:
    source = f"{FOLDER}.tar.gz"
    return read_file(file, limit=_FILE_LIMIT, kind="a file of CIFAR-100", source=source)
