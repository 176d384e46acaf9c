"""Where decoded pictures are kept while a data set is read: in memory, or in a file."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from io import BufferedRandom
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from caelab.data.arrays import require_memory
from caelab.data.mapped_file import map_images
from caelab.errors import InputError
from caelab.files import (
    locked,
    make_folder,
    other_files,
    read_json,
    require_space,
    to_json,
    write_text,
)

Shape = tuple[int, int, int]
"""Shape ``(C, H, W)`` of an image."""

Identify = Callable[[], str]
"""Returns a text by which pictures are recognized."""

PIXELS, PROGRESS = "pixels.bin", "progress.json"
ARRAYS, INDEX, CHECKED = "arrays.npz", "index.json", "checked.json"
FILES = frozenset([PIXELS, PROGRESS, ARRAYS, INDEX, CHECKED])
"""Names of the files of an image cache."""

SAVE_SECONDS = 5.0
"""Seconds between two records of what a file already holds."""


class PixelStore(Protocol):
    """Keeps the images of pictures that are decoded one group after another."""

    def begin(self, count: int, shape: Shape, identify: Identify, where: str) -> list[int]:
        """Make room for images; return the indices of pictures that were broken earlier.

        Args:
            count: Number of pictures.
            shape: Shape of each image.
            identify: Returns a text by which the store recognizes the same pictures.
            where: Where the pictures come from, for messages.

        Raises:
            InputError: There is no room, or the store holds images of other pictures.
        """

    @property
    def taken(self) -> int:
        """Number of pictures that were read already, whether broken or not."""

    def append(self, images: NDArray[np.uint8], broken: list[int]) -> None:
        """Keep the images of the next group of pictures.

        Args:
            images: Images of the pictures that are not broken, ``uint8 (K, C, H, W)``.
            broken: Indices of the group's pictures that are broken, among all pictures.
        """

    def images(self) -> NDArray[np.uint8]:
        """Return all images, ``uint8 (N, C, H, W)``."""


class MemoryStore:
    """Keeps images in memory."""

    def __init__(self) -> None:
        self.taken = self._filled = 0

    def begin(
        self,
        count: int,
        shape: Shape,
        identify: Identify,  # noqa: ARG002
        where: str,
    ) -> list[int]:
        """Reserve memory for all images.

        Args:
            count: Number of pictures.
            shape: Shape of each image.
            identify: Not used.
            where: Where the pictures come from, for messages.

        Raises:
            InputError: The images do not fit into the memory for inputs.
        """
        require_memory(count, *shape, where=where)
        self._pixels = np.empty((count, *shape), np.uint8)
        return []

    def append(self, images: NDArray[np.uint8], broken: list[int]) -> None:
        """Copy images ``uint8 (K, C, H, W)`` behind the others; see :meth:`PixelStore.append`."""
        self._pixels[self._filled : self._filled + len(images)] = images
        self._filled += len(images)
        self.taken += len(images) + len(broken)

    def images(self) -> NDArray[np.uint8]:
        """Return all images, ``uint8 (N, C, H, W)``."""
        return self._pixels[: self._filled]


class FileStore:
    """Keeps images in a file, and continues after an interruption where it stopped.

    The file holds the images with the channels last. ``progress.json`` records how many of them are
    complete, and of which pictures they are. On a full disk, writing to a plain file raises an
    error; writing to a mapped file would end the process.

    Args:
        folder: Folder of the files; see :func:`open_store`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._progress = folder, folder / PROGRESS
        # Absolute, like the name of a mapped file, with which it is compared.
        self.file = (folder / PIXELS).resolve()
        self.taken = 0
        self._stream: BufferedRandom | None = None
        self._broken: list[int] = []
        self._identity = ""
        self._saved = time.monotonic()

    def begin(self, count: int, shape: Shape, identify: Identify, where: str) -> list[int]:
        """Open the file, and cut off what an interrupted process had not recorded.

        Args:
            count: Number of pictures.
            shape: Shape of each image.
            identify: Returns a text that is equal for equal pictures. The store is continued if
                it is that of the earlier process.
            where: Where the pictures come from, for messages.

        Raises:
            InputError: The folder holds images of other pictures, or the disk has no room.
        """
        self._shape, self._width = shape, math.prod(shape)
        self._identity = sha256(repr((count, shape, identify())).encode()).hexdigest()
        if self._progress.exists():
            self._resume(read_json(self._progress), where)
        require_space(self._folder, (count - self.taken) * self._width)
        with self._writing():
            stream = self._stream = self.file.open("r+b" if self.file.exists() else "w+b")
            stream.truncate((self.taken - len(self._broken)) * self._width)
            stream.seek(0, os.SEEK_END)
        self._save()
        return list(self._broken)

    def _resume(self, progress: dict[str, object], where: str) -> None:
        taken, broken = progress.get("taken"), progress.get("broken")
        if not isinstance(taken, int) or not isinstance(broken, list) or not self.file.is_file():
            raise InputError(f"{self._progress} is damaged. Remove the folder, and begin again.")
        if progress.get("identity") != self._identity:
            raise InputError(
                f"{self._folder} was made from other pictures, or with another size: the pictures"
                f" of {where} may have changed since. Choose another folder, or remove this one."
            )
        if self.file.stat().st_size < (taken - len(broken)) * self._width:
            raise InputError(f"{self.file} is too short. Remove the folder, and begin again.")
        self.taken, self._broken = taken, broken

    def append(self, images: NDArray[np.uint8], broken: list[int]) -> None:
        """Write images ``uint8 (K, C, H, W)`` behind the others; see :meth:`PixelStore.append`."""
        assert self._stream is not None
        with self._writing():
            self._stream.write(np.ascontiguousarray(images.transpose(0, 2, 3, 1)).data)
        self.taken += len(images) + len(broken)
        self._broken += broken
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self._save()

    def images(self) -> NDArray[np.uint8]:
        """Complete the file, and return its images, ``uint8 (N, C, H, W)``."""
        self._save()
        return map_images(self.file, (self.taken - len(self._broken), *self._shape))

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()

    def _save(self) -> None:
        assert self._stream is not None
        with self._writing():
            self._stream.flush()
            # The images must be on the disk before a record says so.
            os.fsync(self._stream.fileno())
        record = {"identity": self._identity, "taken": self.taken, "broken": self._broken}
        write_text(self._progress, to_json(record))
        self._saved = time.monotonic()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"cannot write {self.file}: {error.strerror or error}. Mend this, and give the same"
                " command again: it continues with the images that are complete."
            ) from error


def identify_files(files: Iterable[Path]) -> str:
    """Return a digest of the names, sizes and times of files."""
    digest = sha256()
    for file in files:
        status = file.stat()
        digest.update(repr((str(file), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()


@contextlib.contextmanager
def open_store(folder: Path) -> Iterator[FileStore]:
    """Yield a store in a folder, which no other process can use at the same time.

    Raises:
        InputError: The folder cannot be written to, holds other files, or another process uses it.
    """
    make_folder(folder)
    if others := other_files(folder, FILES):
        raise InputError(f"{folder} holds other files, such as {others[0]}. Choose a new folder.")
    with (
        locked(folder / ".lock", wait=0, use="written"),
        contextlib.closing(FileStore(folder)) as store,
    ):
        yield store
