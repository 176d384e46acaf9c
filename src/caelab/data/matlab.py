"""Reads byte matrices of an untrusted Matlab 5 file, with a bound on what its compressed parts
unpack to.
"""

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
    """Give the ``names`` of a version 5 ``.mat`` file; each must be a matrix of uint8.

    Raises:
        ValueError: It is not such a file, lacks a name, or unpacks to more than ``LIMIT``.
    """
    from scipy.io import loadmat

    try:
        found = loadmat(io.BytesIO(_unpacked(content)), variable_names=names)
    except Exception as error:  # the reader meets malformed files with errors of every kind
        raise ValueError(
            f"it is not a Matlab 5 file, or is malformed ({type(error).__name__})"
        ) from error
    matrices = {name: found.get(name) for name in names}
    for name, matrix in matrices.items():
        if not isinstance(matrix, np.ndarray) or matrix.dtype != np.uint8:
            raise ValueError(f"it has no matrix of bytes that is called {name}")
    return matrices


def _unpacked(content: bytes) -> bytes:
    """Return the same file without compression: the reader of SciPy would unpack any amount."""
    order = {b"IM": "<", b"MI": ">"}[content[126:_HEADER]]
    parts, place, left = [content[:_HEADER]], _HEADER, LIMIT
    while place < len(content):
        kind, length = struct.unpack_from(f"{order}II", content, place)
        element = content[place : place + 8 + length]
        if len(element) < 8 + length:
            raise ValueError("truncated")
        if kind == _COMPRESSED:
            element = zlib.decompressobj().decompress(element[8:], left + 1)
        left -= len(element)
        if left < 0:
            raise ValueError("too large")
        parts.append(element)
        place += 8 + length
    return b"".join(parts)
