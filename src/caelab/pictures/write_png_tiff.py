"""Write what Pillow cannot write: 16-bit PNG and PNM, and TIFF with its metadata.

``tifffile`` (a dependency of scikit-image) writes neither the EXIF nor the GPS directory, which
Pillow's ``ImageFileDirectory_v2`` does; no library among the dependencies writes 16-bit RGB PNG.
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
"""Rows that are compressed at a time, so that memory does not grow with the picture."""

_COMPRESSION = 4
"""zlib's level. Higher levels save a few percent and take several times as long."""

_TIFF_HEADER = 8

_PNG_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Number of channels to PNG's color type: gray, gray with alpha, RGB, RGBA."""

_PNG_FILTER_SUB = 1
"""PNG's filter that subtracts the left neighbor from each byte."""


def write_png(stream: BinaryIO, picture: Picture) -> None:
    """Write a 16-bit PNG (specification, third edition) with alpha, profile and EXIF."""
    height, width = picture.size
    color_type = _PNG_COLOR_TYPES[picture.channels]
    stream.write(b"\x89PNG\r\n\x1a\n")
    putchunk(stream, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0))
    if picture.icc:
        putchunk(stream, b"iCCP", b"ICC Profile\0\0", zlib.compress(picture.icc))
    metadata = picture.metadata
    if metadata.resolution:
        # Per meter; an inch is 0.0254 m.
        across, down = (round(each / 0.0254) for each in metadata.resolution)
        putchunk(stream, b"pHYs", struct.pack(">LLB", across, down, 1))
    for name, content in png_chunks(metadata):
        # Not together with a profile, which would contradict it.
        if not (picture.icc and name == b"sRGB"):
            putchunk(stream, name, content)
    if metadata.exif:
        # PNG holds EXIF without the prefix that JPEG gives it.
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
    """Write a 16-bit PGM or PPM, which contain only values."""
    height, width = picture.size
    kind = b"P5" if picture.channels == 1 else b"P6"
    stream.write(b"%s\n%d %d\n65535\n" % (kind, width, height))
    stream.writelines(rows.astype(">u2").tobytes() for rows in _strips(picture))


def write_tiff(stream: BinaryIO, pages: Sequence[Picture]) -> None:
    """Write a TIFF of 8 or 16 bits (revision 6.0; compression 8, of Adobe's supplement 2).

    The directory of a page with alpha's kind, profile and EXIF comes first, then its strips.

    Raises:
        ValueError: It would be larger than 4 GiB.
    """
    pointer = None
    for page in pages:
        # A directory begins at an even offset.
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
    # The numbers are those of the specification.
    for tag, value in {
        **tiff_tags(picture.metadata),
        256: width,
        257: height,
        258: (picture.pixels.itemsize * 8,) * picture.channels,
        259: 8,  # compression: deflate
        262: 1 if picture.pixels.shape[2] == 1 else 2,  # black is 0; RGB
        # Offsets count from the end of the directory; Pillow adds where that is.
        273: tuple(itertools.accumulate(lengths[:-1], initial=0)),
        277: picture.channels,
        278: STRIP_ROWS,
        279: tuple(lengths),
        317: 2,  # differences between neighbors
        338: None if picture.alpha is None else 2,  # alpha that the colors are not multiplied by
        PROFILE_TAG: picture.icc or None,
    }.items():
        if value is not None:
            tags[tag] = value
    start = max(stream.tell(), _TIFF_HEADER)
    tags.save(stream)
    stream.writelines(strips)
    return start + 2 + 12 * len(tags)


def _strips(picture: Picture) -> Iterator[Values]:
    """Yield the rows in strips, with the alpha after the colors, ``(R, W, 1 to 4)`` each."""
    for top in range(0, picture.size[0], STRIP_ROWS):
        yield picture.joined(slice(top, top + STRIP_ROWS))


def _differences(rows: Values) -> Values:
    """Subtract the left neighbor from each pixel ``(R, W, C)``; the results compress well."""
    # Below 0 they wrap around, as both formats require.
    differences = rows.copy()
    differences[:, 1:] -= rows[:, :-1]
    return differences
