"""C source → a shared library for this very processor, compiled once and kept in the user's
cache.
"""

import ctypes
import functools
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pooch

from caelab.errors import InputError
from caelab.files import replacing
from caelab.progress import progress

COMPILERS = ("cc", "gcc", "clang")
"""Commands that are looked for, where ``CC`` names none."""

FLAGS = ("-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared")

NATIVE = (("-march=native",), ("-mcpu=native",), ())
"""How compilers are asked for this processor's own instructions; the first that is understood
counts."""

TIMEOUT = 120.0
"""Seconds that a compiler may take; two or three are usual."""

_one_at_a_time = threading.Lock()


def compiled(source: Path) -> ctypes.CDLL | None:
    """Return the library of a C source; ``None`` where there is no C compiler, or it fails.

    The environment variable ``CC`` names the compiler, with options if need be; empty, nothing is
    compiled. Without it one is looked for on the path, and then the package ``ziglang`` of PyPI,
    which is one.
    """
    command = find_compiler()
    if not command:
        return None
    try:
        with _one_at_a_time:  # lest every thread of a training compile the same
            return load(source, command)
    except (InputError, OSError, subprocess.SubprocessError):
        return None


def library_of(
    source: Path, declared: Callable[[ctypes.CDLL], ctypes.CDLL]
) -> Callable[[], ctypes.CDLL | None]:
    """Return what returns the library of a C source, compiled when it is first asked for, and kept.

    It returns ``None`` where there is no C compiler, or it fails.

    Args:
        source: A C file that needs no other.
        declared: Tells what the library's functions are given and return, and returns it.
    """

    @functools.cache
    def library() -> ctypes.CDLL | None:
        loops = compiled(source)
        return None if loops is None else declared(loops)

    return library


def find_compiler() -> tuple[str, ...]:
    """Return the command of a C compiler; empty if there is none, or none is wanted."""
    if (chosen := os.environ.get("CC")) is not None:
        return tuple(shlex.split(chosen))
    for name in COMPILERS:
        if found := shutil.which(name):
            return (found,)
    return (sys.executable, "-m", "ziglang", "cc") if importlib.util.find_spec("ziglang") else ()


def load(source: Path, command: Sequence[str]) -> ctypes.CDLL:
    """Compile a source, unless its library is in the cache, and load it.

    Args:
        source: A C file that needs no other.
        command: The compiler and its options, to which those for speed are added.

    Raises:
        InputError: The cache cannot be written to.
        OSError: There is no such compiler, or what it made cannot be loaded.
        SubprocessError: It fails, or takes too long.
    """
    path = Path(pooch.os_cache("caelab")) / f"{source.stem}-{_key(source, command)}.so"
    if not path.is_file():
        with progress(f"compiling {source.name}, once", None), replacing(path) as temporary:
            _compile(source, command, temporary)
    return ctypes.CDLL(str(path))


def _compile(source: Path, command: Sequence[str], path: Path) -> None:
    for native in NATIVE:
        answer = subprocess.run(
            [*command, *FLAGS, *native, "-o", str(path), str(source)],
            capture_output=True,
            timeout=TIMEOUT,
            check=native == NATIVE[-1],
        )
        if answer.returncode == 0:
            return


def _key(source: Path, command: Sequence[str]) -> str:
    """Return a name for all that the machine code depends on: a home may be shared by machines of
    several kinds.
    """
    version = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, timeout=TIMEOUT, check=True
    )
    parts = (
        source.read_text(encoding="utf-8"),
        *command,
        version.stdout,
        *FLAGS,
        platform.machine(),
        _features(),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _features() -> str:
    """Return what the processor can do, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.split(":")[0].strip() in names}))
