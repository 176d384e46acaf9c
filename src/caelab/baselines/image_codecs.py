"""JPEG and WebP: the bytes and errors that a network's code is compared with."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from caelab.data.device_images import DeviceImages


@dataclass(frozen=True, kw_only=True)
class FileCost:
    """Size and error of an image format at one setting.

    Attributes:
        format: Name of the format.
        setting: Quality, and for JPEG the sampling of the chroma, in words.
        bytes: Mean size of a file.
        payload_bytes: Mean size without what is the same in every file of this setting: JPEG's
            tables, WebP's container. A collection could store that once; small files consist of
            little else.
        mse: Mean over images of the MSE on [0, 1].
        n: Number of measured images.
    """

    format: str
    setting: str
    bytes: float
    payload_bytes: float
    mse: float
    n: int


QUALITIES = (1, 3, 5, 8, 12, 18, 25, 35, 45, 55, 65, 75, 85, 90, 95, 98, 100)
"""Qualities of JPEG and WebP, dense enough for straight lines between them."""


def file_costs(
    pixels: DeviceImages, *, qualities: Sequence[int] = QUALITIES
) -> tuple[FileCost, ...]:
    """Return the cost of JPEG and WebP at every quality, and of lossless WebP.

    Args:
        pixels: Color images ``(N, 3, H, W)``.
        qualities: Qualities from 1 to 100.

    Returns:
        JPEG with chroma at half resolution (4:2:0), then at full resolution (4:4:4), then WebP.
    """
    settings: list[tuple[str, str, dict[str, Any]]] = [
        ("JPEG", f"quality {quality}, {sampling}", {"quality": quality, "subsampling": sampling})
        for sampling in ("4:2:0", "4:4:4")
        for quality in qualities
    ]
    settings += [("WebP", f"quality {each}", {"quality": each}) for each in qualities]
    settings.append(("WebP", "lossless", {"lossless": True, "quality": 100}))
    return tuple(_file_cost(pixels, *setting) for setting in settings)


def error_at(
    costs: Iterable[FileCost], available: float, *, count: Literal["bytes", "payload_bytes"]
) -> float | None:
    """Return the smallest mean error that a format reaches with a mean number of bytes.

    Args:
        costs: Settings of one format.
        available: Mean bytes per image.
        count: Bytes that count: of the whole file, or of the payload.

    Returns:
        The MSE on [0, 1]; ``None`` if the smallest setting takes more bytes.

    >>> small = FileCost(format="", setting="", bytes=10, payload_bytes=5, mse=0.4, n=1)
    >>> large = FileCost(format="", setting="", bytes=30, payload_bytes=25, mse=0.2, n=1)
    >>> round(error_at([small, large], 20, count="bytes"), 3)
    0.3
    """
    points = [(float(getattr(cost, count)), cost.mse) for cost in costs]
    within = [point for point in points if point[0] <= available]
    if not within:
        return None
    # Two settings, each used for a part of the images, reach all bytes and errors on the line
    # between them; the best mixture lies on the lower convex hull of all settings.
    mixtures = [
        error + (available - size) / (larger - size) * (smaller_error - error)
        for size, error in within
        for larger, smaller_error in points
        if larger > available
    ]
    return min([error for _, error in within] + mixtures)


def _file_cost(pixels: DeviceImages, name: str, setting: str, options: dict[str, Any]) -> FileCost:
    costs = []
    for rows in pixels.batches(1024):
        pictures = pixels.batch(rows).mul(255).round_().byte().permute(0, 2, 3, 1).cpu().numpy()
        for picture in pictures:
            file = io.BytesIO()
            Image.fromarray(picture).save(file, name, **options)
            data = file.getvalue()
            with Image.open(file) as opened:
                decoded = np.asarray(opened.convert("RGB"), np.float64)
            error = np.mean((decoded - picture) ** 2) / 255**2
            costs.append((len(data), len(data) - _fixed_bytes(data), error))
    size, payload, mse = map(float, np.mean(costs, axis=0))
    return FileCost(
        format=name, setting=setting, bytes=size, payload_bytes=payload, mse=mse, n=len(costs)
    )


def _fixed_bytes(data: bytes) -> int:
    """Return how many bytes of a file are the same in all files of its format, setting and size."""
    if data.startswith(b"RIFF"):
        # WebP (RFC 9649, RFC 6386): headers of the container and the chunk; then the start code and
        # dimensions in lossy files, the signature and dimensions in lossless ones.
        return 20 + (7 if data[12:16] == b"VP8 " else 5)
    # JPEG (ITU-T T.81): everything up to the end of the scan's header, and the end marker. Pillow's
    # Huffman tables are the standard's, not the image's.
    position = 2
    while data[position + 1] != 0xDA:  # start of scan
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    return position + 2 + int.from_bytes(data[position + 2 : position + 4]) + 2
