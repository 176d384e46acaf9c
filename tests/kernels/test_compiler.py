"""C sources are compiled once for each compiler, and nothing depends on there being one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from caelab.kernels import compiler, convolution, simd, soap
from caelab.kernels.compiler import FLAGS, CLibrary, find_compiler

SOURCES = [kernel.LIBRARY.source for kernel in (convolution, simd, soap)]

needs_compiler = pytest.mark.skipif(not find_compiler(), reason="there is no C compiler")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "seven.c"
    path.write_text("int seven(void) { return 7; }")
    return path


@needs_compiler
def test_it_is_compiled_once_for_each_compiler(
    cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = shutil.which(find_compiler()[0])
    assert command is not None
    assert CLibrary(str(source), {"seven": "i"}).load((command,)).seven() == 7
    files = {file: file.stat().st_mtime_ns for file in cache.rglob("*.so")}
    assert len(files) == 1
    monkeypatch.setenv("CC", command)
    assert CLibrary(str(source), {}).loaded is not None
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.so")} == files
    CLibrary(str(source), {}).load((command, "-DOTHER"))
    assert len(list(cache.rglob("*.so"))) == 2
    source.write_text("int eight(void) { return 8; }")
    assert CLibrary(str(source), {"eight": "i"}).load((command,)).eight() == 8
    assert len(list(cache.rglob("*.so"))) == 3


@pytest.mark.parametrize("command", ["", "false", "no-such-compiler --really", "cc 'open quote"])
def test_without_a_compiler_there_is_no_library(
    cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("CC", command)
    assert CLibrary(str(source), {}).loaded is None
    assert not list(cache.rglob("*.so"))


def test_a_warning_names_the_whole_command(
    cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # The first word can be an interpreter, as in `python -m ziglang cc`.
    monkeypatch.setenv("CC", "false -m 'a compiler'")
    assert CLibrary(str(source), {}).loaded is None
    assert "false -m 'a compiler'" in caplog.text


@needs_compiler
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_the_compiler_has_nothing_to_warn_of(source: Path) -> None:
    command = [
        *find_compiler(),
        *FLAGS,
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsyntax-only",
        str(source),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


@needs_compiler
def test_a_library_that_was_cut_off_is_compiled_again(cache: Path, source: Path) -> None:
    command = find_compiler()
    CLibrary(str(source), {}).load(command)
    (library,) = cache.rglob("*.so")
    whole = library.read_bytes()
    library.unlink()  # this process has it loaded
    library.write_bytes(whole[:1000])
    assert CLibrary(str(source), {"seven": "i"}).load(command).seven() == 7
    assert library.read_bytes() == whole


@needs_compiler
@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_nothing_is_loaded_from_a_folder_that_others_can_write_to(
    cache: Path, source: Path
) -> None:
    CLibrary(str(source), {}).load(find_compiler())
    (library,) = cache.rglob("*.so")
    library.parent.chmod(0o777)
    before = library.stat().st_atime_ns
    assert CLibrary(str(source), {"seven": "i"}).load(find_compiler()).seven() == 7
    assert library.stat().st_atime_ns == before
    assert compiler.private_cache() is None


@pytest.mark.skipif(os.name != "posix", reason="the compiler is a script of a shell")
@pytest.mark.parametrize("does", ["exit 1", "sleep 60 & sleep 60"])
def test_a_compiler_that_fails_is_called_once(
    cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    script, calls = cache / "cc", cache / "calls"
    script.write_text(f"#!/bin/sh\necho called >> {calls}\n{does}\n")
    script.chmod(0o700)
    monkeypatch.setenv("CC", str(script))
    monkeypatch.setattr(compiler, "TIMEOUT", 0.5)
    said = []
    monkeypatch.setattr(compiler._log, "warning", lambda *message: said.append(message))
    assert CLibrary(str(source), {}).loaded is None
    count = len(calls.read_text().splitlines())
    for _ in range(2):
        assert CLibrary(str(source), {}).loaded is None
    assert len(calls.read_text().splitlines()) == count
    assert len(said) == 3
    monkeypatch.setattr(compiler, "RETRY_SECONDS", 0)
    assert CLibrary(str(source), {}).loaded is None
    assert len(calls.read_text().splitlines()) == 2 * count


def test_kernels_can_be_left_out_for_a_while() -> None:
    before = simd.LIBRARY.loaded
    with compiler.without_kernels():
        assert simd.LIBRARY.loaded is None
    assert simd.LIBRARY.loaded is before
