"""TIFF of 8 or 16 bits a channel, compressed, with alpha, profile and EXIF: Pillow keeps these only
in part.
"""

import itertools
import zlib
from typing import BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from caelab.pictures.picture import KEPT_DIRECTORIES, KEPT_TAGS, Picture

STRIP_ROWS = 64

_HEADER = b"II*\0\0\0\0\0"
_DEFLATE, _DIFFERENCES, _UNASSOCIATED = 8, 2, 2


def write_tiff(stream: BinaryIO, picture: Picture) -> None:
    """Write a TIFF (revision 6.0; compression 8, of Adobe's supplement 2): the directory, then the
    strips.

    Raises:
        ValueError: It would be larger than 4 GiB.
    """
    height, width = picture.size
    channels = picture.pixels.shape[2] + (picture.alpha is not None)
    strips = [
        _compressed(picture, slice(top, top + STRIP_ROWS)) for top in range(0, height, STRIP_ROWS)
    ]
    lengths = [len(strip) for strip in strips]
    if sum(lengths) > 2**32 - 2**24:
        raise ValueError("a TIFF holds no more than 4 GiB")

    tags = ImageFileDirectory_v2(_HEADER)
    _describe(tags, picture.exif)
    tags[256], tags[257], tags[277] = width, height, channels
    tags[258] = (picture.pixels.dtype.itemsize * 8,) * channels
    tags[259], tags[317] = _DEFLATE, _DIFFERENCES
    tags[262] = 1 if picture.pixels.shape[2] == 1 else 2
    # Counted from the end of the directory; Pillow adds where that is.
    tags[273] = tuple(itertools.accumulate(lengths[:-1], initial=0))
    tags[278], tags[279] = STRIP_ROWS, tuple(lengths)
    if picture.alpha is not None:
        tags[338] = _UNASSOCIATED
    if picture.icc:
        tags[34675] = picture.icc
    tags.save(stream)
    stream.writelines(strips)


def _compressed(picture: Picture, rows: slice) -> bytes:
    values = picture.joined(rows)
    differences = values.copy()
    differences[:, 1:] -= values[:, :-1]
    return zlib.compress(differences.astype(differences.dtype.newbyteorder("<")).tobytes(), 4)


def _describe(tags: ImageFileDirectory_v2, content: bytes) -> None:
    exif = Image.Exif()
    exif.load(content)
    for tag in KEPT_TAGS:
        if tag in exif:
            tags[tag] = exif[tag]
    for tag in KEPT_DIRECTORIES:
        if directory := exif.get_ifd(tag):
            tags[tag] = directory
