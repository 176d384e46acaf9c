"""Summarize a data set: counts, statistics of channels, duplicates, and a sheet of some images."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caelab.data.image_set import ImageSet, Source, evenly_spaced
from caelab.data.mapped_file import chunks
from caelab.data.split import Split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS, _MAX_CLASSES = 12, 30
"""Largest number of images in a row of the contact sheet, and of classes on it."""


@dataclass(frozen=True, kw_only=True)
class ChannelStatistics:
    """Mean and population standard deviation of each channel over pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def divisors(self) -> tuple[float, ...]:
        """Divisors for normalization: each channel's standard deviation, or 1 if it is 0."""
        return tuple(value or 1.0 for value in self.std)

    def __str__(self) -> str:
        mean, std = (
            " ".join(f"{value:.4f}" for value in values) for values in (self.mean, self.std)
        )
        return f"mean {mean}  std {std}"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Summary of a data set, as ``caelab data`` prints it.

    Attributes:
        source: Where the images came from.
        size: Height and width in pixels.
        counts: Number of images in each part.
        class_counts: Number of images in each part, for each class; empty if there are no classes.
        train: Statistics of the training images.
        official_train: Statistics of CIFAR-10's 50,000 official training images; ``None`` for other
            sources.
        duplicates: Number of identical images for each pair of parts. ``"train–test"`` counts the
            test images that are byte for byte equal to a training image.
    """

    source: Source
    size: tuple[int, int]
    counts: dict[str, int]
    class_counts: dict[str, dict[str, int]]
    train: ChannelStatistics
    official_train: ChannelStatistics | None
    duplicates: dict[str, int]

    def as_text(self) -> str:
        """Return the summary as lines of text."""
        height, width = self.size
        rows = {
            "source": f"{self.source.name}, {self.source.where}",
            "images": f"{sum(self.counts.values()):,} of {height}×{width} pixels,"
            f" {len(self.train.mean)} channel{'s' * (len(self.train.mean) > 1)}",
            "parts": _listed(self.counts),
            "train": str(self.train),
            "official": self.official_train
            and f"{self.official_train}  (the 50,000 training images)",
            "duplicates": _listed(self.duplicates),
        }
        lines = [f"{name:<10}  {value}" for name, value in rows.items() if value]
        if self.class_counts:
            width = max(map(len, self.class_counts))
            lines.append("")
            for name, counts in self.class_counts.items():
                lines.append(f"{name:<{width}}  {_listed(counts)}")
        return "\n".join(lines)


def summarize(images: ImageSet, split: Split) -> Summary:
    """Return counts, statistics of the channels and duplicates of a set of images and its split."""
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    class_counts = {}
    for label, name in enumerate(images.classes):
        assert images.labels is not None
        members = images.labels == label
        class_counts[name] = {part: int(members[rows].sum()) for part, rows in parts.items()}
    # Digests of images need less memory than the images, and two different images practically never
    # have the same one.
    digests = [
        hashlib.blake2b(image.data, digest_size=16).digest()
        for chunk in chunks(images.images)
        for image in np.ascontiguousarray(chunk)
    ]
    duplicates = {
        f"{first}–{second}": sum(digests[index] in known for index in parts[second])
        for first, second in combinations(parts, 2)
        for known in [{digests[index] for index in parts[first]}]
    }
    official_train = None
    if images.official_test is not None:
        indices = np.flatnonzero(~images.official_test)
        official_train = channel_statistics(chunks(images.images, indices))
    height, width = images.images.shape[2:]
    return Summary(
        source=images.source,
        size=(height, width),
        counts={part: len(indices) for part, indices in parts.items()},
        class_counts=class_counts,
        train=channel_statistics(chunks(images.images, split.train)),
        official_train=official_train,
        duplicates=duplicates,
    )


def channel_statistics(images: Iterable[NDArray[np.uint8]]) -> ChannelStatistics:
    """Return mean and standard deviation of each channel over some images.

    The sums are of integers, so that the result does not depend on the order of the images.

    Args:
        images: Chunks of images, ``uint8 (K, C, H, W)``, at least one. A chunk should have at most
            a few thousand images, because their squares take twice their memory.
    """
    count = 0
    sums: NDArray[np.int64] | int = 0
    for chunk in images:
        powers = (chunk, np.square(chunk, dtype=np.uint16))
        sums += np.array([values.sum(axis=(0, 2, 3), dtype=np.int64) for values in powers])
        count += len(chunk) * chunk.shape[2] * chunk.shape[3]
    totals = np.transpose(sums).tolist()  # Python's integers do not overflow when multiplied
    return ChannelStatistics(
        mean=tuple(total / (255 * count) for total, _ in totals),
        std=tuple((count * square - total**2) ** 0.5 / (255 * count) for total, square in totals),
    )


def _listed(counts: dict[str, int]) -> str:
    return "  ".join(f"{name} {count:,}" for name, count in counts.items())


def contact_sheet(images: ImageSet, path: Path) -> None:
    """Write a picture that shows some images of each class.

    Args:
        images: The images.
        path: File of the picture: an SVG if its suffix is ``.svg``, otherwise a PNG.

    Raises:
        InputError: The file cannot be written.
    """
    from caelab.plotting import save_figure

    save_figure(draw_contact_sheet(images), path)


def draw_contact_sheet(images: ImageSet) -> "Figure":
    """Draw a row of up to 12 images for each class, or ten rows if there are no classes.

    The images are evenly spaced in the set. Only the first 30 classes are drawn.
    """
    # Importing Matplotlib takes long, and training needs only this module's statistics.
    from caelab.plotting import draw_image_rows

    if images.labels is None:
        shown = evenly_spaced(10 * _COLUMNS, len(images.images))
        parts = (shown[start : start + _COLUMNS] for start in range(0, len(shown), _COLUMNS))
        rows = {f"from image {part[0]:,}": part for part in parts}
    else:
        members = (np.flatnonzero(images.labels == label) for label in range(_MAX_CLASSES))
        rows = {
            name: indices[evenly_spaced(_COLUMNS, len(indices))]
            for name, indices in zip(images.classes, members, strict=False)
        }
    pictures = {name: images.images[part] / np.float32(255) for name, part in rows.items()}
    return draw_image_rows(pictures)
