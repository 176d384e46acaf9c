"""Changes of a code, to see what its parts do: channels, precision, and the way between images."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MAX_BITS = 16
"""Largest number of bits of :func:`quantize`."""


def without_channels(code: Floats, channels: Collection[int]) -> Floats:
    """Return a code with some channels set to 0.

    >>> without_channels(np.ones((1, 2, 1, 1), np.float32), [1]).ravel().tolist()
    [1.0, 0.0]

    Args:
        code: ``float32 (N, C, H, W)``.
        channels: Numbers of the channels, from 0; others than the code has are ignored.
    """
    changed = code.copy()
    changed[:, [channel for channel in channels if 0 <= channel < code.shape[1]]] = 0
    return changed


def scale_channel(code: Floats, channel: int, factor: float) -> Floats:
    """Return a code with one channel multiplied by a factor.

    Args:
        code: ``float32 (N, C, H, W)``.
        channel: Number of the channel, from 0.
        factor: The factor; 0 switches the channel off.
    """
    changed = code.copy()
    changed[:, channel] *= np.float32(factor)
    return changed


def quantize(code: Floats, bits: int) -> Floats:
    """Return a code whose numbers are rounded to 2^bits levels in each channel.

    The levels of a channel lie evenly between its smallest and its largest number in this code.

    >>> quantize(np.float32([[[[0.0, 0.4, 1.0]]]]), 1).ravel().tolist()
    [0.0, 0.0, 1.0]

    Args:
        code: ``float32 (N, C, H, W)``.
        bits: Bits of a number, 1 to 16.
    """
    low = code.min(axis=(0, 2, 3), keepdims=True)
    span = code.max(axis=(0, 2, 3), keepdims=True) - low
    # A channel that is constant has one level.
    step = np.where(span > 0, span, 1) / np.float32(2**bits - 1)
    rounded: Floats = (low + np.rint((code - low) / step) * step).astype(np.float32)
    return rounded


def interpolate(first: Floats, second: Floats, share: float) -> Floats:
    """Return the code on the straight line between two codes.

    Args:
        first: ``float32 (N, C, H, W)``.
        second: Code of the same shape.
        share: 0 for the first, 1 for the second.
    """
    mixed: Floats = ((1 - share) * first + share * second).astype(np.float32)
    return mixed
