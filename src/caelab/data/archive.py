"""Read named files of an untrusted archive into memory, within limits and without extracting."""

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path, PurePosixPath

from caelab.errors import InputError

MEMBER_LIMIT = 64 * 2**20
"""Largest size of a file in an archive, in bytes, by default; a batch of CIFAR-10 has 31 MB."""

TOTAL_LIMIT = 400 * 2**20
"""Largest size of an unpacked archive, in bytes; CIFAR-10 has 186 MB."""

MEMBERS_LIMIT = 10_000
"""Largest number of files and folders in an archive; CIFAR-10 has nine."""

_BLOCK = 512
"""Length of a header in bytes; the contents of files are padded to multiples of it."""


def read_file(file: Path, *, limit: int, kind: str, source: str) -> bytes:
    """Return the bytes of a file of an unpacked data set, if the file is not too large.

    Args:
        file: The file.
        limit: Largest size in bytes.
        kind: What the file should be, for messages, such as "a batch of CIFAR-10".
        source: Name of the archive that contains the file, for messages.

    Raises:
        InputError: The file is larger than ``limit``, or cannot be read.
    """
    try:
        # The size is checked first, because a wrong file of many gigabytes would fill the memory.
        if file.stat().st_size > limit:
            raise InputError(f"{file} is far larger than {kind}. Fetch {source} again.")
        return file.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {file}: {error.strerror}. Make it readable, or fetch it again."
        ) from error


def read_members(
    path: Path, wanted: frozenset[str], *, limit: int | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each wanted file of a ``.tar`` or ``.tar.gz``, in its order.

    Wanted files may be at the top of the archive or one folder below it. All other files are
    skipped. This function reads the headers itself, because :mod:`tarfile` can be kept busy for
    minutes by a few bytes of extended header, and because CIFAR-10 needs only three fields.

    Args:
        path: The archive.
        wanted: Names of the wanted files, without folders.
        limit: Largest size of a wanted file in bytes; ``MEMBER_LIMIT`` by default.

    Raises:
        InputError: The archive is truncated or damaged, would unpack to more than ``TOTAL_LIMIT``
            bytes, has more than ``MEMBERS_LIMIT`` members or names a path outside itself; or a
            wanted file is there twice, is a link or is too large.
    """
    seen: set[str] = set()
    count = 0
    try:
        with _opened(path) as stream:
            # The archive ends with blocks of zeros.
            while (header := stream.read(_BLOCK)).strip(b"\0"):
                # In a header (POSIX ustar), the path is in bytes 0 to 99, the size in octal digits
                # begins at byte 124, and the type is byte 156.
                count += 1
                if count > MEMBERS_LIMIT:
                    raise ValueError(f"it has more than {MEMBERS_LIMIT} members")
                digits = header[124:136].strip(b" \0")
                if not re.fullmatch(rb"[0-7]+", digits):
                    raise ValueError("it holds no tar archive")
                size = int(digits, 8)
                name = _wanted_name(header, wanted)
                # The size in the header is checked before anything is unpacked, because a few
                # kilobytes of gzip can become gigabytes.
                if name and size > (limit or MEMBER_LIMIT):
                    raise ValueError(f"{name} claims {size} bytes")
                _require_bounded(stream.tell() + size)
                padded = -(-size // _BLOCK) * _BLOCK
                if name is None:
                    stream.seek(padded, os.SEEK_CUR)
                    continue
                # Two files of one name are refused, because it is unclear which one is meant.
                if name in seen:
                    raise ValueError(f"{name} is there twice")
                seen.add(name)
                content = stream.read(padded)[:size]
                if len(content) < size:
                    raise EOFError
                yield name, content
            if not header:
                raise EOFError
            while stream.read(2**20):  # only at the end does gzip compare checksums
                _require_bounded(stream.tell())
    except (EOFError, zlib.error, OSError, ValueError) as error:
        reason = str(error) or "it ends too early"
        raise InputError(
            f"{path} cannot be read as a .tar.gz: {reason}. It is damaged, incomplete, or not what"
            " it should be: remove it and fetch it again."
        ) from error


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    # Some browsers unzip an archive but keep its name, so the first two bytes decide.
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")


def _wanted_name(header: bytes, wanted: frozenset[str]) -> str | None:
    """Return the name of a wanted file, without its folder; ``None`` for any other file."""
    path = header[:100].partition(b"\0")[0].decode("latin-1")
    # A path outside the archive is harmless here, because nothing is extracted. But an archive
    # with such a path is no genuine copy of CIFAR-10.
    if re.search(r"^([/\\]|[A-Za-z]:|$)|(^|/)\.\.(/|$)", path):
        raise ValueError(f"it names a place outside itself, {path[:60]!a}")
    *folders, name = PurePosixPath(path).parts or [""]
    if name not in wanted or len(folders) > 1:
        return None
    # The content of a link would be elsewhere, perhaps outside of the archive.
    if header[156:157] not in (b"0", b"\0"):
        raise ValueError(f"{name} is not a plain file")
    return name


def _require_bounded(length: int) -> None:
    if length > TOTAL_LIMIT:
        raise ValueError(f"it unpacks to more than {TOTAL_LIMIT >> 20} MiB")
