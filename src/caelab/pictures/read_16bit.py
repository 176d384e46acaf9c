"""Read 16 bits per channel with Pillow, which decodes only one byte of each value at a time."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

_OTHER_ORDER = "B" if sys.byteorder == "little" else "L"

# Pillow keeps the upper byte of a value. If Pillow is told the opposite byte order, it keeps the
# lower byte instead. For each mode, this table names the mode that keeps the other byte. "B" means
# big-endian, "L" little-endian, and "N" the order of this machine, in which libtiff returns values.
# A pixel of 16-bit gray with alpha has four bytes, so 8-bit RGBA keeps all of them.
_OTHER_BYTE = {
    "LA;16B": "RGBA",
    **{
        f"{mode};16{order}": f"{mode};16{other}"
        for mode in ("RGB", "RGBA")
        for order, other in zip("BLN", ("L", "B", _OTHER_ORDER), strict=True)
    },
}


def read_16_bits(
    tiles: Sequence[ImageFile._Tile], reopen: Callable[[], ImageFile.ImageFile]
) -> NDArray[np.uint16] | None:
    """Decode a file of 16 bits per channel and two to four channels.

    Pillow itself keeps 16 bits if there is only one channel.

    Args:
        tiles: The parts of the file, as Pillow describes them before it decodes them.
        reopen: Function that opens the file again without decoding it.

    Returns:
        ``uint16`` of shape ``(H, W, 2 to 4)``; ``None`` for any other file.

    Raises:
        Exception: The file is damaged. Pillow raises many types of exceptions.
    """
    mode = _arguments(tiles[0])[0] if tiles else None
    if mode not in _OTHER_BYTE:
        return None
    with reopen() as opened:
        opened.tile = [
            tile._replace(args=(_OTHER_BYTE[mode], *_arguments(tile)[1:])) for tile in tiles
        ]
        other = np.ascontiguousarray(opened)
    if mode == "LA;16B":
        return other.view(">u2").astype(np.uint16)
    # The file is decoded twice, once for each byte.
    with reopen() as opened:
        upper = np.asarray(opened).astype(np.uint16)
    values: NDArray[np.uint16] = upper << 8 | other
    return values


def _arguments(tile: ImageFile._Tile) -> list[Any]:
    """Return the arguments of Pillow's decoder; the first one is the mode."""
    return [tile.args] if isinstance(tile.args, str) else list(tile.args or [None])
