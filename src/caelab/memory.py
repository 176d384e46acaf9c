"""How much memory inputs may take; larger ones are refused before they are read."""

import os
import re

from caelab.errors import InputError
from caelab.processors import available_memory

VARIABLE = "CAELAB_MAX_MEMORY"

SHARE = 0.75
"""Share of the memory that inputs may take by default; the rest is for everything else."""

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def read_size(text: str) -> int:
    """Return the bytes that a text such as ``"4G"`` stands for.

    >>> read_size("1.5G"), read_size("500M"), read_size("2000000")
    (1610612736, 524288000, 2000000)

    Raises:
        InputError: It is no size.
    """
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.I)
    size = int(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    if not size:
        raise InputError(
            f"{text!r} is no size of memory: write it as 4G or 500M (`max_memory`, {VARIABLE})."
        )
    return size


def max_memory() -> int:
    """Return the bytes that inputs may take.

    They are those of ``CAELAB_MAX_MEMORY``, or three quarters of what the machine or its container
    has, or 4 GiB where nobody knows.
    """
    if chosen := os.environ.get(VARIABLE):
        return read_size(chosen)
    memory = available_memory()
    return int(SHARE * memory) if memory else 4 * 2**30
