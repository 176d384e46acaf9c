"""Luminance and chrominance of pictures as numpy arrays with the channels last (torch is not wanted
here).

"Luma" is ITU-R BT.601 on gamma-encoded values: 0.299 R + 0.587 G + 0.114 B. Chroma are the same
standard's Cb = (B − Y)/1.772 and Cr = (R − Y)/1.402, centred on 0, for values in [0, 1].
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

RED, GREEN, BLUE = 0.299, 0.587, 0.114
CB_SCALE, CR_SCALE = 1.772, 1.402
"""2 · (1 − BLUE) and 2 · (1 − RED)."""


def luma(values: Floats) -> Floats:
    """Return the luma (…) of RGB (…, 3), or the gray itself of (…, 1)."""
    if values.shape[-1] == 1:
        return values[..., 0]
    weighted: Floats = values @ np.array([RED, GREEN, BLUE], np.float32)
    return weighted


def chroma(values: Floats) -> Floats:
    """Return (2, …): Cb and Cr, each in [−0.5, 0.5], of RGB (…, 3) in [0, 1]."""
    gray = luma(values)
    return np.stack([(values[..., 2] - gray) / CB_SCALE, (values[..., 0] - gray) / CR_SCALE])


def merge(gray: Floats, planes: Floats) -> Floats:
    """Join luma (…) in [0, 1] and chroma (2, …) to RGB (…, 3) in [0, 1] that has exactly this luma,
    to rounding.

    A color outside the cube is drawn straight towards the gray of its luma until it lies on the
    surface: it keeps luma and hue, and gives up saturation. Clipping by channel would change all
    three.
    """
    rgb = np.empty((*gray.shape, 3), np.float32)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    np.multiply(planes[1], CR_SCALE, out=red)
    np.multiply(planes[0], CB_SCALE, out=blue)
    np.multiply(red, -RED / GREEN, out=green)
    green -= BLUE / GREEN * blue
    # The offsets from gray weigh to zero, so one of them is at least 0 and one at most 0.
    tiny = np.float32(1e-20)
    above = np.maximum(np.maximum(np.maximum(red, green), blue), tiny)
    below = np.maximum(-np.minimum(np.minimum(red, green), blue), tiny)
    saturation = np.minimum(np.minimum((1 - gray) / above, gray / below), 1)
    rgb *= saturation[..., None]
    rgb += gray[..., None]
    return rgb.clip(0, 1, out=rgb)
