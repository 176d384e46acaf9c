"""C sources are compiled once for each compiler, and nothing depends on there being one."""

import shutil
import subprocess
from pathlib import Path

import pytest

from caelab.kernels import convolution, simd, soap
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


@pytest.mark.parametrize("command", ["", "false", "no-such-compiler --really"])
def test_without_a_compiler_there_is_no_library(
    cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("CC", command)
    assert CLibrary(str(source), {}).loaded is None
    assert not list(cache.rglob("*.so"))


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
