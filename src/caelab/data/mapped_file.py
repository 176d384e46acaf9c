"""Files of pixels, which stay on the disk and are read image by image."""

import math
import mmap
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_CHUNK_BYTES = 16 * 2**20
"""Number of bytes of images that are looked at together."""


def map_images(file: Path, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Return the images of a file as an array that the system reads when it is used.

    Args:
        file: File of pixels, ``uint8`` with the channels last, without a header.
        shape: Shape ``(N, C, H, W)`` of the images.

    Returns:
        A read-only array ``uint8 (N, C, H, W)``.

    Raises:
        OSError: The file does not exist, or cannot be read.
        ValueError: The file is too short for the shape.
    """
    count, channels, height, width = shape
    stored = np.memmap(file, np.uint8, "r", shape=(count, height, width, channels))
    return stored.transpose(0, 3, 1, 2)


def mapped_file(images: NDArray[np.uint8]) -> Path | None:
    """Return the file of images ``(N, C, H, W)`` that :func:`map_images` returned, or ``None``."""
    if not isinstance(images, np.memmap) or not images.transpose(0, 2, 3, 1).flags.c_contiguous:
        return None
    return Path(images.filename) if images.filename else None


def chunks(
    images: NDArray[np.uint8], rows: NDArray[np.int64] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Yield images in their order, some at a time.

    The system counts the pages of a mapped file as memory of the process that read them. They are
    given back after each chunk.

    Args:
        images: ``uint8 (N, C, H, W)``.
        rows: Indices of the images to yield, ``int64 (M,)``; all images by default.
    """
    count = max(1, _CHUNK_BYTES // math.prod(images.shape[1:]))
    for start in range(0, len(images if rows is None else rows), count):
        chosen = slice(start, start + count)
        yield images[chosen] if rows is None else images[rows[chosen]]
        mapping = getattr(images, "_mmap", None)
        if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)


class FileRows:
    """Reads rows of a file that is not mapped, so that its pages do not count as memory.

    Args:
        file: File of rows, without a header.
        width: Length of a row in bytes.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, file: Path, width: int) -> None:
        self._stream, self._width = file.open("rb", buffering=0), width
        weakref.finalize(self, self._stream.close)
        # Threads share the position in the file.
        self._lock = threading.Lock()

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return rows of the file, ``uint8 (N, width)``.

        Args:
            rows: Indices of the rows, ``int64 (N,)``.

        Raises:
            OSError: The file cannot be read.
            EOFError: The file has become shorter.
        """
        read = np.empty((len(rows), self._width), np.uint8)
        pixels, width = read.reshape(-1).data, self._width
        # Rows that are neighbors in the file are read together.
        starts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist()]
        positions = rows[starts].tolist() if len(rows) else []
        with self._lock:
            stops = [*starts[1:], len(rows)]
            for start, stop, position in zip(starts, stops, positions, strict=False):
                self._stream.seek(position * width)
                self._fill(pixels[start * width : stop * width])
        return read

    def _fill(self, target: memoryview) -> None:
        while len(target):
            # The system may return fewer bytes than it is asked for.
            count = self._stream.readinto(target)
            if not count:
                raise EOFError(f"{self._stream.name} ends too early")
            target = target[count:]
