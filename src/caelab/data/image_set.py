"""Images in memory, their labels and their source, in one form for all sources."""

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
        name: ``"cifar10"``, ``"photos"``, ``"folder"``, ``"array"`` or the name of another layout.
        where: A path, or a library and its version.
        fingerprint: Hexadecimal digest of images and labels. Runs are named by it, not by the path.
        note: What people must know, such as which pictures were left out; usually empty.
        own_test: Whether the source has a test set of its own, which is never trained on.
    """

    name: str
    where: str
    fingerprint: str
    note: str = ""
    own_test: bool = False

    @property
    def data(self) -> str | None:
        """Name or path by which CIFAR-10 and the photos are found again; ``None`` for others.

        ``"auto"`` may find other images later, but finished runs must find their own.
        """
        return {"cifar10": self.where, "photos": "photos"}.get(self.name)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images in memory, with their labels and their source.

    Attributes:
        images: The images, ``uint8 (N, C, H, W)``; RGB for three channels.
        source: Where the images came from.
        labels: Indices into ``classes``, ``int64 (N,)``; ``None`` if there are no classes.
        classes: Names of the classes.
        part: The part that the source prescribes for each image, ``int8 (N,)``: ``TRAIN``,
            ``VALIDATION``, ``TEST``, or ``FREE``; ``None`` if it prescribes none.
        official_test: Whether each image is an official test image, ``bool (N,)``; ``None`` for all
            sources but CIFAR-10, whose test images are kept apart on demand only.
    """

    images: NDArray[np.uint8]
    source: Source
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    part: NDArray[np.int8] | None = None
    official_test: NDArray[np.bool_] | None = None


def fingerprint(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    part: NDArray[np.int8] | None = None,
) -> str:
    """Return 32 hexadecimal digits of the SHA-256 of shape, images, labels and prescribed parts.

    Args:
        images: ``uint8 (N, C, H, W)``.
        labels: ``int64 (N,)``, or ``None``.
        part: ``int8 (N,)``, or ``None``.
    """
    # The shape comes first: the same bytes in another shape are other images.
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    if labels is not None:
        # The order of bytes is fixed, so that the digest is the same on every machine.
        digest.update(labels.astype("<i8").data)
    if part is not None:
        digest.update(part.data)
    return digest.hexdigest()[:32]


def evenly_spaced(count: int, total: int) -> NDArray[np.int64]:
    """Return ``count`` of ``total`` indices, evenly spaced from the first to the last, ``int64``.

    All indices are returned if there are no more than ``count``.

    >>> evenly_spaced(3, 9).tolist()
    [0, 4, 8]
    """
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)
