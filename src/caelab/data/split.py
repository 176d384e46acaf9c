"""Split a data set into training, validation and test images."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caelab.data.image_set import FREE, TEST, TRAIN, VALIDATION, ImageSet
from caelab.errors import InputError

HELD_OUT = 0.1
"""Share of the images that is held out for validation, and for test where no test set is given."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Indices into an ``ImageSet``, ``int64`` and sorted; no index is in two parts.

    Attributes:
        train: Images that the weights are fitted to.
        validation: Images by which weights and parameters are chosen.
        test: Images that are evaluated once, in the end.
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
    """Split into training, validation and test images, stratified by class if there are classes.

    Args:
        images: The images. Parts that their source prescribes are kept; its other images are
            divided among the other parts.
        mode: ``"pooled"`` shuffles all images and keeps a tenth each for validation and test;
            ``"official"`` keeps CIFAR-10's test images, and a tenth of the others for validation.
        seed: Seed of the shuffle, not negative.
        val_size: Largest number of validation images; the others join the training images.
        train_size: Largest number of training images. A smaller number chooses some of the images
            that a larger number chooses; this holds for the other parts, too.
        test_size: Largest number of test images; the others are in no part.

    Raises:
        InputError: There is no official test set, or a part would be empty.
    """
    part = np.full(len(images.images), FREE, np.int8) if images.part is None else images.part.copy()
    if mode == "official":
        if images.official_test is not None:
            part[images.official_test] = TEST
        elif not images.source.own_test:
            raise InputError(
                f"{images.source.where} has no official test set. Leave the split at pooled."
            )

    # Shuffled, then sorted by class with a stable sort: the order within a class stays random.
    free = np.random.default_rng(seed).permutation(np.flatnonzero(part == FREE))
    # Without classes, all images are of one class.
    ends = np.array([len(free)])
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
    # Validation images come first: those that are left out join the training images.
    if val_size is not None:
        rows["validation"], rest = _choose(rows["validation"], val_size, seed)
        rows["train"] = np.union1d(rows["train"], rest)
    for name, size in (("train", train_size), ("test", test_size)):
        if size is not None:
            rows[name], _ = _choose(rows[name], size, seed)
    return Split(**rows)


def _choose(indices: Indices, count: int, seed: int) -> tuple[Indices, Indices]:
    """Return ``count`` indices in order, and the others."""
    shuffled = np.random.default_rng(seed).permutation(indices)
    return np.sort(shuffled[:count]), shuffled[count:]


def _allot(ends: Indices, validation: float, test: float) -> NDArray[np.int8]:
    """Return the part of each image.

    Cumulative counts are rounded, not the counts of each class: so every class is within one image
    of its share, and so is the whole.

    Args:
        ends: Where each class ends among the images, which are sorted by class.
        validation: Share of validation images.
        test: Share of test images.
    """
    held_out = np.rint(ends * (validation + test)).astype(np.int64)
    tested = np.rint(held_out * (test / ((validation + test) or 1))).astype(np.int64)
    cumulative = np.stack([tested, held_out - tested, ends - held_out], axis=1)
    counts = np.diff(cumulative, axis=0, prepend=0)
    parts = np.array([TEST, VALIDATION, TRAIN], np.int8)
    return np.repeat(np.tile(parts, len(ends)), counts.ravel())
