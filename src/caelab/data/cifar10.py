"""CIFAR-10 in the three layouts that its authors publish, each as a folder or as an archive.

Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009: 60,000 color images of
32×32, ten classes; five batches of 10,000 for training and one for testing.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator
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
"""Pixels (10000, 3072), the red plane of an image first, and labels (10000,)."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One of the published layouts.

    Attributes:
        folder: The name of its folder.
        archive: The name of its archive.
        files: Its six batches, the five for training first.
        parse: The content of a batch → its pixels and labels; raises ``ValueError`` with what is
            wrong.
    """

    folder: str
    archive: str
    files: tuple[str, ...]
    parse: Callable[[bytes], Batch]


def _parse_python(content: bytes) -> Batch:
    try:
        batch = unpickle(content)
    except pickle.UnpicklingError as error:
        raise ValueError(str(error)) from error
    if not isinstance(batch, dict):
        raise ValueError("it holds no dictionary")
    pixels, labels = (batch.get(key, batch.get(key.encode())) for key in ("data", "labels"))
    if not isinstance(pixels, PickledArray) or getattr(pixels, "shape", None) != (
        PER_BATCH,
        PIXELS,
    ):
        raise ValueError(f"its data is not an array of {PER_BATCH}×{PIXELS} bytes")
    if len(pixels.data) != PER_BATCH * PIXELS:
        raise ValueError(f"its data has {len(pixels.data)} bytes instead of {PER_BATCH * PIXELS}")
    if not isinstance(labels, list) or not all(
        type(label) is int and 0 <= label < 10 for label in labels
    ):
        raise ValueError("its labels are not a list of numbers from 0 to 9")
    return np.frombuffer(pixels.data, np.uint8).reshape(PER_BATCH, PIXELS), np.array(
        labels, np.uint8
    )


def _parse_binary(content: bytes) -> Batch:
    if len(content) != PER_BATCH * (1 + PIXELS):
        raise ValueError(f"it has {len(content)} bytes instead of {PER_BATCH * (1 + PIXELS)}")
    rows = np.frombuffer(content, np.uint8).reshape(PER_BATCH, 1 + PIXELS)
    return rows[:, 1:], rows[:, 0]


def _parse_matlab(content: bytes) -> Batch:
    matrices = load_matrices(content, ("data", "labels"))
    return matrices["data"], matrices["labels"].ravel()


def _layout(kind: str, folder: str, suffix: str, parse: Callable[[bytes], Batch]) -> Layout:
    names = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
    files = tuple(name + suffix for name in names)
    return Layout(
        folder=f"cifar-10-batches-{folder}",
        archive=f"cifar-10-{kind}.tar.gz",
        files=files,
        parse=parse,
    )


LAYOUTS = (
    _layout("python", "py", "", _parse_python),
    _layout("binary", "bin", ".bin", _parse_binary),
    _layout("matlab", "mat", ".mat", _parse_matlab),
)


def find_cifar10(place: Path) -> Path | None:
    """Find the folder or archive of CIFAR-10 that ``place`` is, or directly holds; ``None`` where
    there is none.
    """
    if _is_file(place):
        return place if place.name.endswith((".tar.gz", ".tgz")) else None
    folders = (place, *(place / layout.folder for layout in LAYOUTS))
    for folder in folders:
        if any(_is_file(folder / name) for layout in LAYOUTS for name in layout.files):
            return folder
    archives = (place / layout.archive for layout in LAYOUTS)
    return next((archive for archive in archives if _is_file(archive)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be looked into is like one that is not there
        return False


def read_cifar10(path: Path) -> ImageSet:
    """Read CIFAR-10 from a folder or archive: the 50,000 training images in their order, then the
    10,000 test images.

    Args:
        path: As ``find_cifar10`` gives it.

    Raises:
        InputError: A batch is missing, truncated, damaged or hostile.
    """
    images = np.empty((6 * PER_BATCH, 3, SIZE, SIZE), np.uint8)
    labels = np.empty(6 * PER_BATCH, np.int64)
    rows = images.reshape(6, PER_BATCH, PIXELS)
    places = {
        name: (layout, index) for layout in LAYOUTS for index, name in enumerate(layout.files)
    }
    read: dict[str, Layout] = {}
    for name, content in _contents(path, places):
        layout, index = places[name]
        read[name] = layout
        try:
            if len(set(read.values())) > 1:
                raise ValueError("it belongs to another layout than the batches before it")
            pixels, batch_labels = layout.parse(content)
            if pixels.shape != (PER_BATCH, PIXELS) or batch_labels.shape != (PER_BATCH,):
                raise ValueError(f"it does not hold {PER_BATCH} images and labels")
            if batch_labels.max() > 9:
                raise ValueError("it has labels above 9")
        except ValueError as error:
            raise InputError(
                f"{path}: {name} is not a batch of CIFAR-10: {error}. "
                f"The file is damaged or was tampered with: fetch {layout.archive} again."
            ) from error
        rows[index] = pixels
        labels[index * PER_BATCH : (index + 1) * PER_BATCH] = batch_labels

    layout = next(iter(read.values()), LAYOUTS[0])
    missing = [name for name in layout.files if name not in read]
    if missing:
        raise InputError(
            f"{path} is not the whole of CIFAR-10: {', '.join(missing)} missing. Fetch"
            f" {layout.archive} again."
        )
    return ImageSet(
        images=images,
        labels=labels,
        classes=CLASSES,
        source=Source(
            name="cifar10", where=str(path), note="", fingerprint=fingerprint(images, labels)
        ),
        part=None,
        official_test=np.arange(len(images)) >= 5 * PER_BATCH,
    )


def _contents(path: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the content of each of ``names`` that the folder or archive holds, one at a time."""
    if not path.is_dir():
        yield from read_members(path, frozenset(names))
        return
    layout = max(LAYOUTS, key=lambda each: sum((path / name).is_file() for name in each.files))
    for name in layout.files:
        file = path / name
        if not file.is_file():
            continue
        try:
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
