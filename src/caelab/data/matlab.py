"""Reads byte matrices of an untrusted Matlab 5 file, within a bound on what it unpacks to."""

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

LIMIT = 64 * 2**20
"""Bytes that a file may unpack to; a batch of CIFAR-10 has 31 MB."""

_HEADER = 128
_COMPRESSED = 15


def load_matrices(content: bytes, names: tuple[str, ...]) -> dict[str, NDArray[np.uint8]]:
    """Return the matrices, ``uint8 (M, N)``, of a version 5 ``.mat`` file by name.

    Raises:
        ValueError: It is not such a file, a name is missing or no matrix of uint8, or the file
            unpacks to more than ``LIMIT`` bytes.
    """
    from scipy.io import loadmat

    try:
        found = loadmat(io.BytesIO(_unpacked(content)), variable_names=names)
    except Exception as error:  # the reader raises errors of all kinds for malformed files
        raise ValueError(
            f"it is not a Matlab 5 file, or is malformed ({type(error).__name__})"
        ) from error
    for name in names:
        matrix = found.get(name)
        if not isinstance(matrix, np.ndarray) or matrix.dtype != np.uint8:
            raise ValueError(f"it has no matrix of bytes that is called {name}")
    return {name: found[name] for name in names}


def _unpacked(content: bytes) -> bytes:
    """Return the same file without compression: SciPy's reader would unpack any amount."""
    # The writer's processor stored "MI" as a 16-bit number; how it reads tells the order of bytes.
    order = {b"IM": "<", b"MI": ">"}[content[126:_HEADER]]
    parts, start, left = [content[:_HEADER]], _HEADER, LIMIT
    while start < len(content):
        kind, length = struct.unpack_from(f"{order}II", content, start)
        element = content[start : start + 8 + length]
        if len(element) < 8 + length:
            raise ValueError("truncated")
        if kind == _COMPRESSED:
            # One byte above what is left is enough to see that the file is too large.
            element = zlib.decompressobj().decompress(element[8:], left + 1)
        left -= len(element)
        if left < 0:
            raise ValueError("too large")
        parts.append(element)
        start += 8 + length
    return b"".join(parts)
