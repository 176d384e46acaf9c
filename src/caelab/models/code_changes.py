"""Change a code to see what its parts do: scale channels, round the numbers, mix two codes."""

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
        code: The code, ``float32 (N, C, H, W)``.
        channels: Indices of the channels, from 0; indices that the code does not have are ignored.
    """
    changed = code.copy()
    changed[:, [channel for channel in channels if 0 <= channel < code.shape[1]]] = 0
    return changed


def scale_channel(code: Floats, channel: int, factor: float) -> Floats:
    """Return a code with one channel multiplied by a factor.

    Args:
        code: The code, ``float32 (N, C, H, W)``.
        channel: Index of the channel, from 0.
        factor: Factor of the channel; 0 switches the channel off.
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
        code: The code, ``float32 (N, C, H, W)``.
        bits: Number of bits for each number of the code, 1 to 16.
    """
    low = code.min(axis=(0, 2, 3), keepdims=True)
    span = code.max(axis=(0, 2, 3), keepdims=True) - low
    # The span of a constant channel is 0; a span of 1 avoids the division by 0.
    step = np.where(span > 0, span, 1) / np.float32(2**bits - 1)
    rounded: Floats = (low + np.rint((code - low) / step) * step).astype(np.float32)
    return rounded


def interpolate(first: Floats, second: Floats, share: float) -> Floats:
    """Return a weighted mean of two codes.

    Args:
        first: One code, ``float32 (N, C, H, W)``.
        second: Another code, of the same shape.
        share: Weight of the second code; 0 gives the first code, 1 the second.
    """
    mixed: Floats = ((1 - share) * first + share * second).astype(np.float32)
    return mixed
