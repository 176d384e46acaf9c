"""Archives, honest or not."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

Member = tuple[str, bytes, dict[str, Any]]
"""Name, content, and fields of the header to be set."""


@pytest.fixture(scope="session")
def write_archive() -> Callable[[Path, Iterable[Member]], Path]:
    """Writes a ``.tar.gz``."""

    def write(path: Path, members: Iterable[Member]) -> Path:
        with (
            gzip.open(path, "wb", compresslevel=1) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            for name, content, fields in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                for field, value in fields.items():
                    setattr(info, field, value)
                archive.addfile(info, io.BytesIO(content))
        return path

    return write
