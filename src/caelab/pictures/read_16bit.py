"""Read 16 bits per channel with Pillow, which gives one byte of each value per decoding."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

_OTHER_ORDER = "B" if sys.byteorder == "little" else "L"

# Pillow keeps the upper byte of a value. If the byte order is swapped, that is the lower one. "N"
# is the order of this machine, which libtiff gives. Gray with alpha has four bytes per pixel, and
# so has RGBA.
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
    """Decode a file of 16 bits and two to four channels; of one channel, Pillow keeps 16 bits.

    Args:
        tiles: The parts of the file, as Pillow describes them before it decodes them.
        reopen: Opens the file again, not yet decoded.

    Returns:
        ``uint16`` of shape ``(H, W, 2 to 4)``; ``None`` for any other file.

    Raises:
        Exception: The file is broken; nearly any kind.
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
