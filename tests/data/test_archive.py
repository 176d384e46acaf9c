"""What comes out of an archive is what was asked for, and a hostile one gives nothing."""

import gzip
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from caelab.data import archive
from caelab.data.archive import read_members
from caelab.errors import InputError

Write = Callable[[Path, Iterable[tuple[str, bytes, dict[str, object]]]], Path]

WANTED = frozenset({"a.bin", "b.bin"})
NOISE = np.random.default_rng(0).bytes(100_000)


def test_only_what_is_wanted_comes_out(tmp_path: Path, write_archive: Write) -> None:
    names = ("c/b.bin", "c/readme", "./c/a.bin", "too/deep/a.bin", "a.bin.txt")
    path = write_archive(tmp_path / "x.tar.gz", [(name, name.encode(), {}) for name in names])
    assert list(read_members(path, WANTED)) == [("b.bin", b"c/b.bin"), ("a.bin", b"./c/a.bin")]


def fails(path: Path, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        list(read_members(path, WANTED))
    assert str(caught.value).startswith(f"{path} cannot be read as a .tar.gz: ")
    assert "\n" not in str(caught.value)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("../a.bin", b"x", {})], r"names a place outside itself, '\.\./a\.bin'"),
        ([("c/../../other", b"x", {})], "names a place outside itself"),
        ([("/etc/a.bin", b"x", {})], "names a place outside itself"),
        ([("C:\\a.bin", b"x", {})], "names a place outside itself"),
        (
            [("c/a.bin", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})],
            "a.bin is not a plain file",
        ),
        (
            [("c/a.bin", b"", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})],
            "a.bin is not a plain file",
        ),
        ([("c/a.bin", b"", {"type": tarfile.FIFOTYPE})], "a.bin is not a plain file"),
        ([("c/a.bin", b"", {"type": tarfile.DIRTYPE})], "a.bin is not a plain file"),
        ([("c/a.bin", b"x", {}), ("d/a.bin", b"y", {})], "a.bin is there twice"),
        ([("c/a.bin", bytes(2**26 + 1), {})], "a.bin claims 67108865 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_members(
    members: list[tuple[str, bytes, dict[str, object]]],
    reason: str,
    tmp_path: Path,
    write_archive: Write,
) -> None:
    fails(write_archive(tmp_path / "x.tar.gz", members), reason)


@pytest.mark.parametrize(
    "fields", [{}, {"type": tarfile.XHDTYPE}, {"type": tarfile.GNUTYPE_LONGNAME}], ids=str
)
def test_bombs_are_left_early(
    fields: dict[str, object], tmp_path: Path, write_archive: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "TOTAL_LIMIT", 2**20)
    fails(
        write_archive(tmp_path / "x.tar.gz", [("other", bytes(2**22), fields)]),
        "unpacks to more than 1 MiB",
    )


def test_an_extended_header_is_skipped(tmp_path: Path, write_archive: Write) -> None:
    # `tarfile` reads such a header in quadratic time: 30 kilobytes take it minutes.
    extended = ("x", b"1" * 2**20, {"type": tarfile.XHDTYPE})
    path = write_archive(tmp_path / "x.tar.gz", [extended, ("c/a.bin", b"x", {})])
    assert list(read_members(path, WANTED)) == [("a.bin", b"x")]


@pytest.mark.parametrize("length", [0, 5, 300, 50_000, -20, -4])
def test_truncated(length: int, tmp_path: Path, write_archive: Write) -> None:
    path = write_archive(tmp_path / "x.tar.gz", [("c/a.bin", NOISE, {})])
    path.write_bytes(path.read_bytes()[:length])
    fails(path, "damaged, incomplete")


def test_a_flipped_bit(tmp_path: Path, write_archive: Write) -> None:
    path = write_archive(tmp_path / "x.tar.gz", [("c/a.bin", NOISE, {})])
    content = bytearray(path.read_bytes())
    content[50_000] ^= 1
    path.write_bytes(content)
    fails(path, "damaged, incomplete")


@pytest.mark.parametrize(
    "content", [b"no gzip at all", gzip.compress(b"no tar" * 1000)], ids=["no gzip", "no tar"]
)
def test_something_else(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(content)
    fails(path, "remove it and fetch it again")


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        list(read_members(tmp_path / "x.tar.gz", WANTED))


def test_members_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caelab.data.archive.MEMBERS_LIMIT", 3)
    file = tmp_path / "many.tar.gz"
    for count in (3, 4):
        with tarfile.open(file, "w:gz") as archive:
            for number in range(count):
                archive.addfile(tarfile.TarInfo(f"folder/{number}"))
        if count == 3:
            assert list(read_members(file, frozenset())) == []
    with pytest.raises(InputError, match="more than 3 members"):
        list(read_members(file, frozenset()))
