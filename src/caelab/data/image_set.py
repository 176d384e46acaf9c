"""What every source of images gives: the images, their labels, and where they came from."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST, FREE = 0, 1, 2, -1
"""Values of ``ImageSet.part``."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where images came from, in words for people and in a digest for machines.

    Attributes:
        name: ``"cifar10"``, ``"folder"`` or ``"photos"``.
        where: A path, or a library and its version.
        note: Empty, or what people must know: why this was taken instead of what was wanted, what
            was left out.
        fingerprint: Hexadecimal digest of images and labels, so that a run is keyed by its data,
            not by a path.
    """

    name: str
    where: str
    note: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images at rest.

    Attributes:
        images: uint8 (N, 3, H, W), RGB.
        labels: int64 (N,), indices into ``classes``; ``None`` where there are no classes.
        classes: The names of the classes; ``()`` where there are none.
        source: Where they came from.
        part: int8 (N,), the part that the source itself fixes for an image (``TRAIN``,
            ``VALIDATION``, ``TEST``, or ``FREE``); ``None`` where it fixes nothing.
        official_test: bool (N,), the official test images of CIFAR-10; ``None`` for everything
            else.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    source: Source
    part: NDArray[np.int8] | None
    official_test: NDArray[np.bool_] | None


def fingerprint(images: NDArray[np.uint8], labels: NDArray[np.int64] | None) -> str:
    """Return 32 hexadecimal digits of the SHA-256 of shape, images and labels.

    Args:
        images: uint8 (N, 3, H, W), contiguous.
        labels: int64 (N,), or ``None``.
    """
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    if labels is not None:
        digest.update(labels.astype("<i8").data)
    return digest.hexdigest()[:32]
