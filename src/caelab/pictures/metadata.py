"""Read the metadata of picture files with Pillow, and prepare them for writing to a result."""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from PIL import Image, ImageFile, JpegImagePlugin, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from caelab.pictures.formats import Format, boxes

ORIENTATION = 0x0112
"""Number of EXIF's tag for the orientation."""

RESOLUTION_TAGS = (282, 283, 296)
"""Numbers of the TIFF tags for the horizontal and vertical resolution, and for their unit."""

KEPT_TAGS = (
    # Document name, description, camera maker, camera model and resolution.
    *(269, 270, 271, 272, *RESOLUTION_TAGS),
    # Page name, page number, software, date, artist and host computer.
    *(285, 297, 305, 306, 315, 316),
    # Rating, rating in percent and copyright.
    *(18246, 18249, 33432),
    # Title, comment, author, keywords and subject, as Windows stores them.
    *(40091, 40092, 40093, 40094, 40095),
    # The position of a map (GeoTIFF).
    *(33550, 33922, 34264, 34735, 34736, 34737),
)
"""Numbers of the TIFF tags that are copied to a result."""

KEPT_DIRECTORIES = (34665, 34853)
"""Numbers of the TIFF tags for two EXIF directories that are copied to a result: the settings of
the camera, and the location."""

XMP_TAG, IPTC_TAG, PROFILE_TAG = 700, 33723, 34675
"""Numbers of the TIFF tags for XMP, IPTC and the color profile."""

# A segment of a JPEG with metadata begins with a prefix that names the kind of metadata.
_EXIF_PREFIX = b"Exif\0\0"
_XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_EXTENSION_PREFIX = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP_PREFIX = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404
"""Number of the IPTC block among the resources that Photoshop stores in one segment."""

MAX_SEGMENT = 65533 - len(_XMP_PREFIX)
"""Largest number of bytes of metadata in one segment of a JPEG, without the prefix."""

_PNG_CHUNKS = (b"cHRM", b"cICP", b"gAMA", b"sRGB", b"tEXt", b"zTXt", b"iTXt")
"""Kinds of PNG chunks that are copied: four describe the color space, and three contain texts."""

_PNG_XMP = b"XML:com.adobe.xmp\0"
_PNG_TEXTS_ELSEWHERE = (_PNG_XMP, *(b"Raw profile type " + kind for kind in (b"exif", b"APP1")))
"""First bytes of PNG texts that are not copied, because they contain XMP or EXIF, which are kept
separately."""

_SEGMENTS = ("exif", "xmp", "iptc", "comments")
"""Attributes of ``Metadata`` that a JPEG stores in segments, which limit their length."""

_JP2_KINDS = {
    "exif": b"JpgTiffExif->JP2",
    "xmp": bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC"),
}
"""First bytes of the boxes in a JPEG 2000 that contain these attributes of ``Metadata``."""

_OPENJPEG = b"Created by OpenJPEG"
"""First bytes of a JPEG 2000 comment that only names the encoder, and therefore is not kept."""

_GIF_XMP = b"\x21\xff\x0bXMP DataXMP"
_GIF_XMP_END = b"\x01\xff\xfe\xfd\xfc\xfb\xfa"
"""Bytes before and after the XMP of a GIF."""

_NAMES = {
    "exif": "EXIF",
    "xmp": "XMP",
    "iptc": "IPTC",
    "comments": "comments",
    "resolution": "resolution",
    "png_chunks": "PNG texts",
}
"""Names of the attributes of ``Metadata`` in notes to the user."""


@dataclass(frozen=True, kw_only=True)
class JpegCoding:
    """Compression settings of a JPEG file, which are used again for the result.

    Attributes:
        tables: Quantization tables of 64 numbers each.
        subsampling: Chroma subsampling in Pillow's numbers: 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0.
        progressive: True for a progressive JPEG.
        xmp_extensions: Contents of the further segments of an XMP packet that is too long for one
            segment.
    """

    tables: tuple[tuple[int, ...], ...]
    subsampling: int = 0
    progressive: bool = False
    xmp_extensions: tuple[bytes, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Metadata:
    r"""Metadata of a picture file; an attribute is empty if the file has none of this kind.

    Attributes:
        exif: EXIF with the prefix ``Exif\0\0``, the orientation 1 (upright) and no thumbnail.
        xmp: XMP packet.
        iptc: IPTC-IIM block.
        comments: Comments of a JPEG, a JPEG 2000 or a GIF.
        resolution: Horizontal and vertical resolution in pixels per inch.
        png_chunks: Names and contents of PNG chunks with texts or a description of the color space.
        jpeg_coding: Compression settings of a JPEG; ``None`` for other formats.
    """

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    comments: tuple[bytes, ...] = ()
    resolution: tuple[float, float] | None = None
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    jpeg_coding: JpegCoding | None = None

    def held_by(self, format_: Format) -> tuple["Metadata", list[str]]:
        """Return the metadata that a format can store, and the names of the kinds that are lost."""

        def kept(name: str) -> bool:
            value = getattr(self, name)
            too_long = (
                format_.name == "JPEG" and name in _SEGMENTS and _longest(value) > MAX_SEGMENT
            )
            return name in format_.holds and not too_long

        lost: dict[str, Any] = {
            field.name: field.default
            for field in fields(self)
            if getattr(self, field.name) != field.default and not kept(field.name)
        }
        return replace(self, **lost), [_NAMES[name] for name in lost if name in _NAMES]


def read_metadata(opened: ImageFile.ImageFile, content: bytes) -> tuple[Metadata, int, list[str]]:
    """Read the metadata of a picture, and set the orientation in them to upright.

    Args:
        opened: Pillow's image, whose pixels have not been decoded yet.
        content: Content of the picture's file.

    Returns:
        The metadata, the orientation that the file states (1 for upright, up to 8), and notes for
        the user on what is damaged.
    """
    for name, value in _from_boxes(opened.format, content):
        opened.info[name] = value
    exif, orientation, notes = _exif(opened)
    info = opened.info
    if isinstance(opened, TiffImagePlugin.TiffImageFile):
        # The tags belong to the current page. Pillow's `info` may keep values of an earlier page.
        tags = opened.tag_v2
        info = {
            "xmp": tags.get(XMP_TAG),
            "dpi": info.get("dpi") if RESOLUTION_TAGS[0] in tags else None,
        }
    xmp = info.get("xmp") or _gif_xmp(content) or b""
    if isinstance(xmp, str):
        xmp = xmp.encode()
    metadata = Metadata(
        exif=exif,
        # XMP may state the orientation too. Pillow uses it if EXIF states none, so it becomes 1.
        xmp=re.sub(rb'(tiff:Orientation(="|>))[0-9]', rb"\g<1>1", _bytes(xmp)),
        iptc=_iptc(opened),
        resolution=_resolution(info.get("dpi")),
        png_chunks=tuple(_png_chunks(content)) if opened.format == "PNG" else (),
    )
    comment = _bytes(info.get("comment"))
    comments: tuple[bytes, ...] = () if not comment or comment.startswith(_OPENJPEG) else (comment,)
    if isinstance(opened, JpegImagePlugin.JpegImageFile):
        comments = tuple(data for name, data in opened.applist if name == "COM")
        metadata = replace(metadata, jpeg_coding=_jpeg_coding(opened))
    return replace(metadata, comments=comments), orientation, notes


def pillow_options(metadata: Metadata, format_: str) -> dict[str, Any]:
    """Return the options for Pillow's ``save`` that store the metadata in a format."""
    options: dict[str, Any] = {}
    if metadata.exif:
        # Only a JPEG stores the prefix, and Pillow does not remove it for every other format.
        options["exif"] = metadata.exif.removeprefix(b"" if format_ == "JPEG" else _EXIF_PREFIX)
    if metadata.resolution:
        options["dpi"] = metadata.resolution
    if format_ == "JPEG":
        options["extra"] = b"".join(
            b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data
            for marker, data in _jpeg_segments(metadata)
        )
        if coding := metadata.jpeg_coding:
            options |= {
                "qtables": [list(table) for table in coding.tables],
                "subsampling": coding.subsampling,
                "progressive": coding.progressive,
            }
    elif format_ == "PNG":
        info = PngInfo()
        for name, data in png_chunks(metadata):
            info.add(name, data)
        options["pnginfo"] = info
    elif format_ == "JPEG2000" and metadata.comments:
        options["comment"] = metadata.comments[0]
    elif metadata.xmp:
        options["xmp"] = metadata.xmp
    return options


def png_chunks(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and contents of the PNG chunks with texts, the color space, comments and XMP."""
    yield from metadata.png_chunks
    for comment in metadata.comments:
        yield b"tEXt", b"Comment\0" + comment
    if metadata.xmp:
        yield b"iTXt", _PNG_XMP + bytes(4) + metadata.xmp


def tiff_tags(metadata: Metadata) -> dict[int, Any]:
    """Return TIFF tags with the metadata: values by the tag's number, ``None`` for missing ones."""
    exif = Image.Exif()
    exif.load(metadata.exif)
    tags = {tag: exif.get(tag) for tag in KEPT_TAGS}
    tags |= {tag: exif.get_ifd(tag) or None for tag in KEPT_DIRECTORIES}
    if metadata.resolution and not all(tags[tag] for tag in RESOLUTION_TAGS[:2]):
        # Unit 2 means pixels per inch.
        tags |= dict(zip(RESOLUTION_TAGS, (*metadata.resolution, 2), strict=True))
    return tags | {XMP_TAG: metadata.xmp or None, IPTC_TAG: metadata.iptc or None}


def _longest(value: bytes | tuple[bytes, ...]) -> int:
    """Return the length of a value, or of the longest value in a tuple, in bytes."""
    return len(value) if isinstance(value, bytes) else max(map(len, value), default=0)


def _bytes(value: object) -> bytes:
    """Return a value that is bytes; for other values, as in damaged files, return empty bytes."""
    return value if isinstance(value, bytes) else b""


def _resolution(value: object) -> tuple[float, float] | None:
    """Return a plausible resolution in pixels per inch; ``None`` for any other value."""
    try:
        across, down = map(float, value)  # type: ignore[call-overload]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    # Some programs write 1 if they do not know the resolution.
    sensible = all(math.isfinite(each) and 1 < each < 2**16 for each in (across, down))
    return (across, down) if sensible else None


def _from_boxes(format_: str | None, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of metadata that Pillow does not read from JPEG 2000 and JPEG XL."""
    if format_ not in ("JPEG2000", "JXL"):
        return
    for name, box in boxes(content):
        for key, kind in _JP2_KINDS.items() if name == b"uuid" else ():
            if box.startswith(kind):
                yield key, box.removeprefix(kind)
        if name == b"xml " and format_ == "JXL":
            yield "xmp", box


def jp2_boxes(metadata: Metadata) -> bytes:
    """Return boxes with EXIF and XMP, which are appended to a JPEG 2000 as ExifTool does."""
    contents = {"exif": metadata.exif.removeprefix(_EXIF_PREFIX), "xmp": metadata.xmp}
    return b"".join(
        struct.pack(">L4s", 8 + len(kind) + len(contents[key]), b"uuid") + kind + contents[key]
        for key, kind in _JP2_KINDS.items()
        if contents[key]
    )


def _gif_xmp(content: bytes) -> bytes:
    """Return the XMP of a GIF, which Pillow does not read."""
    if content.startswith(b"GIF8"):
        begin, end = (content.find(mark) for mark in (_GIF_XMP, _GIF_XMP_END))
        if 0 <= begin < end:
            return content[begin + len(_GIF_XMP) : end]
    return b""


def _exif(opened: ImageFile.ImageFile) -> tuple[bytes, int, list[str]]:
    """Return EXIF changed to upright, its original orientation, and notes; drop damaged EXIF."""
    try:
        found = opened.getexif()
        orientation = int(found.get(ORIENTATION, 1))
        if opened.format == "TIFF":
            kept = Image.Exif()
            kept.load(found.tobytes())
            # Other tags of a TIFF say how its pixels are stored, which is different in the result.
            for tag in set(kept) - {*KEPT_TAGS, *KEPT_DIRECTORIES}:
                del kept[tag]
            # The orientation is 1, because Pillow itself turns a TIFF upright.
            return (kept.tobytes() if len(kept) else b""), 1, []
        exif = _bytes(opened.info.get("exif")).removeprefix(_EXIF_PREFIX)
        if opened.format == "JXL" and not getattr(opened, "jpeg", False):
            orientation = 1  # the decoder turns pictures upright, unless made from a JPEG
        return (_EXIF_PREFIX + _upright(exif) if exif else b""), orientation, []
    # Pillow and `struct` raise these errors for damaged EXIF. The picture is read without it.
    except (
        *(OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error),
        *(ArithmeticError, AssertionError, AttributeError),
    ):
        return b"", 1, ["its EXIF is damaged and was left out"]


def _upright(exif: bytes) -> bytes:
    """Set the orientation of EXIF to 1, and remove the thumbnail of the source.

    All other bytes keep their position, because the camera's maker notes contain offsets.

    Raises:
        struct.error: The EXIF is damaged.
        KeyError: The bytes are not EXIF.
    """
    order = {b"II": "<", b"MM": ">"}[exif[:2]]
    upright = bytearray(exif)
    (start,) = struct.unpack_from(f"{order}L", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    end = start + 2 + 12 * count
    for entry in range(start + 2, end, 12):
        if struct.unpack_from(f"{order}H", exif, entry) == (ORIENTATION,):
            # The orientation is one value of type 3, which has 16 bits.
            struct.pack_into(f"{order}HLHH", upright, entry + 2, 3, 1, 1, 0)
    # The entries are followed by the position of the thumbnail's directory. 0 means no thumbnail.
    if end + 4 <= len(exif):
        struct.pack_into(f"{order}L", upright, end, 0)
    return bytes(upright)


def _iptc(opened: ImageFile.ImageFile) -> bytes:
    """Return the IPTC block of a JPEG or a TIFF; empty if the file has none."""
    photoshop = opened.info.get("photoshop")
    if isinstance(photoshop, dict):
        return _bytes(photoshop.get(_IPTC_RESOURCE))
    if not isinstance(opened, TiffImagePlugin.TiffImageFile):
        return b""
    # Some programs store IPTC as 32-bit numbers, of which `tag_v2` would return only the first. The
    # raw data are complete; Pillow's own reader of IPTC also uses them.
    return _bytes(getattr(opened.tag_v2, "_tagdata", {}).get(IPTC_TAG))


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and contents of the PNG chunks that are kept."""
    # The file itself is read, because Pillow does not tell the kind of chunk that a text was in.
    position = 8
    while position + 12 <= len(content):
        length, name = struct.unpack_from(">L4s", content, position)
        data = content[position + 8 : position + 8 + length]
        if (
            name in _PNG_CHUNKS
            and len(data) == length
            and not data.startswith(_PNG_TEXTS_ELSEWHERE)
        ):
            yield name, data
        position += 12 + length


def _jpeg_coding(opened: JpegImagePlugin.JpegImageFile) -> JpegCoding | None:
    """Return a JPEG's compression settings; ``None`` if its tables are not of 64 numbers each."""
    tables = tuple(tuple(table) for _, table in sorted(opened.quantization.items()))
    if not tables or any(len(table) != 64 for table in tables):
        return None
    return JpegCoding(
        tables=tables,
        # Pillow returns −1 for gray, which has no chroma. A colored result gets 4:4:4.
        subsampling=max(0, JpegImagePlugin.get_sampling(opened)),
        progressive=bool(opened.info.get("progressive")),
        xmp_extensions=tuple(
            data
            for name, data in opened.applist
            if name == "APP1" and data.startswith(_XMP_EXTENSION_PREFIX)
        ),
    )


def _jpeg_segments(metadata: Metadata) -> Iterator[tuple[int, bytes]]:
    """Yield markers and contents of the JPEG segments that Pillow itself does not write."""
    if metadata.xmp:
        yield 0xE1, _XMP_PREFIX + metadata.xmp
        if metadata.jpeg_coding:
            yield from ((0xE1, extension) for extension in metadata.jpeg_coding.xmp_extensions)
    if metadata.iptc:
        padding = bytes(len(metadata.iptc) % 2)
        length = struct.pack(">HxxL", _IPTC_RESOURCE, len(metadata.iptc))
        yield 0xED, _PHOTOSHOP_PREFIX + b"8BIM" + length + metadata.iptc + padding
    for comment in metadata.comments:
        yield 0xFE, comment
