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
"""Default of the largest size of a member in bytes; a batch of CIFAR-10 has 31 MB."""

TOTAL_LIMIT = 400 * 2**20
"""Bytes that an archive may unpack to; CIFAR-10 has 186 MB."""

MEMBERS_LIMIT = 10_000
"""Members that an archive may have; CIFAR-10 has nine."""

_BLOCK = 512


def read_file(file: Path, *, limit: int, kind: str, source: str) -> bytes:
    """Read a file of a data set.

    Args:
        file: The file.
        limit: Largest size in bytes.
        kind: What the file should be, such as "a batch of CIFAR-10".
        source: Archive that has the file.

    Raises:
        InputError: It is larger, or cannot be read.
    """
    try:
        # Checked before reading, because a wrong file of many gigabytes would fill the memory.
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
    """Yield name and content of some files of a ``.tar.gz`` or ``.tar``, in the archive's order.

    A file is wanted by its bare name, at the top of the archive or one folder down; everything else
    is skipped. The headers are read here and not by :mod:`tarfile`, because CIFAR-10 needs three of
    their fields, and because a few bytes of extended header keep :mod:`tarfile` busy for minutes.

    Args:
        path: The archive.
        wanted: Bare names of the files.
        limit: Largest size of a file in bytes; ``MEMBER_LIMIT`` by default.

    Raises:
        InputError: The archive is truncated, damaged, unpacks to too much, names a path outside
            itself, or has a wanted file twice, as a link, or too large.
    """
    seen: set[str] = set()
    count = 0
    try:
        with _opened(path) as stream:
            # The archive ends with blocks of zeros.
            while (header := stream.read(_BLOCK)).strip(b"\0"):
                # In a header the first 100 bytes are the path; the size is at 124 in octal digits,
                # and the type at 156 (POSIX ustar).
                count += 1
                if count > MEMBERS_LIMIT:
                    raise ValueError(f"it has more than {MEMBERS_LIMIT} members")
                digits = header[124:136].strip(b" \0")
                if not re.fullmatch(rb"[0-7]+", digits):
                    raise ValueError("it holds no tar archive")
                size = int(digits, 8)
                name = _wanted_name(header, wanted)
                # Checked by the header, before anything is unpacked: a few kilobytes of gzip can
                # become gigabytes.
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
            while stream.read(2**20):  # gzip's checksum is at the end
                _require_bounded(stream.tell())
    except (EOFError, zlib.error, OSError, ValueError) as error:
        reason = str(error) or "it ends too early"
        raise InputError(
            f"{path} cannot be read as a .tar.gz: {reason}. It is damaged, incomplete, or not what"
            " it should be: remove it and fetch it again."
        ) from error


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    # By its content, because some browsers unzip an archive and keep its name.
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")


def _wanted_name(header: bytes, wanted: frozenset[str]) -> str | None:
    """Return the bare name of a wanted file from its header, ``None`` for another file."""
    path = header[:100].partition(b"\0")[0].decode("latin-1")
    # Nothing is extracted, so such a path is harmless here. But an archive that has one is no
    # genuine copy of CIFAR-10.
    if re.search(r"^([/\\]|[A-Za-z]:|$)|(^|/)\.\.(/|$)", path):
        raise ValueError(f"it names a place outside itself, {path[:60]!a}")
    *folders, name = PurePosixPath(path).parts or [""]
    if name not in wanted or len(folders) > 1:
        return None
    # A link would refer to another member, or to a file outside of the archive.
    if header[156:157] not in (b"0", b"\0"):
        raise ValueError(f"{name} is not a plain file")
    return name


def _require_bounded(length: int) -> None:
    if length > TOTAL_LIMIT:
        raise ValueError(f"it unpacks to more than {TOTAL_LIMIT >> 20} MiB")
