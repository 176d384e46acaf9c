"""Reads named members of an untrusted ``.tar.gz`` in memory, within bounds; extracts nothing."""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from caelab.errors import InputError

MEMBER_LIMIT = 64 * 2**20
"""Largest size of a member in bytes; a batch of CIFAR-10 has 31 MB."""

TOTAL_LIMIT = 400 * 2**20
"""Bytes that an archive may unpack to; CIFAR-10 has 186 MB."""


class _BoundedStream:
    """A stream that refuses to give more than a number of bytes in all."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream, self._left = stream, limit

    def read(self, size: int = -1) -> bytes:
        # One byte more than is left, so that exactly the limit is still accepted and one byte above
        # it is noticed.
        bound = self._left + 1
        content = self._stream.read(min(size, bound) if size >= 0 else bound)
        self._left -= len(content)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {TOTAL_LIMIT >> 20} MiB")
        return content


def read_members(path: Path, wanted: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the ``wanted`` files of a ``.tar.gz``, in the archive's order.

    A file is wanted by its bare name, at the top of the archive or one folder down; everything else
    is skipped.

    Raises:
        InputError: The archive is truncated, damaged, unpacks to too much, names a path outside
            itself, or has a wanted file twice, as a link, or too large.
    """
    seen: set[str] = set()
    try:
        with gzip.open(path, "rb") as unpacked:
            stream = _BoundedStream(unpacked, TOTAL_LIMIT)
            with tarfile.open(fileobj=stream, mode="r|", bufsize=2**20) as archive:  # type: ignore[call-overload]
                for member in archive:
                    name = _checked_name(member, wanted, seen)
                    if name is not None:
                        content = archive.extractfile(member)
                        assert content is not None
                        yield name, content.read()
            while stream.read(2**20):  # gzip's checksum stands at the end
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
        reason = str(error) or "it ends too early"
        raise InputError(
            f"{path} cannot be read as a .tar.gz: {reason}. It is damaged, incomplete, or not what"
            " it should be: remove it and fetch it again."
        ) from error


def _checked_name(member: tarfile.TarInfo, wanted: frozenset[str], seen: set[str]) -> str | None:
    """Return the bare name of a wanted file, ``None`` for another; add it to ``seen``."""
    # Nothing is extracted, so such a path could do no harm here. An archive that has one is no
    # honest copy of CIFAR-10 all the same.
    parts = PurePosixPath(member.name).parts
    if not parts or ".." in parts or re.match(r"[/\\]|[A-Za-z]:", member.name):
        raise tarfile.ReadError(f"it names a place outside itself, {member.name[:60]!a}")
    name = parts[-1]
    if name not in wanted or len(parts) > 2:
        return None
    # A link would name the content of another member, or of a file outside.
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise tarfile.ReadError(f"{name} is not a plain file")
    # Of two files with one name, it is unclear which counts.
    if name in seen:
        raise tarfile.ReadError(f"{name} is there twice")
    if not 0 <= member.size <= MEMBER_LIMIT:
        raise tarfile.ReadError(f"{name} claims {member.size} bytes")
    seen.add(name)
    return name
