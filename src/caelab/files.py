"""Write files atomically (complete or not at all), read CSV, JSON and TOML, check disk space."""

import contextlib
import csv
import errno
import io
import json
import math
import os
import re
import secrets
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from caelab.errors import InputError

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from numpy.typing import NDArray

ContentT = TypeVar("ContentT")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file next to ``path``; rename it to ``path`` unless there is an error.

    The temporary file has the suffix of ``path``, because some writers choose the format by the
    suffix. The data is flushed to the disk before the rename, so that a crash leaves either the old
    file or the new one. On any error the temporary file is removed.

    Raises:
        InputError: The folder cannot be written to, or the disk is full.
    """
    hint = "Choose another folder, or make it writable."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The file is in the same folder, because a rename is atomic only within one file system.
        with temporary_file(path.parent, path.suffix) as temporary:
            hint = "Nothing was left behind."
            yield temporary
            with temporary.open("rb+") as written:
                # Without this call, the system may rename the file before it writes the content, so
                # that a crash would leave an empty file.
                os.fsync(written.fileno())
            temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}. {hint}") from error


TEMPORARY = ".caelab-"
"""Beginning of the names of temporary files and folders."""

_MAX_SUFFIX = 32
"""Characters of a suffix that a temporary file keeps; a name can have 255 bytes at most."""

_MAX_TRIES = 10
"""Number of names that are tried for a temporary file or folder."""

_cleared: set[Path] = set()
"""Folders in which this process has already removed leftovers."""


@contextlib.contextmanager
def temporary_file(folder: Path, suffix: str = "") -> Iterator[Path]:
    """Yield a new, empty, hidden file in ``folder``, and remove the file at the end of the block.

    If the process is killed, the next process that makes a temporary file in the folder removes it.

    Raises:
        OSError: The file cannot be made.
    """
    with _locked(folder, suffix, lambda path: path.touch(exist_ok=False)) as path:
        try:
            yield path
        finally:
            # If the file cannot be removed now, a later process removes it.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a new hidden folder in ``folder``, and remove it at the end of the block.

    Only this user can open the new folder. If the process is killed, the next process that makes a
    temporary file or folder in ``folder`` removes it.

    Raises:
        OSError: The folder cannot be made.
    """
    with _locked(folder, "", lambda path: path.mkdir(mode=0o700)) as path:
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path, suffix: str, make: Callable[[Path], None]) -> Iterator[Path]:
    """Make a file or folder with a random name, and lock it as long as it is in use."""
    clear_leftovers(folder)
    descriptor: int | None = None
    for _ in range(_MAX_TRIES):
        path = folder / f"{TEMPORARY}{secrets.token_hex(8)}{suffix[:_MAX_SUFFIX]}"
        make(path)
        try:
            descriptor = _lock(path)
        except BlockingIOError:
            continue  # another process or thread takes it for a leftover, and removes it
        except OSError:
            descriptor = None  # some file systems have no locks
        # Another process may have removed the path as a leftover before it was locked.
        if path.exists():
            break
        _unlock(descriptor)
    try:
        yield path
    finally:
        _unlock(descriptor)


def clear_leftovers(folder: Path) -> None:
    """Remove temporary files and folders that killed processes of this user left in ``folder``.

    When a process ends, the system releases its locks. So a temporary file without a lock is a
    leftover. Each process searches a folder only once, because a folder may have many files.
    """
    if (folder := folder.absolute()) in _cleared:
        return
    _cleared.add(folder)
    try:
        found = [entry.path for entry in os.scandir(folder) if entry.name.startswith(TEMPORARY)]
    except OSError:  # the folder does not exist, or cannot be read
        return
    for path in map(Path, found):
        descriptor = None
        with contextlib.suppress(OSError):
            descriptor = _lock(path)
            if descriptor is not None:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        _unlock(descriptor)


def _lock(path: Path) -> int | None:
    """Lock a file or folder of this user; return its descriptor, or ``None`` on Windows.

    Raises:
        OSError: The path cannot be locked, is locked by another process, or belongs to another
            user.
    """
    if sys.platform == "win32":
        return None
    # Other users may have put links or pipes into a shared folder. A link is refused, and opening a
    # pipe does not wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


class BusyError(InputError):
    """Another process is working in the folder."""


@contextlib.contextmanager
def locked(file: Path, *, wait: float, use: str = "trained") -> Iterator[None]:
    """Hold a lock on a folder while the block runs.

    The system releases the lock when the process ends, even if it is killed, so nobody has to
    remove the lock by hand.

    Args:
        file: File of the lock, in the folder that no other process should write to.
        wait: Seconds to wait for the lock; a negative number waits without limit.
        use: What the other process does, for messages: the folder "is being …".

    Raises:
        BusyError: Another process holds the lock.
        InputError: The file cannot be locked.
    """
    import filelock  # only training and image caches need a lock

    lock = filelock.FileLock(file, timeout=wait)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise BusyError(
            f"{file.parent} is being {use} by another process. Wait for it, or stop it."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise InputError(
            f"cannot lock {file}: {error}. Remove it, or choose another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()


def other_files(folder: Path, own: Collection[str] = ()) -> list[str]:
    """Return the names of files in a folder that belong to something else, sorted.

    Temporary files that a killed process left are removed first. The lock is not counted, because
    it may remain when somebody deletes the other files.

    Args:
        folder: The folder; it may not exist.
        own: Names of files that may be in it.
    """
    clear_leftovers(folder)
    if not folder.is_dir():
        return []
    names = {entry.name for entry in folder.iterdir()} - {".lock", *own}
    return sorted(name for name in names if not name.startswith(TEMPORARY))


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write ``content`` to ``path``, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table as CSV, atomically.

    Args:
        path: File to write or replace.
        header: Names of the columns.
        rows: Cells of each row, in the order of the header.

    Raises:
        InputError: The file cannot be written.
    """
    text = io.StringIO()
    # By default, `csv` writes the line ends of Windows.
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_csv(file: Path) -> list[list[str]]:
    """Read the rows of a CSV file, the header first.

    Raises:
        InputError: The file is missing or damaged.
    """
    # With newline="", line ends within quoted cells stay the same.
    return _read(file, lambda text: list(csv.reader(io.StringIO(text, newline=""))))


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object from ``file``.

    Raises:
        InputError: The file is missing or damaged.
    """
    content = _read(file, json.loads)
    if not isinstance(content, dict):
        raise InputError(f"{file} should hold a JSON object, not {type(content).__name__}.")
    return dict(content)


def read_toml(file: Path, kind: str) -> dict[str, Any]:
    """Read a TOML document from ``file``.

    Args:
        file: TOML file.
        kind: Kind of the file for error messages, such as "recipe".

    Raises:
        InputError: The file is missing or malformed; the message has the line and the column.
    """
    return _read(file, tomllib.loads, f"the {kind} ")


def line_of(text: str, path: Sequence[str]) -> int | None:
    r"""Return the number, from 1, of the line that defines a key or table in TOML, or ``None``.

    >>> line_of("epochs = 3\n[loss]\nkind = 'l1'", ["loss", "kind"])
    3

    Args:
        text: Whole TOML text.
        path: Names of the tables that contain the key, the outermost first, and then of the key.
    """
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(rf"\s*\[\s*({_KEYS})\s*\]", line):
            table = defined = _key_names(header[1])
        elif keys := re.match(rf"\s*({_KEYS})\s*=", line):
            defined = table + _key_names(keys[1])
        else:
            continue
        # A dotted key, such as loss.kind, also defines the table loss.
        if defined[: len(path)] == list(path):
            return number
    return None


_KEY = r"""(?:"[^"]*"|'[^']*'|[\w-]+)"""
_KEYS = rf"{_KEY}(?:\s*\.\s*{_KEY})*"


def _key_names(keys: str) -> list[str]:
    return [key.strip("\"'") for key in re.findall(_KEY, keys)]


def read_arrays(file: Path) -> "dict[str, NDArray[Any]]":
    """Return the arrays of an ``.npz`` file by name, each of any shape, without running code in it.

    Pickled objects, which could run code, are refused.

    Raises:
        InputError: The file is missing or damaged.
    """
    import numpy as np

    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return dict(arrays)
    # For damaged files, NumPy, zipfile and zlib raise various errors, and a wrong size in a header
    # can cause a MemoryError.
    except Exception as error:
        raise InputError(f"cannot read {file}: {error}") from error


def _read(file: Path, parse: Callable[[str], ContentT], kind: str = "") -> ContentT:
    try:
        return parse(file.read_bytes().decode())
    except RecursionError as error:
        raise InputError(f"cannot read {kind}{file}: it is nested too deeply.") from error
    except (OSError, ValueError, csv.Error) as error:
        # The text of an OSError would contain its number, and repeat the name of the file.
        why = error.strerror if isinstance(error, OSError) else None
        raise InputError(f"cannot read {kind}{file}: {why or error}") from error


def to_json(document: Any) -> str:
    r"""Return a document as indented JSON text with a final newline.

    Numbers that are not finite become ``null``, because JSON has no such numbers.

    >>> to_json([1.5, float("inf")])
    '[\n  1.5,\n  null\n]\n'
    """
    return json.dumps(finite(document), indent=2, ensure_ascii=False) + "\n"


def finite(value: Any) -> Any:
    """Return a JSON value with ``None`` in place of every number that is not finite."""
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parent folders; do nothing if the folder exists.

    Raises:
        InputError: The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder}: {error.strerror}. Choose another one."
        ) from error


def require_space(folder: Path, needed: int) -> None:
    """Raise unless the file system of ``folder`` has ``needed`` bytes free.

    Raises:
        InputError: There is too little space; the message names both amounts.
    """
    # The folder may not exist yet; its nearest parent is on the same disk.
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise InputError(
            f"too little disk space for {folder}: {needed / 1e6:.0f} MB are needed and"
            f" {free / 1e6:.0f} MB are free. Delete some files, or choose another folder."
        )


def cache_folder() -> Path:
    """Return this user's folder for files that can be made again; it may not exist yet."""
    import pooch  # its import takes longer than the help of a command

    with contextlib.suppress(RuntimeError):
        folder = Path(pooch.os_cache("caelab"))
        if folder.is_absolute():
            return folder
    # In a container the user may have no home folder. Then there is no such folder, or a relative
    # path, which would depend on the current folder.
    user = os.geteuid() if sys.platform != "win32" else ""
    return Path(tempfile.gettempdir()) / f"caelab-cache-{user}"


def without_home(text: str) -> str:
    """Replace the user's home folder by ``~`` in a path, or in a command with paths."""
    try:
        home = str(Path.home())
    except RuntimeError:
        return text
    # Only at the beginning of a path. The folder's name must end there, too: /home/ann is not a
    # part of /home/anna.
    begins = rf"(?<![\w/.~-]){re.escape(home)}(?=[/\\\s]|$)"
    return text if len(home) < 3 else re.sub(begins, "~", text)


def find_files(
    folder: Path, *, suffixes: Collection[str] | None = None, recursive: bool = True
) -> Iterator[Path]:
    """Yield the files of a folder in sorted order, without hidden files and hidden folders.

    Links are followed. Each folder is entered only once, so that a loop of links ends.

    Args:
        folder: Folder to search.
        suffixes: Suffixes of the wanted files, with the dot and in lower case; the files may have
            them in upper case. ``None`` yields all files.
        recursive: True searches the subfolders, too.
    """
    entered: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        # Device and inode identify a folder that can be reached by several links.
        identity = Path(root).stat()
        if (identity.st_dev, identity.st_ino) in entered:
            folders.clear()
            continue
        entered.add((identity.st_dev, identity.st_ino))
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            wanted = suffixes is None or path.suffix.lower() in suffixes
            if wanted and not name.startswith(".") and path.is_file():
                yield path
