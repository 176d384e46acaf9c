"""What is there: counts, statistics, duplicates."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caelab.data.image_set import ImageSet, Source
from caelab.data.split import Split

_CHUNK = 2000


@dataclass(frozen=True, kw_only=True)
class ChannelStatistics:
    """Mean and standard deviation (of the population) of each channel, pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __str__(self) -> str:
        mean, std = (
            " ".join(f"{value:.4f}" for value in values) for values in (self.mean, self.std)
        )
        return f"mean {mean}  std {std}"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What ``caelab data`` tells.

    Attributes:
        source: Where the images came from.
        size: (height, width), in pixels.
        counts: Part → images.
        class_counts: Class → part → images; empty where there are no classes.
        train: Statistics of the training part.
        official_train: Statistics of the 50,000 official training images of CIFAR-10; else
            ``None``.
        duplicates: ``"train–test"`` and so on → images of the second part that are, byte for byte,
            in the first.
    """

    source: Source
    size: tuple[int, int]
    counts: dict[str, int]
    class_counts: dict[str, dict[str, int]]
    train: ChannelStatistics
    official_train: ChannelStatistics | None
    duplicates: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return asdict(self)

    def as_text(self) -> str:
        """Return it as lines for people."""
        height, width = self.size
        lines = [
            f"source      {self.source.name}, {self.source.where}",
            f"images      {sum(self.counts.values()):,} of {width}×{height}",
            f"parts       {_listed(self.counts)}",
            f"train       {self.train}",
        ]
        if self.official_train:
            lines.append(f"official    {self.official_train}  (the 50,000 training images)")
        lines.append(f"duplicates  {_listed(self.duplicates)}")
        if self.source.note:
            lines.append(f"note        {self.source.note}")
        if self.class_counts:
            width = max(map(len, self.class_counts))
            lines += [
                "",
                *(
                    f"{name:<{width}}  {_listed(counts)}"
                    for name, counts in self.class_counts.items()
                ),
            ]
        return "\n".join(lines)


def summarize(images: ImageSet, split: Split) -> Summary:
    """Count and measure a set of images and its split."""
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    class_counts: dict[str, dict[str, int]] = {name: {} for name in images.classes}
    if images.labels is not None:
        for part, indices in parts.items():
            counts = np.bincount(images.labels[indices], minlength=len(images.classes))
            for name, count in zip(images.classes, counts, strict=True):
                class_counts[name][part] = int(count)
    digests = [hashlib.blake2b(image.data, digest_size=16).digest() for image in images.images]
    known = {part: {digests[index] for index in indices} for part, indices in parts.items()}
    pairs = (("train", "validation"), ("train", "test"), ("validation", "test"))
    official = images.official_test
    return Summary(
        source=images.source,
        size=(images.images.shape[2], images.images.shape[3]),
        counts={part: len(indices) for part, indices in parts.items()},
        class_counts=class_counts,
        train=channel_statistics(images.images, split.train),
        official_train=(
            None
            if official is None
            else channel_statistics(images.images, np.flatnonzero(~official))
        ),
        duplicates={
            f"{first}–{second}": sum(digests[index] in known[first] for index in parts[second])
            for first, second in pairs
        },
    )


def channel_statistics(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> ChannelStatistics:
    """Mean and standard deviation of each channel, by integer sums: exact, and the same in every
    order.

    Args:
        images: uint8 (N, C, H, W).
        indices: Which of them.
    """
    sums, squares = np.zeros((2, images.shape[1]), np.int64)
    for start in range(0, len(indices), _CHUNK):
        chunk = images[indices[start : start + _CHUNK]]
        sums += chunk.sum(axis=(0, 2, 3), dtype=np.int64)
        squares += np.square(chunk, dtype=np.uint16).sum(axis=(0, 2, 3), dtype=np.int64)
    count = len(indices) * images.shape[2] * images.shape[3]
    totals = [(int(total), int(square)) for total, square in zip(sums, squares, strict=True)]
    return ChannelStatistics(
        mean=tuple(total / (255 * count) for total, _ in totals),
        std=tuple((count * square - total**2) ** 0.5 / (255 * count) for total, square in totals),
    )


def _listed(counts: dict[str, int]) -> str:
    return "  ".join(f"{name} {count:,}" for name, count in counts.items())
