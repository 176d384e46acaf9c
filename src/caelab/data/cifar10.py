"""CIFAR-10 in the three layouts that its authors publish, each as a folder or as an archive.

Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009: 60,000 color images of
32×32, ten classes; five batches of 10,000 for training and one for testing.
"""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caelab.data.archive import MEMBER_LIMIT, read_members
from caelab.data.image_set import ImageSet, Source, fingerprint
from caelab.data.matlab import load_matrices
from caelab.data.restricted_pickle import PickledArray, unpickle
from caelab.errors import InputError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIZE = 32
PER_BATCH = 10_000
PIXELS = 3 * SIZE * SIZE

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images ``uint8 (10000, 3072)``, the red plane first, and labels ``uint8 (10000,)``."""


@dataclass(frozen=True)
class Layout:
    """One of the published layouts.

    Attributes:
        folder: Name of its folder.
        archive: Name of its archive.
        suffix: End of its files' names.
        parse: Function from the content of a file to its images and labels; raises ``ValueError``
            that says what is wrong.
    """

    folder: str
    archive: str
    suffix: str
    parse: Callable[[bytes], Batch]

    @property
    def files(self) -> list[str]:
        """Names of its six files, the five for training first."""
        return [f"data_batch_{number}{self.suffix}" for number in range(1, 6)] + [
            f"test_batch{self.suffix}"
        ]


def _parse_python(content: bytes) -> Batch:
    try:
        batch = unpickle(content)
    except pickle.UnpicklingError as error:
        raise ValueError(str(error)) from error
    if not isinstance(batch, dict):
        raise ValueError("it holds no dictionary")
    # Python 2 wrote the official files, so their keys are bytes; a copy saved by Python 3 has
    # texts.
    pixels, labels = (batch.get(key, batch.get(key.encode())) for key in ("data", "labels"))
    shape = (PER_BATCH, PIXELS)
    # An array that the file gave no state has no shape, and one with a shape may have other data.
    if (
        not isinstance(pixels, PickledArray)
        or getattr(pixels, "shape", None) != shape
        or len(pixels.data) != PER_BATCH * PIXELS
    ):
        raise ValueError(f"its data is not an array of {PER_BATCH}×{PIXELS} bytes")
    if not isinstance(labels, list) or not all(
        type(label) is int and 0 <= label < 10 for label in labels
    ):
        raise ValueError("its labels are not a list of numbers from 0 to 9")
    return np.frombuffer(pixels.data, np.uint8).reshape(shape), np.array(labels, np.uint8)


def _parse_binary(content: bytes) -> Batch:
    if len(content) != PER_BATCH * (1 + PIXELS):
        raise ValueError(f"it has {len(content)} bytes instead of {PER_BATCH * (1 + PIXELS)}")
    rows = np.frombuffer(content, np.uint8).reshape(PER_BATCH, 1 + PIXELS)
    return rows[:, 1:], rows[:, 0]


def _parse_matlab(content: bytes) -> Batch:
    matrices = load_matrices(content, ("data", "labels"))
    return matrices["data"], matrices["labels"].ravel()


LAYOUTS = (
    Layout("cifar-10-batches-py", "cifar-10-python.tar.gz", "", _parse_python),
    Layout("cifar-10-batches-bin", "cifar-10-binary.tar.gz", ".bin", _parse_binary),
    Layout("cifar-10-batches-mat", "cifar-10-matlab.tar.gz", ".mat", _parse_matlab),
)


def find_cifar10(path: Path) -> Path | None:
    """Return the folder or archive of CIFAR-10 that ``path`` is or directly holds, or ``None``."""
    if _is_file(path):
        return path if path.name.endswith((".tar.gz", ".tgz")) else None
    names = [name for layout in LAYOUTS for name in layout.files]
    for folder in (path, *(path / layout.folder for layout in LAYOUTS)):
        if any(_is_file(folder / name) for name in names):
            return folder
    archives = (path / layout.archive for layout in LAYOUTS)
    return next((archive for archive in archives if _is_file(archive)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder without permission is treated like one that does not exist
        return False


def read_cifar10(path: Path) -> ImageSet:
    """Read CIFAR-10: the 50,000 training images in their order, then the 10,000 test images.

    Args:
        path: A folder or an archive, as :func:`find_cifar10` returns it.

    Raises:
        InputError: A batch is missing, truncated, damaged or hostile.
    """
    # All images are allocated once and filled in place: a list of batches would need the memory
    # twice while it is joined.
    images = np.empty((6 * PER_BATCH, 3, SIZE, SIZE), np.uint8)
    labels = np.empty(6 * PER_BATCH, np.int64)
    known = {name: (layout, index) for layout in LAYOUTS for index, name in enumerate(layout.files)}
    read: dict[str, Layout] = {}
    for name, content in _contents(path, frozenset(known)):
        layout, index = known[name]
        read[name] = layout
        rows = slice(index * PER_BATCH, (index + 1) * PER_BATCH)
        try:
            if len(set(read.values())) > 1:
                raise ValueError("it belongs to another layout than the batches before it")
            pixels, labels_of_batch = layout.parse(content)
            if pixels.shape != (PER_BATCH, PIXELS) or labels_of_batch.shape != (PER_BATCH,):
                raise ValueError(f"it does not hold {PER_BATCH} images and labels")
            if labels_of_batch.max() > 9:
                raise ValueError("it has labels above 9")
        except ValueError as error:
            raise InputError(
                f"{path}: {name} is not a batch of CIFAR-10: {error}. "
                f"The file is damaged or was tampered with: fetch {layout.archive} again."
            ) from error
        # One batch at a time into the array of all: two copies of CIFAR-10 would be 370 MB.
        images[rows] = pixels.reshape(images[rows].shape)
        labels[rows] = labels_of_batch

    layout = next(iter(read.values()), LAYOUTS[0])
    missing = [name for name in layout.files if name not in read]
    if missing:
        raise InputError(
            f"{path} is not the whole of CIFAR-10: {', '.join(missing)} missing. Fetch"
            f" {layout.archive} again."
        )
    digest = fingerprint(images, labels)
    return ImageSet(
        images=images,
        labels=labels,
        classes=CLASSES,
        source=Source(name="cifar10", where=str(path), fingerprint=digest),
        official_test=np.arange(len(images)) >= 5 * PER_BATCH,
    )


def _contents(path: Path, names: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files of a folder or archive, one at a time."""
    if not path.is_dir():
        yield from read_members(path, names)
        return
    # A folder may hold several layouts; the most complete one is read.
    layout = max(LAYOUTS, key=lambda each: sum((path / name).is_file() for name in each.files))
    for name in layout.files:
        file = path / name
        if not file.is_file():
            continue
        try:
            # Checked before reading: a wrong file of many gigabytes must not fill the memory.
            if file.stat().st_size > MEMBER_LIMIT:
                raise InputError(
                    f"{file} is far larger than a batch of CIFAR-10. Fetch {layout.archive} again."
                )
            content = file.read_bytes()
        except OSError as error:
            raise InputError(
                f"cannot read {file}: {error.strerror}. Make it readable, or fetch it again."
            ) from error
        yield name, content
