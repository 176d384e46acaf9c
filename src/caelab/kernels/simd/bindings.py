"""``simd.c``, compiled and declared."""

import ctypes
from pathlib import Path

from caelab.kernels.compiler import library_of

SOURCE = Path(__file__).with_name("simd.c")


def declared(loops: ctypes.CDLL) -> ctypes.CDLL:
    """Tell what the functions of ``simd.c`` are given and return."""
    pointer = ctypes.c_void_p
    loops.backward.argtypes = [pointer, ctypes.c_int64, *[pointer] * 5]
    loops.forward.argtypes = [*loops.backward.argtypes, ctypes.c_int32]
    loops.forward.restype = loops.backward.restype = None
    loops.learn.argtypes = [pointer, ctypes.c_int64, *[pointer] * 6]
    loops.learn.restype = ctypes.c_double
    return loops


library = library_of(SOURCE, declared)
"""Returns the compiled loops; ``None`` where there is no C compiler, or it fails."""
