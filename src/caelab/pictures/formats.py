"""The picture formats: suffixes, what each can store, and the packages that some need."""

import importlib
import importlib.util
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from caelab.errors import InputError, install_command


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of picture files.

    Attributes:
        name: Pillow's name of the format.
        suffixes: Suffixes of its files in lower case. The first one is for results whose source has
            a suffix of another format.
        holds: What it can store besides 8 bits per channel: ``"alpha"``, ``"16 bits"``,
            ``"16 bits of gray"``, ``"pages"``, ``"animation"``, ``"profile"`` and the names of
            attributes of ``Metadata``.
        package: Name on PyPI of the package that Pillow needs for the format; ``None`` if Pillow
            needs none.
        module: Module to import from the package.
        written: True if results can be written in this format.
    """

    name: str
    suffixes: tuple[str, ...]
    holds: frozenset[str]
    package: str | None = None
    module: str = ""
    written: bool = True

    @property
    def available(self) -> bool:
        """True if the package that the format needs is installed, or the format needs none."""
        return self.package is None or importlib.util.find_spec(self.module) is not None

    def load(self) -> None:
        """Register the format in Pillow if the format needs a package."""
        if self.package is not None:
            plugin = importlib.import_module(self.module)
            if self.name == "HEIF":
                plugin.register_heif_opener()

    @property
    def install(self) -> str:
        """Part of a message that says how to install the package."""
        return f"install {self.package}: {install_command('formats')}"


_PHOTOGRAPH = {"alpha", "profile", "exif", "xmp"}

FORMATS = {
    each.name: each
    for each in (
        Format(name="AVIF", suffixes=(".avif",), holds=frozenset({*_PHOTOGRAPH, "animation"})),
        Format(name="BMP", suffixes=(".bmp",), holds=frozenset({"resolution"})),
        # The 256 colors of a GIF are too few for results.
        Format(name="GIF", suffixes=(".gif",), holds=frozenset(), written=False),
        Format(
            name="JPEG",
            suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
            holds=frozenset(
                {"profile", "exif", "xmp", "iptc", "comments", "resolution", "jpeg_coding"}
            ),
        ),
        # Pillow writes 16-bit JPEG 2000 only for gray, and never writes its color profile.
        Format(
            name="JPEG2000",
            suffixes=(".jp2",),
            holds=frozenset({"alpha", "16 bits of gray", "exif", "xmp", "comments"}),
        ),
        Format(
            name="PNG",
            suffixes=(".png", ".apng"),
            holds=frozenset(
                {*_PHOTOGRAPH, "16 bits", "animation", "comments", "resolution", "png_chunks"}
            ),
        ),
        Format(name="PPM", suffixes=(".ppm", ".pgm", ".pbm", ".pnm"), holds=frozenset({"16 bits"})),
        Format(
            name="TIFF",
            suffixes=(".tiff", ".tif"),
            holds=frozenset({*_PHOTOGRAPH, "16 bits", "pages", "iptc", "resolution"}),
        ),
        Format(name="WEBP", suffixes=(".webp",), holds=frozenset({*_PHOTOGRAPH, "animation"})),
        Format(
            name="HEIF",
            suffixes=(".heic", ".heif", ".hif"),
            holds=frozenset(_PHOTOGRAPH),
            package="pillow-heif",
            module="pillow_heif",
        ),
        Format(
            name="JXL",
            suffixes=(".jxl",),
            holds=frozenset({"alpha", "exif", "xmp"}),
            package="pillow-jxl-plugin",
            module="pillow_jxl",
        ),
    )
}
"""The formats that are read, by Pillow's name. Other formats are refused, because Pillow starts
external programs to read some of them."""

SUFFIX_FORMATS = {suffix: each for each in FORMATS.values() for suffix in each.suffixes}
"""Format of each suffix of the files that are read."""

WRITTEN_SUFFIXES = tuple(suffix for suffix, each in SUFFIX_FORMATS.items() if each.written)
"""Suffixes of the files that are written."""

SIGNATURE_BYTES = 64
"""Number of bytes at the beginning of a file from which its format is recognized."""

_HEVC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
_JXL_SIGNATURES = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a")


_JPEG = b"\xff\xd8\xff"
# Last bytes of a picture, by its first bytes.
_ENDS = {b"\x89PNG": b"IEND\xaeB`\x82", b"GIF8": b"\0;", _JPEG: b"\xff\xd9"}
_BEGINNING = re.compile(
    rb"(\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*|P[1-6]\s)", re.DOTALL
)
_PNM_HEADER = re.compile(rb"P([56])(?:\s+(?:#.*\n\s*)*)(\d{1,9})\s+(\d{1,9})\s+(\d{1,5})\s")


def is_picture_suffix(suffix: str) -> bool:
    """Return whether Pillow knows a lower-case suffix, so that a path with it means a file.

    >>> is_picture_suffix(".jxl"), is_picture_suffix(".pdf"), is_picture_suffix(".d")
    (True, True, False)
    """
    return suffix in SUFFIX_FORMATS or suffix in Image.registered_extensions()


def prepare(content: bytes) -> list[str]:
    """Return the formats that Pillow may try for a file's content, and load the plugin if needed.

    Raises:
        InputError: A package is missing. The message begins with "is", to follow the file's name.
    """
    Image.init()  # registers the plugins; a build of Pillow may lack some
    needed = _format_of_a_package(content[:SIGNATURE_BYTES])
    if needed is None:
        return [name for name, each in FORMATS.items() if not each.package and name in Image.OPEN]
    if not needed.available:
        raise InputError(f"is a picture of the format {needed.name}; to read it, {needed.install}.")
    needed.load()
    return [needed.name]


def holds_several(content: bytes) -> bool:
    r"""Return whether the content is a PNG, JPEG, GIF, PNM or WebP that another picture follows.

    >>> gif = b"GIF89a ... \0;"
    >>> holds_several(gif), holds_several(gif + gif)
    (False, True)
    """
    if content.startswith(b"RIFF"):
        size = int.from_bytes(content[4:8], "little") + 8
        return _BEGINNING.match(content, size + size % 2) is not None
    if match := _PNM_HEADER.match(content):
        kind, width, height, most = match.groups()
        row = int(width) * (3 if kind == b"6" else 1) * (2 if int(most) > 255 else 1)
        return _BEGINNING.match(content, match.end() + row * int(height)) is not None
    for beginning, end in _ENDS.items():
        if content.startswith(beginning):
            start = _jpeg_scan(content) if beginning == _JPEG else 0
            following = re.compile(re.escape(end) + _BEGINNING.pattern, re.DOTALL)
            return start is not None and following.search(content, start) is not None
    return False


def _jpeg_scan(content: bytes) -> int | None:
    """Return the position of a JPEG's pixel data; ``None`` for a Multi-Picture Format file."""
    position = 2
    # Segments are skipped, because they may contain previews, which are whole pictures.
    while position + 4 <= len(content) and content[position + 1] != 0xDA:
        if content[position + 4 : position + 8] == b"MPF\0":
            return None
        position += 2 + int.from_bytes(content[position + 2 : position + 4])
    return position


def jxl_pixels(content: bytes) -> int:
    """Return how many pixels a JPEG XL claims to have, before its plugin decodes them.

    Raises:
        ValueError: The content holds no picture.

    >>> jxl_pixels(bytes([0xFF, 0x0A, 0b0100_0011]) + bytes(8))  # 16 by 16 pixels
    256
    """
    bits = int.from_bytes(_jxl_codestream(content)[2:18], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    across, down = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[take(3)]
    return height * (height * across // down if across else side())


def _jxl_codestream(content: bytes) -> bytes:
    """Return the first bytes of the codestream, which may be in a box of a container file."""
    if content.startswith(_JXL_SIGNATURES[0]):
        return content
    for name, box in boxes(content):
        if name in (b"jxlc", b"jxlp"):
            # The box "jxlp" begins with the number of its part, in four bytes.
            return box[4 * (name == b"jxlp") :][:32]
    raise ValueError("it holds no picture")


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    r"""Yield names and contents of the boxes of a JPEG 2000 or a JPEG XL.

    >>> list(boxes(b"\0\0\0\x0bnameabc" + b"\0\0\0\0restab"))
    [(b'name', b'abc'), (b'rest', b'ab')]
    """
    position = 0
    while position + 8 <= len(content):
        size, name = struct.unpack_from(">L4s", content, position)
        head = 8
        if size == 1:
            size, head = int.from_bytes(content[position + 8 : position + 16]), 16
        if size == 0:
            size = len(content) - position
        if size < head:
            return
        yield name, content[position + head : position + size]
        position += size


def written_suffix(path: Path) -> str:
    """Return the suffix of the result of a picture file.

    It is the file's own suffix if results can be written with it, otherwise a suffix of the format
    of the content. It is ``.png`` if the content's format is not written, and for files that cannot
    be read, which are reported later.

    >>> written_suffix(Path("animation.gif"))
    '.png'
    """
    suffix = path.suffix
    named = SUFFIX_FORMATS.get(suffix.lower())
    if suffix.lower() in {".pgm", ".pbm"}:
        return ".pnm"  # the result may have colors, which PGM and PBM cannot hold
    # Results are written in the format of their suffix, so the content need not be read.
    if named is not None and named.written and named.package is None:
        return suffix
    found = None
    try:
        with path.open("rb") as stream:
            begin = stream.read(SIGNATURE_BYTES)
            found = _format_of_a_package(begin)
            if found is None:
                stream.seek(0)
                with Image.open(stream, formats=prepare(begin)) as opened:
                    found = format_of(opened)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        found = named
    if found is None or not found.written:
        return ".png"
    return suffix if found is named else found.suffixes[0]


def format_of(opened: Image.Image) -> Format:
    """Return the format of an opened file."""
    # MPO is a JPEG with a second picture, such as the brightness map of a telephone's camera.
    return FORMATS["JPEG" if opened.format == "MPO" else opened.format or "PNG"]


def _format_of_a_package(begin: bytes) -> Format | None:
    """Recognize a format that needs a package by a file's first bytes; ``None`` for others."""
    # A HEIF begins with the box "ftyp", whose brands name the encoding.
    if begin[4:8] == b"ftyp" and any(brand in begin for brand in _HEVC_BRANDS):
        return FORMATS["HEIF"]
    return FORMATS["JXL"] if begin.startswith(_JXL_SIGNATURES) else None
