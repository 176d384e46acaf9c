"""Reads the pickles of CIFAR-10 as data: nothing that a file names is ever called.

A pickle is a program. The official files need three names of NumPy, and get inert stand-ins for
them; every other name, and every instruction that those files do not need, is refused. This uses
the unpickler in pure Python on purpose: a memo index of five bytes makes the compiled one allocate
gigabytes, and for these files it is no faster.
"""

import io
import pickle
from typing import Any


class PickledArray:
    """Stand-in for ``numpy.ndarray`` that keeps an array of bytes and allocates nothing.

    Attributes:
        shape: The shape that the file claims; not yet compared with the length of ``data``.
        data: The elements, in C order.
    """

    __slots__ = ("data", "shape")
    data: bytes
    shape: tuple[int, ...]

    def __setstate__(self, state: tuple[int, tuple[int, ...], object, bool, bytes]) -> None:
        _, shape, element, fortran, data = state
        if not isinstance(element, _Element) or fortran or not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array that is not of bytes in C order")
        if not isinstance(shape, tuple) or not all(type(length) is int for length in shape):
            raise pickle.UnpicklingError("an array without a proper shape")
        self.shape, self.data = shape, data


class _Element:
    """Stand-in for ``numpy.dtype``, which admits bytes only."""

    __slots__ = ()

    def __init__(self, code: object, *_: object) -> None:
        if code not in ("u1", b"u1"):
            raise pickle.UnpicklingError("an array whose elements are not unsigned bytes")

    def __setstate__(self, state: object) -> None:
        """Byte order and alignment mean nothing for bytes."""


class _Reconstruct:
    """Stand-in for ``numpy.core.multiarray._reconstruct``, which creates an empty array."""

    __slots__ = ()

    def __new__(cls, *_: object) -> PickledArray:  # type: ignore[misc]
        return PickledArray()


_ADMITTED = {
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): _Element,
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct,  # the same, saved with NumPy 2
}

_INSTRUCTIONS = [
    "PROTO",
    "FRAME",
    "STOP",
    "MARK",
    "NONE",
    "NEWTRUE",
    "NEWFALSE",
    "BININT",
    "BININT1",
    "BININT2",
    "BINSTRING",
    "SHORT_BINSTRING",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINBYTES",
    "SHORT_BINBYTES",
    "EMPTY_LIST",
    "APPEND",
    "APPENDS",
    "EMPTY_DICT",
    "SETITEM",
    "SETITEMS",
    "EMPTY_TUPLE",
    "TUPLE",
    "TUPLE1",
    "TUPLE2",
    "TUPLE3",
    "BINPUT",
    "LONG_BINPUT",
    "BINGET",
    "LONG_BINGET",
    "MEMOIZE",
    "GLOBAL",
    "STACK_GLOBAL",
    "REDUCE",
    "BUILD",
]


class _Unpickler(pickle._Unpickler):
    dispatch = {  # noqa: RUF012
        code: pickle._Unpickler.dispatch[code]
        for code in (getattr(pickle, name)[0] for name in _INSTRUCTIONS)
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}"[:100]) from None

    def _set_items(self, items: list[object]) -> None:
        target: object = self.stack[-1]  # type: ignore[attr-defined]
        keys = items[::2]
        # A tuple that is nested a million deep is harmless until it is hashed, which overflows the
        # interpreter's stack.
        if type(target) is not dict or not all(isinstance(key, str | bytes) for key in keys):
            raise pickle.UnpicklingError("a dictionary whose keys are not texts")
        target.update(zip(keys, items[1::2], strict=True))

    def load_setitem(self) -> None:
        stack = self.stack  # type: ignore[attr-defined]
        value, key = stack.pop(), stack.pop()
        self._set_items([key, value])

    def load_setitems(self) -> None:
        self._set_items(self.pop_mark())  # type: ignore[attr-defined]

    def load_build(self) -> None:
        # Only new objects may be given a state: given to a stand-in's class, it would change that
        # for all files.
        if type(self.stack[-2]) not in (PickledArray, _Element):  # type: ignore[attr-defined]
            raise pickle.UnpicklingError("a state for something that has none")
        super().load_build()  # type: ignore[misc]

    dispatch[pickle.BUILD[0]] = load_build  # type: ignore[assignment]
    dispatch[pickle.SETITEM[0]] = load_setitem  # type: ignore[assignment]
    dispatch[pickle.SETITEMS[0]] = load_setitems  # type: ignore[assignment]


def unpickle(content: bytes) -> object:
    """Return the dicts, lists, tuples, numbers, texts and ``PickledArray`` of a pickle.

    Strings that Python 2 wrote come as ``bytes``. Memory stays within a small multiple of the
    length of ``content``.

    Raises:
        pickle.UnpicklingError: It is truncated, or asks for anything else; the message says what.
    """
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except pickle.UnpicklingError:
        raise
    except KeyError as error:
        raise pickle.UnpicklingError(
            "it uses an instruction or a reference that these files do not have"
        ) from error
    except Exception as error:  # a hostile file can cause an error of any kind
        raise pickle.UnpicklingError(
            f"it is truncated or malformed ({type(error).__name__})"
        ) from error
