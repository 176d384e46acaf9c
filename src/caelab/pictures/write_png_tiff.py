"""Write what Pillow cannot: PNG and PNM of 16 bits per channel, and TIFF with all that is kept.

``tifffile`` (a dependency of scikit-image) writes neither the EXIF nor the GPS directory, which
Pillow's ``ImageFileDirectory_v2`` does; no library among the dependencies writes 16-bit RGB PNG.
"""

import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from caelab.pictures.picture import KEPT_DIRECTORIES, KEPT_TAGS, Picture, Values

STRIP_ROWS = 64

_COMPRESSION = 4
"""zlib's level: higher ones take several times as long for a few percent."""

_PNG_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Number of channels to PNG's color type: gray, gray with alpha, RGB, RGBA."""

_PNG_FILTER_UP = 2
"""Every byte less the one above."""

_TIFF_HEADER = b"II*\0\0\0\0\0"
_DEFLATE, _DIFFERENCES, _UNASSOCIATED = 8, 2, 2


def write_png(stream: BinaryIO, picture: Picture) -> None:
    """Write a 16-bit PNG (specification, third edition) with alpha, profile and EXIF."""
    height, width = picture.size
    channels = picture.pixels.shape[2] + (picture.alpha is not None)

    def chunk(kind: bytes, content: bytes) -> None:
        stream.write(struct.pack(">I", len(content)) + kind + content)
        stream.write(struct.pack(">I", zlib.crc32(kind + content)))

    stream.write(b"\x89PNG\r\n\x1a\n")
    color_type = _PNG_COLOR_TYPES[channels]
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0))
    if picture.icc:
        chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc))
    if picture.exif:
        # PNG holds EXIF without the prefix that JPEG gives it.
        chunk(b"eXIf", picture.exif.removeprefix(b"Exif\0\0"))
    compressor = zlib.compressobj(_COMPRESSION)
    above = np.zeros((1, width * channels * 2), np.uint8)
    for rows in _strips(picture):
        lines = np.frombuffer(rows.astype(">u2").tobytes(), np.uint8).reshape(len(rows), -1)
        # Each row of the file starts with the number of its filter; differences wrap around.
        # Each row begins with a byte that names its filter. Differences wrap around at 256, as PNG
        # wants.
        filtered = np.full((len(rows), 1 + lines.shape[1]), _PNG_FILTER_UP, np.uint8)
        filtered[:, 1:] = lines - np.concatenate([above, lines[:-1]])
        above = lines[-1:]
        # zlib collects input before it gives any output, and an empty chunk would be useless.
        if content := compressor.compress(filtered.tobytes()):
            chunk(b"IDAT", content)
    chunk(b"IDAT", compressor.flush())
    chunk(b"IEND", b"")


def write_pnm(stream: BinaryIO, picture: Picture) -> None:
    """Write a 16-bit PGM or PPM, which hold values alone."""
    height, width = picture.size
    kind = b"P5" if picture.pixels.shape[2] == 1 else b"P6"
    stream.write(b"%s\n%d %d\n65535\n" % (kind, width, height))
    stream.writelines(rows.astype(">u2").tobytes() for rows in _strips(picture))


def write_tiff(stream: BinaryIO, picture: Picture) -> None:
    """Write a TIFF of 8 or 16 bits (revision 6.0; compression 8, of Adobe's supplement 2).

    The directory with alpha's kind, profile and EXIF comes first, then the strips.

    Raises:
        ValueError: It would be larger than 4 GiB.
    """
    height, width = picture.size
    channels = picture.pixels.shape[2] + (picture.alpha is not None)
    strips = [_compressed_differences(rows) for rows in _strips(picture)]
    lengths = [len(strip) for strip in strips]
    # Offsets have 32 bits; some room is left for the directory.
    if sum(lengths) > 2**32 - 2**24:
        raise ValueError("a TIFF holds no more than 4 GiB")

    tags = ImageFileDirectory_v2(_TIFF_HEADER)
    exif = Image.Exif()
    exif.load(picture.exif)
    for tag in KEPT_TAGS:
        if tag in exif:
            tags[tag] = exif[tag]
    for tag in KEPT_DIRECTORIES:
        if directory := exif.get_ifd(tag):
            tags[tag] = directory
    tags[256], tags[257], tags[277] = width, height, channels
    tags[258] = (picture.pixels.dtype.itemsize * 8,) * channels
    tags[259], tags[317] = _DEFLATE, _DIFFERENCES
    tags[262] = 1 if picture.pixels.shape[2] == 1 else 2
    # Offsets count from the end of the directory; Pillow adds where that is.
    tags[273] = tuple(itertools.accumulate(lengths[:-1], initial=0))
    tags[278], tags[279] = STRIP_ROWS, tuple(lengths)
    if picture.alpha is not None:
        tags[338] = _UNASSOCIATED
    if picture.icc:
        tags[34675] = picture.icc
    tags.save(stream)
    stream.writelines(strips)


def _strips(picture: Picture) -> Iterator[Values]:
    """Yield the rows in strips, with the alpha after the colors, ``(R, W, 1 to 4)`` each."""
    for top in range(0, picture.size[0], STRIP_ROWS):
        yield picture.joined(slice(top, top + STRIP_ROWS))


def _compressed_differences(rows: Values) -> bytes:
    """Compress the differences between neighbors in a row, which are small where it is smooth."""
    differences = rows.copy()
    differences[:, 1:] -= rows[:, :-1]
    little_endian = differences.astype(differences.dtype.newbyteorder("<"))
    return zlib.compress(little_endian.tobytes(), _COMPRESSION)
