"""Sixteen bits a channel to PNG and PNM, which Pillow writes of gray alone."""

import struct
import zlib
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from caelab.pictures.picture import Picture

STRIP_ROWS = 64

_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels → PNG's color type: gray, gray with alpha, RGB, RGBA."""

_UP = 2
"""PNG's filter "Up": every byte less the one above."""


def write_png(stream: BinaryIO, picture: Picture) -> None:
    """Write a PNG of 16 bits a channel (PNG specification, third edition), with profile and
    EXIF.
    """
    height, width = picture.size
    channels = picture.pixels.shape[2] + (picture.alpha is not None)

    def chunk(kind: bytes, content: bytes) -> None:
        stream.write(struct.pack(">I", len(content)) + kind + content)
        stream.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))

    stream.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPES[channels], 0, 0, 0))
    if picture.icc:
        chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc))
    if picture.exif:
        chunk(b"eXIf", picture.exif.removeprefix(b"Exif\0\0"))
    compressor = zlib.compressobj(4)
    above = np.zeros(width * channels * 2, np.uint8)
    for top in range(0, height, STRIP_ROWS):
        rows = big_endian(picture, slice(top, top + STRIP_ROWS))
        filtered = np.full((len(rows), 1 + rows.shape[1]), _UP, np.uint8)
        filtered[:, 1:] = rows - np.concatenate([above[None], rows[:-1]])
        above = rows[-1]
        if content := compressor.compress(filtered.tobytes()):
            chunk(b"IDAT", content)
    chunk(b"IDAT", compressor.flush())
    chunk(b"IEND", b"")


def write_pnm(stream: BinaryIO, picture: Picture) -> None:
    """Write a PGM or PPM of 16 bits a channel; there is no place for anything but the values."""
    height, width = picture.size
    kind = b"P5" if picture.pixels.shape[2] == 1 else b"P6"
    stream.write(b"%s\n%d %d\n65535\n" % (kind, width, height))
    for top in range(0, height, STRIP_ROWS):
        stream.write(big_endian(picture, slice(top, top + STRIP_ROWS)).tobytes())


def big_endian(picture: Picture, rows: slice) -> NDArray[np.uint8]:
    """Return rows with the alpha behind the colors, as bytes, uint8 (rows, W · channels · 2)."""
    values = picture.joined(rows)
    return np.ascontiguousarray(values.reshape(len(values), -1), ">u2").view(np.uint8)
