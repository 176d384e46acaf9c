"""Files are found once each, and written to a temporary name, then renamed: nothing is ever
half-written.
"""

import contextlib
import functools
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from caelab.errors import InputError

_UMASK_LOCK = threading.Lock()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` on success, remove it on any
    error.

    The temporary name keeps the suffix, so that writers that choose a format by it are not misled.
    The data is flushed to the disk before the rename, so a crash leaves either the old file or the
    new one.

    Raises:
        InputError: The folder cannot be written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}. Choose another place, or make it writable."
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(_permissions())
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}. Nothing was left behind."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object from ``file``.

    Raises:
        InputError: The file is missing or damaged.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} should hold a JSON object, not {type(content).__name__}.")
    return content


def require_space(folder: Path, needed: int) -> None:
    """Raise unless the file system that holds ``folder`` has ``needed`` bytes free.

    Raises:
        InputError: There is less, and the message says how much of each.
    """
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise InputError(
            f"too little disk for {folder}: {needed / 1e6:.0f} MB are needed and {free / 1e6:.0f}"
            " MB are free. Free some, or choose another place."
        )


def find_files(
    folder: Path, *, suffixes: Collection[str], recursive: bool = True
) -> Iterator[Path]:
    """Yield the files in a folder by their suffix, sorted; hidden ones are left out, links are
    followed.

    Args:
        folder: Where to look.
        suffixes: In lower case, with the dot; those of the files may be in any.
        recursive: Also in the folders below, each of which is entered once, however links lead.
    """
    entered: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        identity = Path(place).stat()
        if (identity.st_dev, identity.st_ino) in entered:
            folders.clear()
            continue
        entered.add((identity.st_dev, identity.st_ino))
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            if path.suffix.lower() in suffixes and not name.startswith(".") and path.is_file():
                yield path


def _permissions() -> int:
    """What an ordinary new file gets."""
    with _UMASK_LOCK:
        return 0o666 & ~_umask()


@functools.cache
def _umask() -> int:
    """The process's mask, which can only be read by changing it: once, and by one thread."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
