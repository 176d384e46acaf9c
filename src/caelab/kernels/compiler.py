"""Compile the C sources for this machine's processor, and keep the libraries in the user's cache.

A library is loaded only if the checksum in its name is right, because an incomplete library would
crash the process. The folder must be one that no other user can write to, which is not checked on
Windows.
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
"""Compilers that are looked for, in this order, if ``CC`` is not set."""

FLAGS = ("-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared")

NATIVE = (("-march=native",), ("-mcpu=native",), ())
"""Options that allow all instructions of this processor. The first entry that the compiler accepts
is used. The last entry is empty."""

TIMEOUT = 120.0
"""Largest time in seconds for compiling one library; usually this takes two or three seconds."""

RETRY_SECONDS = 86_400.0
"""Time in seconds after which a compiler that failed is tried again, because the failure may have
been that of a busy machine."""

TYPES = {
    "-": None,
    "p": ctypes.c_void_p,
    "l": ctypes.c_int64,
    "i": ctypes.c_int32,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
}
"""Letter → C type, for the signatures of :class:`CLibrary` and for :func:`c_struct`. ``-`` means
``void``, and ``p`` means a pointer."""

_compiling = threading.Lock()

_libraries: list["CLibrary"] = []


class _Pointer:
    """Type of the pointer arguments of a C function."""

    @staticmethod
    def from_param(argument: Any) -> Any:
        """Return the address of a tensor or structure, an array of addresses, or a null pointer.

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
    """The functions of a C source in this folder, which is compiled at the first use.

    Args:
        name: File name of the C source.
        functions: Name of each function → letters of :data:`TYPES`, first the letter of the result
            and then the letters of the arguments.
    """

    def __init__(self, name: str, functions: Mapping[str, str]) -> None:
        self.source = Path(__file__).parent / name
        self._functions = functions
        _libraries.append(self)

    @functools.cached_property
    def loaded(self) -> ctypes.CDLL | None:
        """The compiled library; ``None`` if there is no C compiler, or if the compiler fails.

        The environment variable ``CC`` names the compiler, with its options. If ``CC`` is empty,
        nothing is compiled. If ``CC`` is not set, the compilers in :data:`COMPILERS` are looked for
        on the path, and after them the PyPI package ``ziglang``, which contains a compiler.
        """
        command = find_compiler()
        if not command:
            return None
        try:
            return self.load(command)
        except (OSError, subprocess.SubprocessError, CompilerError) as error:
            _log.warning(
                "the C compiler %s cannot be used: %s. Networks train more slowly without it. Set"
                " the environment variable CC to another compiler, or to an empty text to avoid"
                " this message.",
                shlex.join(command),
                _reason(error),
            )
            return None

    @property
    def functions(self) -> ctypes.CDLL:
        """The compiled library; use it only if :attr:`loaded` is not ``None``."""
        loaded = self.loaded
        assert loaded is not None
        return loaded

    def load(self, command: Sequence[str]) -> ctypes.CDLL:
        """Return the library from the cache, or compile the source with ``command`` first.

        Args:
            command: The compiler and its options; options for speed are added.

        Raises:
            OSError: There is no such compiler, or its output cannot be loaded.
            SubprocessError: The compiler fails, or takes too long.
            CompilerError: The compiler failed less than ``RETRY_SECONDS`` ago.
        """
        with _compiling:  # otherwise every thread of a training would compile the source
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
                # A loaded library stays usable when its file is deleted, so a temporary folder is
                # enough.
                folder = stack.enter_context(temporary_folder(Path(tempfile.gettempdir())))
            compiler = _identity(command)
            library = f"{self.source.stem}-{self._key(compiler)}"
            if (path := _find(folder, library)) is None:
                # A note keeps the reason of a failure. After a timeout the note is about the
                # compiler, because it would take too long for the other sources, too. After other
                # failures the note is about this library.
                notes = [folder / f"{name}.failed" for name in (compiler, library)]
                for note in notes:
                    with contextlib.suppress(OSError):
                        if time.time() - note.stat().st_mtime < RETRY_SECONDS:
                            raise CompilerError(note.read_text(encoding="utf-8"))
                try:
                    with progress(f"compiling {self.source.name} (only once)", None):
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
            name: Beginning of the library's name.
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
            # Not every compiler knows the options in NATIVE. So it is an error only if the last
            # call fails, which has none of these options.
            if code:
                raise subprocess.CalledProcessError(code, words, stderr=messages)
            path = folder / f"{name}-{_checksum(library)}.so"
            with library.open("rb+") as written:
                os.fsync(written.fileno())
            library.replace(path)
        return path

    def _key(self, compiler: str) -> str:
        """Return a hash of everything that the machine code depends on.

        The processor is part of the hash, because machines of different kinds may share a home
        directory.
        """
        source = self.source.read_text(encoding="utf-8")
        parts = (source, compiler, *FLAGS, platform.machine(), _processor())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class CompilerError(Exception):
    """A compiler failed in an earlier process; the message says why."""


@contextlib.contextmanager
def without_kernels() -> Iterator[None]:
    """Let PyTorch compute everything while the block runs, as on a machine without a compiler."""
    # Libraries that are not loaded yet are not loaded here, because loading may mean compiling.
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
    """Return this user's folder for compiled code; ``None`` if it is not usable or not safe.

    On Windows, the folder is not checked.
    """
    if sys.platform == "win32":
        folder = cache_folder() / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    # Users may share a cache folder, but must not run code that another user compiled.
    folder = cache_folder() / f"compiled-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    ours = found.st_uid == os.geteuid() and not found.st_mode & 0o022 and folder.is_dir()
    return folder if ours and not folder.is_symlink() and os.access(folder, os.W_OK) else None


def _find(folder: Path, name: str) -> Path | None:
    """Return the first library whose name begins with ``name`` and whose checksum is right.

    Libraries before it, whose checksum is wrong, are deleted.
    """
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
        command: The compiler, its options and its files.
        folder: Folder for a file with the compiler's messages.
        seconds: Largest time in seconds.

    Raises:
        TimeoutExpired: The compiler takes longer.
    """
    # The messages go to a file. A pipe would stay open if the compiler started another program, and
    # ended before this program.
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
            # The programs that the compiler has started must end, too.
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        messages.seek(0)
        return code, messages.read().decode(errors="replace")


def _identity(command: Sequence[str]) -> str:
    """Return a hash of a compiler's command and of the sizes and times of its files.

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
    """Return one line that says why a compiler failed."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it took longer than {TIMEOUT:.0f} s"
    if isinstance(error, subprocess.CalledProcessError):
        first = str(error.stderr or "").strip().partition("\n")[0]
        return f"it ended with code {error.returncode}" + (f" ({first[:200]})" if first else "")
    return str(error).strip()


def find_compiler() -> tuple[str, ...]:
    """Return the command of a C compiler; empty if there is none.

    The command is also empty if ``CC`` is empty, or not a valid command.
    """
    # An empty CC gives an empty command, so that nothing is compiled.
    if (chosen := os.environ.get("CC")) is not None:
        try:
            return tuple(shlex.split(chosen))
        except ValueError as error:
            _log.warning(
                "the environment variable CC is not a valid command (%s): %s. Correct or unset it:"
                " without a compiler, networks train more slowly.",
                error,
                chosen,
            )
            return ()
    for name in COMPILERS:
        if found := shutil.which(name):
            return (found,)
    return (sys.executable, "-m", "ziglang", "cc") if importlib.util.find_spec("ziglang") else ()


def c_struct(*fields: str) -> Any:
    """Return a new class of ``ctypes`` structures.

    >>> Point = c_struct("f x y", "i index")
    >>> Point(1.5, 2, 7).index
    7

    Args:
        fields: Texts, each with a letter of :data:`TYPES` and the names of the fields of this type.
    """
    named = [(name, TYPES[letter]) for letter, *names in map(str.split, fields) for name in names]
    return type("Structure", (ctypes.Structure,), {"_fields_": named})


def _processor() -> str:
    """Return the processor's name and features, as far as the system reports them."""
    try:
        # The flags are used, too, because a virtual machine may hide instructions of its processor.
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.split(":")[0].strip() in names}))
