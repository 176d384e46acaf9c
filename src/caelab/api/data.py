"""``caelab.load_data``: images with their split, as a student would look at them."""

from functools import cached_property
from html import escape
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import InstanceOf

from caelab.api.display import Picture, Table, checked, stacked
from caelab.data.image_set import ImageSet
from caelab.data.in_memory import Items, collect_images
from caelab.data.load import load_images
from caelab.data.size import read_size, sides
from caelab.data.split import Split
from caelab.data.summary import Summary, draw_contact_sheet, summarize
from caelab.experiments.config import DataConfig
from caelab.experiments.setup import load_data as split_data

Part = Literal["train", "validation", "test"]

CHANNEL_NAMES = {1: ["gray"], 3: ["red", "green", "blue"]}
"""Names of the channels, by their number."""


class Data:
    """Images and their split into training, validation and test images.

    Attributes:
        images: All images, their classes, and where they came from.
        split: Positions of the images of each part.
        config: Configuration of their source, size and split.
    """

    def __init__(self, images: ImageSet, split: Split, config: DataConfig) -> None:
        self.images = images
        self.split = split
        self.config = config

    @property
    def train(self) -> NDArray[np.uint8]:
        """Images that weights are fitted to, ``uint8 (N, C, H, W)``."""
        return self.images.images[self.split.train]

    @property
    def validation(self) -> NDArray[np.uint8]:
        """Images by which networks and epochs are chosen, ``uint8 (N, C, H, W)``."""
        return self.images.images[self.split.validation]

    @property
    def test(self) -> NDArray[np.uint8]:
        """Images that a finished network is measured on once, ``uint8 (N, C, H, W)``."""
        return self.images.images[self.split.test]

    def labels(self, part: Part) -> NDArray[np.int64] | None:
        """Return the class of each image of a part, ``int64 (N,)``; ``None`` without classes."""
        labels = self.images.labels
        return None if labels is None else labels[getattr(self.split, part)]

    @cached_property
    def summary(self) -> Summary:
        """Counts, statistics of the channels, and images that two parts share."""
        return summarize(self.images, self.split)

    @property
    def parts(self) -> Table:
        """Number of images of each part, and its share of all."""
        counts = self.summary.counts
        total = sum(counts.values())
        return Table(
            {"part": name, "images": count, "share": count / total}
            for name, count in counts.items()
        )

    @property
    def channels(self) -> Table:
        """Mean and standard deviation of each channel of the training images in [0, 1]."""
        train = self.summary.train
        count = len(train.mean)
        names = CHANNEL_NAMES.get(count, [str(number) for number in range(1, count + 1)])
        rows = zip(names, train.mean, train.std, strict=True)
        return Table({"channel": name, "mean": mean, "std": std} for name, mean, std in rows)

    def normalize(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Subtract the training images' mean from each channel and divide by its deviation.

        Training does this, too, unless ``normalize="none"``; errors are always measured on
        [0, 1].

        Args:
            images: ``uint8 (N, C, H, W)``.

        Returns:
            ``float32 (N, C, H, W)``; over all training images a mean of 0 and a deviation of 1.
        """
        train = self.summary.train
        mean, std = (
            np.array(each, np.float32)[:, None, None] for each in (train.mean, train.divisors)
        )
        scaled: NDArray[np.float32] = images.astype(np.float32) / np.float32(255)
        return (scaled - mean) / std

    def show(self) -> Picture:
        """Show some images, a row for each class where there are classes."""
        figure = draw_contact_sheet(self.images)
        return Picture.of(figure, "png", f"some images of {self.images.source.where}")

    def __repr__(self) -> str:
        return self.summary.as_text()

    def _repr_html_(self) -> str:
        height, width = self.summary.size
        heading = f"{escape(self.images.source.where)}: images of {height}×{width} pixels"
        return stacked(heading, self.parts, self.channels)


@checked
def load_data(
    source: str | Path | InstanceOf[Items] = "auto",
    *,
    size: int | str | tuple[int, int] | None = None,
    channels: int | None = None,
    split: Literal["pooled", "official"] = "pooled",
    split_seed: int = 0,
    train_size: int | None = None,
    val_size: int | None = None,
    test_size: int | None = None,
) -> Data:
    """Load images and split them into training, validation and test images, 80/10/10.

    >>> import caelab
    >>> data = caelab.load_data("photos", train_size=500)
    >>> data.train.shape, data.validation.shape, data.test.dtype
    ((500, 3, 32, 32), (800, 3, 32, 32), dtype('uint8'))
    >>> data.channels
    channel    mean     std
    red      0.4...  0.2...
    green    0.3...  0.2...
    blue     0.3...  0.2...

    Images in memory are given as they are; these are gray, with their classes and a test set:

    >>> images, labels = np.random.default_rng(0).random((100, 8, 8)), np.arange(100) % 10
    >>> data = caelab.load_data({"train": (images, labels), "test": (images[:20], labels[:20])})
    >>> data.train.shape, data.validation.shape, data.test.shape
    ((90, 1, 8, 8), (10, 1, 8, 8), (20, 1, 8, 8))

    Args:
        source: ``"auto"`` takes the path in the environment variable ``CAELAB_DATA``, else CIFAR-10
            that is found on the machine, else downloads it, else takes the built-in photos.
            ``"cifar10"`` insists on CIFAR-10, ``"photos"`` are the built-in photos. Otherwise a
            path of pictures, arrays or a data set; or images in memory: an array ``(N, H, W)``,
            ``(N, H, W, C)`` or ``(N, C, H, W)`` of bytes or of numbers in [0, 1] or [0, 255]; a
            pair of images and classes; a sequence, such as a PyTorch ``Dataset``, of images or of
            pairs of an image and its class; or any of these by ``"train"``, ``"val"`` and
            ``"test"``. A test set of its own is kept apart.
        size: Side in pixels, 1 to 1024, or height and width, to which pictures are cropped and
            resized, 32 by default. Arrays keep their size.
        channels: 3, or 1 for gray, to which pictures and RGB images are converted. By default
            pictures have 3, and arrays keep theirs.
        split: ``"pooled"`` splits all images by classes; ``"official"`` keeps CIFAR-10's own test
            images, for comparisons with papers.
        split_seed: Seed of the shuffle before the split, from 0 on.
        train_size: Largest number of training images.
        val_size: Largest number of validation images.
        test_size: Largest number of test images.

    Raises:
        InputError: There is no such data, it is damaged or too small, or a parameter is wrong.
    """
    chosen = {
        "source": str(source) if isinstance(source, str | Path) else "array",
        "size": size,
        "channels": channels,
        "split": split,
        "split_seed": split_seed,
        "train_size": train_size,
        "val_size": val_size,
        "test_size": test_size,
    }
    config = DataConfig.model_validate({k: v for k, v in chosen.items() if v is not None})
    asked = None if size is None else sides(config.size)
    if isinstance(source, str | Path):
        images = load_images(config.source, size=asked, channels=channels)
    else:
        images = collect_images(source, size=asked, channels=channels)
    found, *shape = images.images.shape[1:]
    config = config.model_copy(
        update={
            "source": images.source.data or config.source,
            "size": read_size(shape),
            "channels": found,
        }
    )
    _, parts = split_data(config, images)
    return Data(images, parts, config)
