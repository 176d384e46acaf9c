import contextlib
import errno
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from caelab import files
from caelab.errors import InputError
from caelab.files import (
    TEMPORARY,
    find_files,
    line_of,
    read_json,
    replacing,
    require_space,
    temporary_file,
    temporary_folder,
    write_text,
)


def _toml(file: Path) -> object:
    return files.read_toml(file, "recipe")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "result.json"
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.suffix == ".json"
    assert target.read_text() == "new"
    with contextlib.suppress(ValueError), replacing(target) as temporary:
        temporary.write_text("half")
        raise ValueError("midway")
    assert target.read_text() == "new"
    assert [entry.name for entry in target.parent.iterdir()] == ["result.json"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_text("")
    write_text(tmp_path / "ours", "")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "ordinary").stat().st_mode
    )


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"No space left on device.*Nothing was left behind"),
        replacing(tmp_path / "x"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_file_that_cannot_be_removed_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "unlink", broken)
    write_text(tmp_path / "x", "whole")
    assert (tmp_path / "x").read_text() == "whole"


@pytest.mark.parametrize(("name", "read"), [("x.json", files.read_json), ("x.toml", _toml)])
def test_what_is_nested_too_deeply_is_refused(tmp_path: Path, name: str, read: Any) -> None:
    prefix = "x = " if name.endswith("toml") else ""
    (tmp_path / name).write_text(prefix + "[" * 100_000 + "]" * 100_000)
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / name)


def test_a_place_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_text(tmp_path / "file" / "x", "")


def test_space_is_asked_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    require_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(
        InputError, match=r"too little disk space for .*not/yet: 1000000000000000 MB are needed"
    ):
        require_space(tmp_path / "not" / "yet", 10**21)


def test_files_are_found_once_by_suffix(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", ".hidden.png", "c.txt", "deep/d.jpg", ".hidden/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    found = [
        str(path.relative_to(tmp_path)) for path in find_files(tmp_path, suffixes={".png", ".jpg"})
    ]
    assert found == ["a.PNG", "b.png", "deep/d.jpg"]
    flat = find_files(tmp_path, suffixes={".png", ".jpg"}, recursive=False)
    assert [path.name for path in flat] == ["a.PNG", "b.png"]


def test_a_linked_folder_is_entered(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "e.png").touch()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    assert list(find_files(tmp_path / "in", suffixes={".png"})) == [
        tmp_path / "in" / "link" / "e.png"
    ]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (["epochs"], 1),
        (["loss"], 2),
        (["loss", "kind"], 2),
        (["loss", "huber_delta"], None),
        (["base", "data", "size"], 6),
        (["factors", "layers"], 8),
        (["factors", "layers", "one [more]"], 9),
        (["kind"], None),
    ],
)
def test_the_line_of_a_key_is_found(path: list[str], line: int | None) -> None:
    text = (
        "epochs = 3  # kind = 1\nloss.kind = 'l1'\n\n[ base ]\n# data.size = 1\ndata . size = 8\n\n"
        '[factors.layers]\n"one [more]" = "conv8"\n'
    )
    assert line_of(text, path) == line


def test_a_file_that_cannot_be_read_is_named_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        read_json(tmp_path / "none.json")
    assert str(raised.value) == f"cannot read {tmp_path / 'none.json'}: {os.strerror(errno.ENOENT)}"


def test_what_a_killed_process_left_is_removed_and_what_others_use_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_cleared", set())
    (tmp_path / f"{TEMPORARY}0123.json").touch()
    (tmp_path / f"{TEMPORARY}0123").mkdir()
    (tmp_path / f"{TEMPORARY}0123" / "library.so").touch()
    (tmp_path / ".hidden").touch()
    with temporary_file(tmp_path) as used, temporary_folder(tmp_path) as folder:
        assert {entry.name for entry in tmp_path.iterdir()} == {used.name, folder.name, ".hidden"}
        # Another process that begins to write here looks as well.
        monkeypatch.setattr(files, "_cleared", set())
        write_text(tmp_path / "result.json", "{}")
        assert used.is_file()
        assert folder.is_dir()
    assert {entry.name for entry in tmp_path.iterdir()} == {"result.json", ".hidden"}


def test_a_user_without_a_home_has_a_cache_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(_: str) -> str:
        raise RuntimeError("could not determine the home directory")

    for answer in (homeless, lambda _: "~/.cache/caelab"):
        monkeypatch.setattr("pooch.os_cache", answer)
        assert files.cache_folder().parent == Path(tempfile.gettempdir())


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_a_file_that_another_process_takes_for_a_leftover_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []
    real = files._lock

    def lock(path: Path) -> int | None:
        if taken:
            return real(path)
        taken.append(path)
        raise BlockingIOError  # the other process holds the lock, and will remove the file

    monkeypatch.setattr(files, "_lock", lock)
    with temporary_file(tmp_path) as made:
        assert made not in taken
