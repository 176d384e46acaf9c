"""Files that are whole or absent: written under another name and renamed; JSON; free disk space."""

import contextlib
import csv
import io
import json
import math
import os
import re
import secrets
import shutil
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from caelab.errors import InputError

ContentT = TypeVar("ContentT")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file next to ``path``; rename it on success, remove it on any error.

    Its name keeps the suffix, because writers choose a format by it. The data is flushed
    to the disk before the rename, so that a crash leaves either the old file or the new one.

    Raises:
        InputError: The folder cannot be written to, or the disk is full.
    """
    # In the same folder, because a rename is atomic only within one file system.
    # Short enough for any file system, also where the name itself is as long as names can be.
    temporary = path.with_name(f".{path.stem[:20]}-{secrets.token_hex(8)}{path.suffix[:20]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}. Choose another folder, or make it writable."
        ) from error
    try:
        yield temporary
        with temporary.open("rb+") as written:
            # Without it the system may rename before it writes, and a crash would leave an empty
            # file.
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}. Nothing was left behind."
        ) from error
    finally:
        # After a rename there is nothing left to remove; after any error there is.
        temporary.unlink(missing_ok=True)


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
    # By default the lines of a CSV file end as on Windows.
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_csv(file: Path) -> list[list[str]]:
    """Read the rows of a CSV file, the header first.

    Raises:
        InputError: The file is missing or damaged.
    """
    # Without line ends of its own, a text keeps those within quoted cells.
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
        file: The file.
        kind: What the file holds, such as "recipe"; messages name it.

    Raises:
        InputError: The file is missing or malformed; the message holds line and column.
    """
    return _read(file, tomllib.loads, f"the {kind} ")


def line_of(text: str, path: Sequence[str]) -> int | None:
    r"""Return the line in which a TOML text states a key or a table, from 1, or ``None``.

    >>> line_of("epochs = 3\n[loss]\nkind = 'l1'", ["loss", "kind"])
    3

    Args:
        text: The whole text.
        path: Names of the tables around the key, and of the key.
    """
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(rf"\s*\[\s*({_KEYS})\s*\]", line):
            table = stated = _key_names(header[1])
        elif keys := re.match(rf"\s*({_KEYS})\s*=", line):
            stated = table + _key_names(keys[1])
        else:
            continue
        # A dotted key, such as loss.kind, states the table loss, too.
        if stated[: len(path)] == list(path):
            return number
    return None


_KEY = r"""(?:"[^"]*"|'[^']*'|[\w-]+)"""
_KEYS = rf"{_KEY}(?:\s*\.\s*{_KEY})*"


def _key_names(keys: str) -> list[str]:
    return [key.strip("\"'") for key in re.findall(_KEY, keys)]


def _read(file: Path, parse: Callable[[str], ContentT], kind: str = "") -> ContentT:
    try:
        return parse(file.read_bytes().decode())
    except (OSError, ValueError, csv.Error) as error:
        # An error of the system has a number, which says nothing, and repeats the file's name.
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
            f" {free / 1e6:.0f} MB are free. Free some, or choose another folder."
        )


def find_files(
    folder: Path, *, suffixes: Collection[str] | None = None, recursive: bool = True
) -> Iterator[Path]:
    """Yield the files of a folder, all or with certain suffixes, sorted, without hidden ones.

    Links are followed. Each folder is entered once, so that loops of links end.

    Args:
        folder: Folder to search.
        suffixes: Suffixes in lower case, with the dot; files may have them in any case. ``None``
            stands for any.
        recursive: Search folders in the folder, too.
    """
    entered: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        # Device and inode name a folder, by whatever links it was reached.
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
