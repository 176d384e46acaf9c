"""The form that images of every source have in memory, with their labels and their source."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caelab.data.mapped_file import chunks

TRAIN, VALIDATION, TEST, FREE = 0, 1, 2, -1
"""Values of ``ImageSet.part``; images with ``FREE`` may come into any part."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Origin of images, with a digest by which the same images are recognized.

    Attributes:
        name: ``"cifar10"``, ``"photos"``, ``"folder"``, ``"array"`` or the name of another layout.
        where: A path, or a library and its version.
        fingerprint: Hexadecimal digest of images, labels and parts. The names of runs depend on it
            and not on the path.
        note: Note for the user, such as which pictures were left out; usually empty.
        own_test: Whether the source has its own test set, on which no network is trained.
    """

    name: str
    where: str
    fingerprint: str
    note: str = ""
    own_test: bool = False

    @property
    def data(self) -> str | None:
        """Data source that finds CIFAR-10 or the photos again; ``None`` for other images.

        A run stores this value instead of ``"auto"``, which may find other images later.
        """
        return {"cifar10": self.where, "photos": "photos"}.get(self.name)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images in memory, with their labels and their source.

    Attributes:
        images: The images, ``uint8 (N, C, H, W)``; RGB for three channels.
        source: Where the images came from.
        labels: Class of each image as an index into ``classes``, ``int64 (N,)``; ``None`` if there
            are no classes.
        classes: Names of the classes.
        part: Part that the source prescribes for each image, ``int8 (N,)``: ``TRAIN``,
            ``VALIDATION``, ``TEST``, or ``FREE``. ``None`` if the source prescribes no parts.
        official_test: Whether each image is a test image of CIFAR-10, ``bool (N,)``, for the split
            ``"official"``. ``None`` for all other sources.
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
        labels: Class of each image, ``int64 (N,)``, or ``None``.
        part: Prescribed part of each image, ``int8 (N,)``, or ``None``.
    """
    # The same bytes in another shape are other images, so the digest includes the shape.
    digest = hashlib.sha256(repr(images.shape).encode())
    for chunk in chunks(images):
        digest.update(np.ascontiguousarray(chunk).data)
    if labels is not None:
        # Little-endian bytes on every machine, so that the digest is the same everywhere.
        digest.update(labels.astype("<i8").data)
    if part is not None:
        digest.update(part.data)
    return digest.hexdigest()[:32]


def evenly_spaced(count: int, total: int) -> NDArray[np.int64]:
    """Return ``count`` evenly spaced indices from 0 to ``total - 1``, ``int64 (count,)``.

    If ``total`` is smaller than ``count``, all ``total`` indices are returned.

    >>> evenly_spaced(3, 9).tolist()
    [0, 4, 8]
    """
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)
