"""Keep commands running when a standard stream is closed, full or cannot encode a character."""

import codecs
import io
import os
import sys
import unicodedata
from typing import Any, TextIO

ALTERNATIVES = (
    dict.fromkeys("–—−─━", "-")
    | dict.fromkeys("│┃", "|")
    | dict.fromkeys("┌┐└┘├┤┬┴┼", "+")
    | dict.fromkeys("“”„", '"')
    | dict.fromkeys("‘’′", "'")
    | dict.fromkeys("·•", "*")
    | {"→": ">", "►": ">", "←": "<", "↔": "<>", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~"}
    | {"×": "x", "±": "+-", "√": "sqrt", "∞": "inf", "⁄": "/", "°": " degrees", "ß": "ss"}
)
"""ASCII replacements of characters, used where the encoding of a stream lacks the character."""

HANDLER = "caelab-alternatives"
"""Name of :func:`write_alternative` among the error handlers of codecs."""


def prepare_streams() -> None:
    """Change the standard streams so that a command does not crash when it uses them.

    A stream that the caller has closed reads and writes nothing. A character that an encoding lacks
    is replaced by ASCII. Messages that stderr cannot write are dropped, because a full disk for
    messages should not stop a training.
    """
    _open_closed()
    codecs.register_error(HANDLER, write_alternative)
    for name, tolerant in (("stdout", False), ("stderr", True)):
        stream = getattr(sys, name)
        # A caller in Python may have replaced the stream by another object.
        if stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, stream := _watched(stream, tolerant=tolerant))
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def write_alternative(error: UnicodeError) -> tuple[str, int]:
    """Return ASCII for characters that cannot be encoded: an error handler for :mod:`codecs`.

    >>> codecs.register_error(HANDLER, write_alternative)
    >>> "3×32 – München".encode("ascii", HANDLER)
    b'3x32 - Munchen'
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_alternative, error.object[error.start : error.end])), error.end


def _alternative(character: str) -> str:
    """Return an ASCII replacement for a character; ``"?"`` if none is known."""
    if character.isascii() or character in ALTERNATIVES:
        return ALTERNATIVES.get(character, character)
    if unicodedata.combining(character):
        return ""
    # NFKD turns an accented letter into a letter and an accent, and a superscript into a digit.
    parts = unicodedata.normalize("NFKD", character)
    if parts != character:
        return "".join(map(_alternative, parts))
    name = unicodedata.name(character, "")
    return name.split()[-1].lower() if name.startswith("GREEK") else "?"


def stdout_error() -> OSError | None:
    """Return the first error of a write to stdout, or ``None``."""
    raw = getattr(sys.stdout.buffer, "raw", None)
    return raw.error if isinstance(raw, _Watched) else None


class _Watched(io.FileIO):
    """A file that remembers the first error of a write, and drops everything written later.

    Args:
        descriptor: Descriptor of the file; closing this object does not close it.
        tolerant: Do not raise the first error either.
    """

    error: OSError | None = None

    def __init__(self, descriptor: int, *, tolerant: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._tolerant = tolerant

    def write(self, data: Any) -> int:
        """Write bytes, or drop them after an error; return the number of bytes."""
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
                if not self._tolerant:
                    raise
        return memoryview(data).nbytes


def _watched(stream: TextIO, *, tolerant: bool) -> TextIO:
    """Return a stream for the same descriptor with a :class:`_Watched` file."""
    # The buffer of an unbuffered stream has no attribute `raw`: the buffer is the file itself.
    raw = getattr(stream.buffer, "raw", stream.buffer)
    if type(raw) is not io.FileIO:  # a console of Windows
        return stream
    buffer = io.BufferedWriter(_Watched(raw.fileno(), tolerant=tolerant))
    line_buffering = tolerant or stream.isatty()
    return io.TextIOWrapper(buffer, stream.encoding, line_buffering=line_buffering)


def _open_closed() -> None:
    """Open the null device for each standard stream that the caller has closed."""
    # If a descriptor from 0 to 2 stayed closed, the next file would get its number. A compiler, for
    # instance, inherits these descriptors and would write its messages into that file.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
