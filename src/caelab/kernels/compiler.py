"""C sources, compiled once for this very processor; the user's cache keeps their libraries."""

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
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pooch
from torch import Tensor

from caelab.progress import progress

COMPILERS = ("cc", "gcc", "clang")
"""Commands that are looked for, where ``CC`` names none."""

FLAGS = ("-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared")

NATIVE = (("-march=native",), ("-mcpu=native",), ())
"""Options that ask for this processor's own instructions; the first that the compiler understands
is taken."""

TIMEOUT = 120.0
"""Seconds that a compiler may take; two or three are usual."""

TYPES = {
    "-": None,
    "p": ctypes.c_void_p,
    "l": ctypes.c_int64,
    "i": ctypes.c_int32,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
}
"""Letters of C types in the signatures of :class:`CLibrary` and in :func:`c_struct`: nothing,
pointer, ``int64_t``, ``int32_t``, ``float``, ``double``."""

_compiling = threading.Lock()


class _Pointer:
    """Type of the pointers that a C function takes."""

    @staticmethod
    def from_param(argument: Any) -> Any:
        """Return the address of a tensor or structure, those in a list, or a null pointer.

        C sees addresses alone, so a tensor must be contiguous, of the type that C expects, and
        alive during the call.
        """
        match argument:
            case Tensor():
                return ctypes.c_void_p(argument.data_ptr())
            case ctypes.Structure():
                return ctypes.byref(argument)
            case list():
                addresses = [None if each is None else each.data_ptr() for each in argument]
                return (ctypes.c_void_p * len(addresses))(*addresses)
        return argument


class CLibrary:
    """The functions of a C source in this package, compiled at their first use.

    Args:
        name: Name of the source.
        functions: Name → letters of :data:`TYPES`, of the result and then of the arguments.
    """

    def __init__(self, name: str, functions: Mapping[str, str]) -> None:
        self.source = Path(__file__).parent / name
        self._functions = functions

    @functools.cached_property
    def loaded(self) -> ctypes.CDLL | None:
        """The compiled library; ``None`` where there is no C compiler, or it fails.

        The environment variable ``CC`` names the compiler, with its options. If it is set and
        empty, nothing is compiled. If it is not set, a compiler is looked for on the path; then the
        package ``ziglang`` of PyPI, which contains one, is used.
        """
        command = find_compiler()
        if not command:
            return None
        try:
            return self.load(command)
        except (OSError, subprocess.SubprocessError):
            return None

    @property
    def functions(self) -> ctypes.CDLL:
        """The compiled library, which must be there."""
        loaded = self.loaded
        assert loaded is not None
        return loaded

    def load(self, command: Sequence[str]) -> ctypes.CDLL:
        """Compile the source with ``command``, unless that is in the cache, and load it.

        Args:
            command: The compiler and its options, to which those for speed are added.

        Raises:
            OSError: There is no such compiler, its output cannot be loaded, or the cache cannot be
                written to.
            SubprocessError: The compiler fails, or takes too long.
        """
        with _compiling:  # otherwise every thread of a training would compile the source
            path = Path(pooch.os_cache("caelab")) / f"{self.source.stem}-{self._key(command)}.so"
            # A power cut after the rename can leave an empty file.
            if not path.is_file() or not path.stat().st_size:
                with progress(f"compiling {self.source.name}, once", None):
                    self._compile(command, path)
            library = ctypes.CDLL(str(path))
        for name, letters in self._functions.items():
            function = getattr(library, name)
            function.restype = TYPES[letters[0]]
            # ctypes would otherwise pass 64-bit numbers as 32-bit integers.
            function.argtypes = [_Pointer if each == "p" else TYPES[each] for each in letters[1:]]
        return library

    def _compile(self, command: Sequence[str], path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Several processes may compile at the same time. Each writes a file of its own and renames
        # it, so nobody loads half a library.
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            library = Path(folder, path.name)
            for native in NATIVE:
                # Not every compiler knows every option; only the last, without any, must succeed.
                finished = subprocess.run(
                    [*command, *FLAGS, *native, "-o", str(library), str(self.source)],
                    capture_output=True,
                    timeout=TIMEOUT,
                    check=native == NATIVE[-1],
                )
                if finished.returncode == 0:
                    break
            library.replace(path)

    def _key(self, command: Sequence[str]) -> str:
        """Return a hash of all that the machine code depends on.

        The processor is part of it, as a home directory may be shared by machines of several kinds.
        """
        # An update of the compiler keeps its name but may change the machine code.
        version = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=TIMEOUT, check=True
        )
        source = self.source.read_text(encoding="utf-8")
        parts = (source, *command, version.stdout, *FLAGS, platform.machine(), _processor())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def find_compiler() -> tuple[str, ...]:
    """Return the command of a C compiler; empty if there is none, or none is wanted."""
    # An empty CC is a choice as well: it turns compilation off, and PyTorch computes everything.
    if (chosen := os.environ.get("CC")) is not None:
        return tuple(shlex.split(chosen))
    for name in COMPILERS:
        if found := shutil.which(name):
            return (found,)
    return (sys.executable, "-m", "ziglang", "cc") if importlib.util.find_spec("ziglang") else ()


def c_struct(*fields: str) -> Any:
    """Return a ``ctypes`` structure.

    >>> Point = c_struct("f x y", "i index")
    >>> Point(1.5, 2, 7).index
    7

    Args:
        fields: In each, a letter of :data:`TYPES` and the names of fields of that type.
    """
    named = [(name, TYPES[letter]) for letter, *names in map(str.split, fields) for name in names]
    return type("Structure", (ctypes.Structure,), {"_fields_": named})


def _processor() -> str:
    """Return the processor's name and features, as far as the system reports them."""
    try:
        # The flags matter besides the name: a virtual machine may hide instructions that its
        # processor has.
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.split(":")[0].strip() in names}))
