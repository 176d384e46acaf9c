"""Compile the C sources once for the processor of this machine, and keep them in the user's cache.

A library is loaded only from a folder that no other user can write to, and only if the checksum in
its name is right, because an incomplete library would crash the process.
"""

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import logging
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from caelab.files import cache_folder, temporary_folder, write_text
from caelab.progress import progress

_log = logging.getLogger(__name__)

COMPILERS = ("cc", "gcc", "clang")
"""Compilers that are looked for if ``CC`` names none."""

FLAGS = ("-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared")

NATIVE = (("-march=native",), ("-mcpu=native",), ())
"""Options for the instructions of this processor; the first that the compiler knows is used."""

TIMEOUT = 120.0
"""Seconds that a compiler may take for a library; two or three are usual."""

RETRY_SECONDS = 86_400.0
"""Time after which a compiler that failed is tried again, as its machine may have been busy."""

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

_libraries: list["CLibrary"] = []


class _Pointer:
    """Type of the pointers that a C function takes."""

    @staticmethod
    def from_param(argument: Any) -> Any:
        """Return the address of a tensor or structure, those in a list, or a null pointer.

        C receives only addresses, so a tensor must be contiguous, of the type that C expects, and
        kept alive during the call.
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
        _libraries.append(self)

    @functools.cached_property
    def loaded(self) -> ctypes.CDLL | None:
        """The compiled library; ``None`` if there is no C compiler, or it fails.

        The environment variable ``CC`` names the compiler, with its options. If it is set and
        empty, nothing is compiled. If it is not set, a compiler is looked for on the path; then the
        package ``ziglang`` of PyPI, which contains one, is used.
        """
        command = find_compiler()
        if not command:
            return None
        try:
            return self.load(command)
        except (OSError, subprocess.SubprocessError, CompilerError) as error:
            _log.warning(
                "the C compiler %s cannot be used, so networks train more slowly: %s. CC names"
                " another one; an empty CC avoids this note.",
                command[0],
                _reason(error),
            )
            return None

    @property
    def functions(self) -> ctypes.CDLL:
        """The compiled library, which must be available."""
        loaded = self.loaded
        assert loaded is not None
        return loaded

    def load(self, command: Sequence[str]) -> ctypes.CDLL:
        """Load the library from the cache, or compile the source with ``command`` before.

        Args:
            command: The compiler and its options, to which those for speed are added.

        Raises:
            OSError: There is no such compiler, or its output cannot be loaded.
            SubprocessError: The compiler fails, or takes too long.
            CompilerError: It did so less than a day ago.
        """
        with _compiling:  # because every thread of a training would compile the source
            library = self._load(command)
        for name, letters in self._functions.items():
            function = getattr(library, name)
            function.restype = TYPES[letters[0]]
            # ctypes would otherwise pass 64-bit numbers as 32-bit integers.
            function.argtypes = [_Pointer if each == "p" else TYPES[each] for each in letters[1:]]
        return library

    def _load(self, command: Sequence[str]) -> ctypes.CDLL:
        with contextlib.ExitStack() as stack:
            folder = private_cache()
            kept = folder is not None
            if folder is None:
                # A library can be deleted once it is loaded.
                folder = stack.enter_context(temporary_folder(Path(tempfile.gettempdir())))
            compiler = _identity(command)
            library = f"{self.source.stem}-{self._key(compiler)}"
            if (path := _find(folder, library)) is None:
                # A compiler that took too long for one source will do so for the others, too.
                notes = [folder / f"{name}.failed" for name in (compiler, library)]
                for note in notes:
                    with contextlib.suppress(OSError):
                        if time.time() - note.stat().st_mtime < RETRY_SECONDS:
                            raise CompilerError(note.read_text(encoding="utf-8"))
                try:
                    with progress(f"compiling {self.source.name}, once", None):
                        path = self._compile(command, folder, library)
                except subprocess.SubprocessError as error:
                    if kept:
                        hung = isinstance(error, subprocess.TimeoutExpired)
                        with contextlib.suppress(Exception):
                            write_text(notes[0 if hung else 1], _reason(error))
                    raise
            return ctypes.CDLL(str(path))

    def _compile(self, command: Sequence[str], folder: Path, name: str) -> Path:
        """Compile the source, and return the library, whose name ends in its checksum.

        Args:
            command: The compiler and its options.
            folder: Folder for the library.
            name: Beginning of its name.
        """
        # Several processes may compile at the same time. Each writes its own file and renames it,
        # so that no process loads half a library.
        with temporary_folder(folder) as made:
            library, end = made / "library.so", time.monotonic() + TIMEOUT
            for native in NATIVE:
                words = [*command, *FLAGS, *native, "-o", str(library), str(self.source)]
                code, messages = _call(words, made, end - time.monotonic())
                if code == 0:
                    break
            # Not every compiler knows these options; only the last call, without any, must succeed.
            if code:
                raise subprocess.CalledProcessError(code, words, stderr=messages)
            path = folder / f"{name}-{_checksum(library)}.so"
            with library.open("rb+") as written:
                os.fsync(written.fileno())
            library.replace(path)
        return path

    def _key(self, compiler: str) -> str:
        """Return a hash of everything that the machine code depends on.

        The processor is part of it, because machines of different kinds may share a home directory.
        """
        source = self.source.read_text(encoding="utf-8")
        parts = (source, compiler, *FLAGS, platform.machine(), _processor())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class CompilerError(Exception):
    """A compiler failed in an earlier process; the message says how."""


@contextlib.contextmanager
def without_kernels() -> Iterator[None]:
    """Let PyTorch compute everything while the block runs, as on a machine without a compiler."""
    # What is not loaded yet stays so: loading may mean compiling.
    before = [(vars(library), dict(vars(library))) for library in _libraries]
    for attributes, _ in before:
        attributes["loaded"] = None
    try:
        yield
    finally:
        for attributes, saved in before:
            del attributes["loaded"]
            attributes.update(saved)


def private_cache() -> Path | None:
    """Return this user's folder of compiled code; ``None`` if others could write to it."""
    if sys.platform == "win32":
        folder = cache_folder() / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    # Users may share a cache, but should not run what another user compiled.
    folder = cache_folder() / f"compiled-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    ours = found.st_uid == os.geteuid() and not found.st_mode & 0o022 and folder.is_dir()
    return folder if ours and not folder.is_symlink() and os.access(folder, os.W_OK) else None


def _find(folder: Path, name: str) -> Path | None:
    """Return the library of that name, unless it was changed since it was compiled."""
    for path in sorted(folder.glob(f"{name}-*.so")):
        with contextlib.suppress(OSError):
            if path.stem.rpartition("-")[2] == _checksum(path):
                return path
            path.unlink()
    return None


def _checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:32]


def _call(command: Sequence[str], folder: Path, seconds: float) -> tuple[int, str]:
    """Call a compiler; return its exit code and its messages.

    Args:
        command: Its command.
        folder: Folder for its messages.
        seconds: Time that it may take.

    Raises:
        TimeoutExpired: It takes longer.
    """
    # A file, because a pipe would stay open if a program that the compiler calls were not killed.
    with (folder / "messages").open("w+b") as messages:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
        except BaseException:
            # The programs that a compiler calls must end, too.
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        messages.seek(0)
        return code, messages.read().decode(errors="replace")


def _identity(command: Sequence[str]) -> str:
    """Return a hash of a compiler: its command, and size and time of its files.

    The compiler is not asked for its version, because each process would have to start it.
    """
    files = [Path(found).resolve() for word in command if (found := shutil.which(word))]
    if "ziglang" in command and (spec := importlib.util.find_spec("ziglang")) and spec.origin:
        files.append(Path(spec.origin))
    parts = [
        *command,
        *(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _reason(error: Exception) -> str:
    """Return in one line why a compiler failed."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it took longer than {TIMEOUT:.0f} s"
    if isinstance(error, subprocess.CalledProcessError):
        first = str(error.stderr or "").strip().partition("\n")[0]
        return f"it ended with code {error.returncode}" + (f" ({first[:200]})" if first else "")
    return str(error).strip()


def find_compiler() -> tuple[str, ...]:
    """Return the command of a C compiler; empty if there is none, or if ``CC`` is empty."""
    # An empty CC switches compilation off, so that PyTorch computes everything.
    if (chosen := os.environ.get("CC")) is not None:
        try:
            return tuple(shlex.split(chosen))
        except ValueError as error:
            _log.warning(
                "the environment variable CC is no command (%s): %s. Networks train more slowly"
                " without a compiler; correct it, or unset it.",
                error,
                chosen,
            )
            return ()
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
        fields: Texts of a letter of :data:`TYPES` and the names of fields of this type.
    """
    named = [(name, TYPES[letter]) for letter, *names in map(str.split, fields) for name in names]
    return type("Structure", (ctypes.Structure,), {"_fields_": named})


def _processor() -> str:
    """Return the processor's name and features, as far as the system reports them."""
    try:
        # The flags, too, because a virtual machine may hide instructions of its processor.
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.split(":")[0].strip() in names}))
