"""Sixteen bits a channel: Pillow, which decodes to eight, is led to give both bytes of every
value.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

_BIG, _LITTLE = "16B", "16L"
_NATIVE = _LITTLE if sys.byteorder == "little" else _BIG


def is_sixteen(opened: ImageFile.ImageFile) -> bool:
    """Whether the file holds 16 bits of two, three or four channels (of one, Pillow keeps them
    itself).
    """
    raw_modes = [_raw_mode(tile) for tile in opened.tile]
    return bool(raw_modes) and all(
        raw in ("LA;16B", *(f"{mode};16{order}" for mode in ("RGB", "RGBA") for order in "BLN"))
        for raw in raw_modes
    )


def read_sixteen(reopen: Callable[[], ImageFile.ImageFile]) -> NDArray[np.uint16]:
    """Decode a file for which ``is_sixteen`` holds, as uint16 (H, W, 2, 3 or 4).

    Pillow keeps the upper byte of every value. Told the wrong byte order it keeps the lower one, so
    the file is decoded twice; gray with alpha is decoded as if the four bytes were four channels.

    Args:
        reopen: Opens the file anew, not yet decoded.

    Raises:
        Exception: Of nearly any kind, when the file is broken.
    """
    with reopen() as opened:
        if _raw_mode(opened.tile[0]) == "LA;16B":
            opened.tile = [tile._replace(args="RGBA") for tile in opened.tile]
            four = np.asarray(opened)
            return np.ascontiguousarray(four).view(">u2").astype(np.uint16)
        values: NDArray[np.uint16] = np.asarray(opened).astype(np.uint16)
    values <<= 8
    with reopen() as opened:
        opened.tile = [tile._replace(args=_swapped(tile.args)) for tile in opened.tile]
        values |= np.asarray(opened)
    return values


def _raw_mode(tile: ImageFile._Tile) -> str:
    arguments: object = tile.args
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _swapped(arguments: object) -> Any:
    if isinstance(arguments, tuple):
        return (_swapped(arguments[0]), *arguments[1:])
    mode, order = str(arguments).split(";")
    order = _NATIVE if order == "16N" else order
    return f"{mode};{_LITTLE if order == _BIG else _BIG}"
