"""Split a data set into training, validation and test images."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caelab.data.image_set import FREE, TEST, TRAIN, VALIDATION, ImageSet
from caelab.errors import InputError

HELD_OUT = 0.1
"""Share of the images for validation, and for testing if the source prescribes no test images."""

Indices = NDArray[np.int64]
"""Indices of images, ``(N,)``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Indices into an ``ImageSet``, ``int64`` and sorted; no index is in two parts.

    Attributes:
        train: Indices of the images that the weights are fitted to.
        validation: Indices of the images that are used to choose weights and parameters.
        test: Indices of the images on which the finished network is measured.
    """

    train: Indices
    validation: Indices
    test: Indices


def split_images(
    images: ImageSet,
    *,
    mode: Literal["pooled", "official"] = "pooled",
    seed: int = 0,
    val_size: int | None = None,
    train_size: int | None = None,
    test_size: int | None = None,
) -> Split:
    """Split images into training, validation and test images, with the same share of each class.

    Parts that the source prescribes are kept. A tenth of the free images is chosen for each of
    validation and test if the source prescribes none; the rest is for training. A smaller
    ``val_size``, ``train_size`` or ``test_size`` chooses a subset of what a larger one chooses.

    Args:
        images: The images.
        mode: ``"official"`` tests on CIFAR-10's own test images; ``"pooled"`` splits them, too.
        seed: Seed of all random choices, 0 or more.
        val_size: Largest number of validation images; further ones become training images.
        train_size: Largest number of training images; further ones are in no part.
        test_size: Largest number of test images; further ones are in no part.

    Raises:
        InputError: ``mode`` is ``"official"`` without a test set, or a part would be empty.
    """
    part = np.full(len(images.images), FREE, np.int8) if images.part is None else images.part.copy()
    if mode == "official":
        if images.official_test is not None:
            part[images.official_test] = TEST
        elif not images.source.own_test:
            raise InputError(
                f"{images.source.where} has no official test set. Leave the split at pooled."
            )

    # A stable sort by class keeps the random order within each class.
    free = np.random.default_rng(seed).permutation(np.flatnonzero(part == FREE))
    ends = np.array([len(free)])  # without classes, all images count as one class
    if images.labels is not None:
        free = free[np.argsort(images.labels[free], kind="stable")]
        ends = np.flatnonzero(np.diff(images.labels[free], append=-1)) + 1
    shares = [0.0 if (part == each).any() else HELD_OUT for each in (VALIDATION, TEST)]
    part[free] = _allot(ends, *shares)

    parts = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    rows = {name: np.flatnonzero(part == value) for name, value in parts.items()}
    for name, indices in rows.items():
        if not len(indices):
            raise InputError(
                f"{len(images.images)} images of {images.source.where} are too few: nothing is left"
                f" for {name}."
            )
    # The validation images are limited first, because some may become training images.
    if val_size is not None:
        rows["validation"], rest = _choose(rows["validation"], val_size, seed)
        rows["train"] = np.union1d(rows["train"], rest)
    for name, size in (("train", train_size), ("test", test_size)):
        if size is not None:
            rows[name], _ = _choose(rows[name], size, seed)
    return Split(**rows)


def _choose(indices: Indices, count: int, seed: int) -> tuple[Indices, Indices]:
    """Return ``count`` random indices, sorted, and all other indices in random order."""
    shuffled = np.random.default_rng(seed).permutation(indices)
    return np.sort(shuffled[:count]), shuffled[count:]


def _allot(ends: Indices, validation: float, test: float) -> NDArray[np.int8]:
    """Return the part of each image, ``int8 (N,)``, for images that are sorted by class.

    Rounded are the sums over the first classes, not the counts of single classes. So the numbers of
    each class and of all images are within about one image of their shares.

    Args:
        ends: For each class, the index after its last image.
        validation: Share of validation images.
        test: Share of test images.
    """
    held_out = np.rint(ends * (validation + test)).astype(np.int64)
    tested = np.rint(held_out * (test / ((validation + test) or 1))).astype(np.int64)
    cumulative = np.stack([tested, held_out - tested, ends - held_out], axis=1)
    counts = np.diff(cumulative, axis=0, prepend=0)
    parts = np.array([TEST, VALIDATION, TRAIN], np.int8)
    return np.repeat(np.tile(parts, len(ends)), counts.ravel())
