"""How much memory inputs may take; larger inputs are refused before they are read."""

import os
import re
import sys

from caelab.errors import InputError
from caelab.processors import available_memory

VARIABLE = "CAELAB_MAX_MEMORY"

SHARE = 0.75
"""Share of this process's memory that inputs may take by default; the rest is for computing."""

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def read_size(text: str) -> int:
    """Return the bytes that a text such as ``"4G"`` stands for.

    >>> read_size("1.5G"), read_size("500M"), read_size("2000000")
    (1610612736, 524288000, 2000000)

    Raises:
        InputError: ``text`` is not a size.
    """
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.I)
    size = int(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    if not size:
        raise InputError(
            f"{text!r} is not a memory size such as 4G or 500M: change `max_memory` or the"
            f" environment variable {VARIABLE}."
        )
    return size


def max_memory() -> int:
    """Return the number of bytes of memory that inputs may take.

    The environment variable ``CAELAB_MAX_MEMORY`` sets it. Without the variable, it is three
    quarters of the memory of the machine or container, or 4 GiB if that memory is unknown.
    """
    if chosen := os.environ.get(VARIABLE):
        return read_size(chosen)
    memory = available_memory()
    return int(SHARE * memory) if memory else 4 * 2**30


def release_memory() -> None:
    """Give memory that Python has freed back to the system, where the C library can do this.

    Linux's C library keeps freed memory for each thread. In a server with many threads, this
    memory adds up.
    """
    if sys.platform == "linux":
        # Not needed by most commands, and each import makes their help slower.
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # some C libraries lack it
        if trim is not None:
            trim(0)
