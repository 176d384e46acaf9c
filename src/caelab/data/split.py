"""Which images train, which choose, which judge."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caelab.data.image_set import FREE, TEST, TRAIN, VALIDATION, ImageSet
from caelab.errors import InputError

OFFICIAL_VALIDATION = 0.1
"""Share of the official training images that is held out for validation."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Indices into an ``ImageSet``: int64, sorted, no index in two parts."""

    train: Indices
    validation: Indices
    test: Indices


def split_images(
    images: ImageSet,
    *,
    mode: Literal["pooled", "official"] = "pooled",
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
) -> Split:
    """Split into training, validation and test; stratified by class where there are classes.

    Args:
        images: What to split. The parts that its source fixes are kept.
        mode: ``"pooled"`` shuffles all images and cuts them by ``fractions``; ``"official"`` keeps
            the official test images and holds out a tenth of the others for validation.
        seed: Seeds the shuffle.
        fractions: Of training, validation and test; for ``"pooled"``.

    Raises:
        InputError: There is no official test set, a part would be empty, or seed or fractions make
            no sense.
    """
    if seed < 0:
        raise InputError(f"the seed of the split is {seed}; it must not be negative.")
    part = np.full(len(images.images), FREE, np.int8) if images.part is None else images.part.copy()
    if mode == "official":
        if images.official_test is None:
            raise InputError(
                f"{images.source.where} has no official test set; only CIFAR-10 has one. Leave the"
                " split at pooled."
            )
        part[images.official_test] = TEST
        shares = (1 - OFFICIAL_VALIDATION, OFFICIAL_VALIDATION, 0.0)
    else:
        if not all(share > 0 for share in fractions) or not math.isclose(sum(fractions), 1):
            raise InputError(
                f"the fractions of the split are {fractions}; they must be positive and sum to 1."
            )
        shares = fractions

    free = np.random.default_rng(seed).permutation(np.flatnonzero(part == FREE))
    if images.labels is not None:
        free = free[np.argsort(images.labels[free], kind="stable")]
        ends = np.flatnonzero(np.diff(images.labels[free], append=-1)) + 1
    else:
        ends = np.array([len(free)])
    part[free] = _allot(ends, shares)

    split = Split(
        train=np.flatnonzero(part == TRAIN),
        validation=np.flatnonzero(part == VALIDATION),
        test=np.flatnonzero(part == TEST),
    )
    for name in ("train", "validation", "test"):
        if not len(getattr(split, name)):
            raise InputError(
                f"{len(images.images)} images of {images.source.where} are too few: nothing is left"
                f" for {name}."
            )
    return split


def limit_training(split: Split, count: int, *, seed: int) -> Split:
    """Return the split with at most ``count`` training images; of a smaller count they are a part
    of a larger one's.
    """
    chosen = np.random.default_rng(seed).permutation(split.train)[:count]
    return Split(train=np.sort(chosen), validation=split.validation, test=split.test)


def limit_validation(split: Split, count: int, *, seed: int) -> Split:
    """Return the split with at most ``count`` validation images; the others join the training part.

    Of a smaller count they are a part of a larger one's.
    """
    shuffled = np.random.default_rng(seed).permutation(split.validation)
    train = np.concatenate([split.train, shuffled[count:]])
    return Split(train=np.sort(train), validation=np.sort(shuffled[:count]), test=split.test)


def _allot(ends: NDArray[np.int64], shares: tuple[float, float, float]) -> NDArray[np.int8]:
    """Return the parts of images that are sorted by class, where the classes end at ``ends``.

    Cumulative counts are rounded, not the counts of each class: every class is within one image of
    its share, and so is the whole.
    """
    _, validation, test = shares
    held_out = np.rint(ends * (validation + test)).astype(np.int64)
    tested = np.rint(held_out * (test / (validation + test))).astype(np.int64)
    sizes, held_out_sizes, tested_sizes = (
        np.diff(counts, prepend=0) for counts in (ends, held_out, tested)
    )
    counts = np.stack([tested_sizes, held_out_sizes - tested_sizes, sizes - held_out_sizes], axis=1)
    return np.repeat(
        np.tile(np.array([TEST, VALIDATION, TRAIN], np.int8), len(ends)), counts.ravel()
    )
