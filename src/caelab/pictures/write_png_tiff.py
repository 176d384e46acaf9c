"""Write files that Pillow cannot write: 16-bit PNG and PNM, and TIFF with its metadata.

The package ``tifffile`` (a dependency of scikit-image) is not used, because it writes neither the
EXIF nor the GPS directory. Pillow's ``ImageFileDirectory_v2`` writes both. No dependency writes
16-bit RGB PNG.
"""

import itertools
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from PIL.PngImagePlugin import putchunk
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from caelab.pictures.metadata import PROFILE_TAG, png_chunks, tiff_tags
from caelab.pictures.picture import Picture, Values

STRIP_ROWS = 64
"""Number of rows that are compressed at a time, to save memory."""

_COMPRESSION = 4
"""Compression level of zlib. Higher levels save a few percent and take several times as long."""

_TIFF_HEADER = 8
"""Number of bytes in the header of a TIFF."""

_PNG_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's color type for each number of channels: gray, gray with alpha, RGB, RGBA."""

_PNG_FILTER_SUB = 1
"""PNG's filter that subtracts the left neighbor from each byte."""


def write_png(stream: BinaryIO, picture: Picture) -> None:
    """Write a 16-bit PNG (specification, third edition) with alpha, color profile and metadata."""
    height, width = picture.size
    color_type = _PNG_COLOR_TYPES[picture.channels]
    stream.write(b"\x89PNG\r\n\x1a\n")
    putchunk(stream, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0))
    if picture.icc:
        putchunk(stream, b"iCCP", b"ICC Profile\0\0", zlib.compress(picture.icc))
    metadata = picture.metadata
    if metadata.resolution:
        # PNG counts pixels per meter; an inch is 0.0254 m.
        across, down = (round(each / 0.0254) for each in metadata.resolution)
        putchunk(stream, b"pHYs", struct.pack(">LLB", across, down, 1))
    for name, content in png_chunks(metadata):
        # The chunk sRGB would contradict a color profile.
        if not (picture.icc and name == b"sRGB"):
            putchunk(stream, name, content)
    if metadata.exif:
        # PNG stores EXIF without the prefix that JPEG requires.
        putchunk(stream, b"eXIf", metadata.exif.removeprefix(b"Exif\0\0"))
    compressor = zlib.compressobj(_COMPRESSION)
    for rows in _strips(picture):
        differences = _differences(rows.astype(">u2", order="C").view(np.uint8))
        # Each row begins with a byte that names its filter.
        filtered = np.insert(differences.reshape(len(rows), -1), 0, _PNG_FILTER_SUB, axis=1)
        putchunk(stream, b"IDAT", compressor.compress(filtered.tobytes()))
    putchunk(stream, b"IDAT", compressor.flush())
    putchunk(stream, b"IEND")


def write_pnm(stream: BinaryIO, picture: Picture) -> None:
    """Write a 16-bit PGM for gray or PPM for RGB; metadata are not stored."""
    height, width = picture.size
    kind = b"P5" if picture.channels == 1 else b"P6"
    stream.write(b"%s\n%d %d\n65535\n" % (kind, width, height))
    stream.writelines(rows.astype(">u2").tobytes() for rows in _strips(picture))


def write_tiff(stream: BinaryIO, pages: Sequence[Picture]) -> None:
    """Write pages of 8 or 16 bits a channel as a TIFF, with their alpha, profile and metadata.

    The file follows revision 6.0 of the specification, with compression 8 of Adobe's supplement 2.
    Each page is a directory of tags, followed by its strips of compressed rows.

    Raises:
        ValueError: The file would be larger than 4 GiB.
    """
    pointer = None
    for page in pages:
        # TIFF requires that a directory begins at an even offset.
        stream.write(bytes(stream.tell() % 2))
        if pointer is not None:
            end = stream.tell()
            stream.seek(pointer)
            stream.write(struct.pack("<L", end))
            stream.seek(end)
        pointer = _write_page(stream, page)


def _write_page(stream: BinaryIO, picture: Picture) -> int:
    """Write a page of a TIFF; return the offset of the pointer to the next page."""
    little_endian = picture.pixels.dtype.newbyteorder("<")
    strips = [
        zlib.compress(_differences(rows).astype(little_endian).tobytes(), _COMPRESSION)
        for rows in _strips(picture)
    ]
    lengths = [len(strip) for strip in strips]
    # Offsets have 32 bits; some room is left for the directory.
    if stream.tell() + sum(lengths) > 2**32 - 2**24:
        raise ValueError("a TIFF holds no more than 4 GiB")

    height, width = picture.size
    tags = ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    # Tags have the numbers of the specification.
    for tag, value in {
        **tiff_tags(picture.metadata),
        256: width,
        257: height,
        258: (picture.pixels.itemsize * 8,) * picture.channels,
        259: 8,  # compression: deflate
        262: 1 if picture.pixels.shape[2] == 1 else 2,  # 1: gray whose black is 0; 2: RGB
        # Offsets of the strips from the end of the directory; Pillow adds the position of this end.
        273: tuple(itertools.accumulate(lengths[:-1], initial=0)),
        277: picture.channels,
        278: STRIP_ROWS,
        279: tuple(lengths),
        317: 2,  # values are differences from the left neighbor
        338: None if picture.alpha is None else 2,  # 2: colors are not multiplied by alpha
        PROFILE_TAG: picture.icc or None,
    }.items():
        if value is not None:
            tags[tag] = value
    start = max(stream.tell(), _TIFF_HEADER)
    tags.save(stream)
    stream.writelines(strips)
    return start + 2 + 12 * len(tags)


def _strips(picture: Picture) -> Iterator[Values]:
    """Yield strips of rows ``(R, W, 1 to 4)``; the alpha, if any, is the last channel."""
    for top in range(0, picture.size[0], STRIP_ROWS):
        yield picture.joined(slice(top, top + STRIP_ROWS))


def _differences(rows: Values) -> Values:
    """Subtract the left neighbor from each pixel ``(R, W, C)``; the results compress well."""
    # Negative differences wrap around, as PNG and TIFF require.
    differences = rows.copy()
    differences[:, 1:] -= rows[:, :-1]
    return differences
