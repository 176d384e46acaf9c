"""Read 16 bits per channel: Pillow decodes to 8, but can be led to give both bytes of a value."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

_RAW_MODES = {
    "LA;16B",
    *(f"{mode};16{order}" for mode in ("RGB", "RGBA") for order in "BLN"),
}

_OTHER_ORDER = {
    "16B": "16L",
    "16L": "16B",
    "16N": "16B" if sys.byteorder == "little" else "16L",
}


def has_16_bits(opened: ImageFile.ImageFile) -> bool:
    """Say whether a file holds 16 bits of two to four channels; of one, Pillow keeps them."""
    modes = {_raw_mode(tile) for tile in opened.tile}
    return bool(modes) and modes <= _RAW_MODES


def read_16_bits(reopen: Callable[[], ImageFile.ImageFile]) -> NDArray[np.uint16]:
    """Decode a file for which :func:`has_16_bits` holds.

    Pillow keeps the upper byte of every value. If the byte order is swapped it keeps the lower one,
    so the file is decoded twice. Gray with alpha is decoded as if its four bytes were channels.

    Args:
        reopen: Opens the file anew, not yet decoded.

    Returns:
        ``uint16`` of shape ``(H, W, 2 to 4)``.

    Raises:
        Exception: The file is broken; nearly any kind.
    """
    with reopen() as opened:
        if _raw_mode(opened.tile[0]) == "LA;16B":
            # Two channels of 16 bits are four bytes a pixel, as RGBA has them.
            opened.tile = [tile._replace(args="RGBA") for tile in opened.tile]
            return np.ascontiguousarray(opened).view(">u2").astype(np.uint16)
        upper = np.asarray(opened).astype(np.uint16)
    with reopen() as opened:
        # With the byte order swapped, the byte that Pillow keeps is the lower one.
        opened.tile = [tile._replace(args=_swapped(tile.args)) for tile in opened.tile]
        values: NDArray[np.uint16] = upper << 8 | np.asarray(opened)
        return values


def _raw_mode(tile: ImageFile._Tile) -> str:
    arguments: object = tile.args
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _swapped(arguments: object) -> Any:
    if isinstance(arguments, tuple):
        return (_swapped(arguments[0]), *arguments[1:])
    mode, order = str(arguments).split(";")
    return f"{mode};{_OTHER_ORDER[order]}"
