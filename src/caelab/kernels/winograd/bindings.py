"""``winograd.c``, compiled and declared."""

import ctypes
from pathlib import Path

from caelab.kernels.compiler import library_of

SOURCE = Path(__file__).with_name("winograd.c")


class Convolution(ctypes.Structure):
    """``Convolution`` of ``winograd.c``."""

    _fields_ = tuple(
        (name, ctypes.c_int64)
        for name in ("height", "width", "channels", "padding", "out_height", "out_width", "outputs")
    )


def declared(loops: ctypes.CDLL) -> ctypes.CDLL:
    """Tell what the functions of ``winograd.c`` are given and return."""
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    convolution = ctypes.POINTER(Convolution)
    for size in (loops.tiles, loops.kernel_floats, loops.scratch_floats):
        size.argtypes, size.restype = [convolution], number
    for change in (loops.kernel, loops.kernel_transposed, loops.kernel_gradient):
        change.argtypes, change.restype = [convolution, pointer, pointer], None
    loops.convolve.argtypes = [convolution, number, number, *[pointer] * 5]
    loops.by_images.argtypes = loops.by_kernel.argtypes = [
        convolution,
        number,
        number,
        *[pointer] * 4,
    ]
    loops.convolve.restype = loops.by_images.restype = loops.by_kernel.restype = None
    return loops


library = library_of(SOURCE, declared)
"""Returns the compiled loops; ``None`` where there is no C compiler, or it fails."""
