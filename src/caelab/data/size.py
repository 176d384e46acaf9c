"""Read the size of images: the side of squares, or height and width."""

import re

MAX_SIDE = 1024
"""Largest side of images that are trained on, in pixels."""


def read_size(value: object, *, most: int = MAX_SIDE) -> int | str:
    """Return a size in the form of configurations: the side of squares, or ``"HEIGHTxWIDTH"``.

    >>> read_size(64), read_size("64"), read_size("48x96"), read_size((48, 96))
    (64, 64, '48x96', '48x96')

    Args:
        value: Side in pixels, a text such as ``"64"`` or ``"48x96"``, or height and width.
        most: Largest side that is allowed, in pixels.

    Raises:
        ValueError: ``value`` has another form, or a side is not 1 to ``most`` pixels.
    """
    found = re.fullmatch(r"\s*(\d+)\s*(?:[x×]\s*(\d+)\s*)?", str(value))
    if isinstance(value, str) and found:
        value = [int(side) for side in found.groups(found[1])]
    pair = [value] * 2 if type(value) is int else value
    if not (
        isinstance(pair, tuple | list)
        and [type(side) for side in pair] == [int, int]
        and 1 <= min(pair) <= max(pair) <= most
    ):
        raise ValueError(f"should be a side of 1 to {most} pixels, or HEIGHTxWIDTH")
    height, width = pair
    return int(height) if height == width else f"{height}x{width}"


def sides(size: int | str) -> tuple[int, int]:
    """Return height and width in pixels of a size that :func:`read_size` returned.

    >>> sides(64), sides("48x96")
    ((64, 64), (48, 96))
    """
    height, _, width = str(size).partition("x")
    return int(height), int(width or height)
