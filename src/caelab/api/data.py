"""``caelab.load_data``: load images, split them, and look at them."""

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
"""Names of the channels of images with one and three channels."""


class Data:
    """Images and their split into training, validation and test images.

    Attributes:
        images: All images, their classes, and where they came from.
        split: Indices of the training, validation and test images in ``images``.
        config: Parameters with which the images were loaded: source, size, split and others.
    """

    def __init__(self, images: ImageSet, split: Split, config: DataConfig) -> None:
        self.images = images
        self.split = split
        self.config = config

    @property
    def train(self) -> NDArray[np.uint8]:
        """Images that the weights are fitted to, ``uint8 (N, C, H, W)``."""
        return self.images.images[self.split.train]

    @property
    def validation(self) -> NDArray[np.uint8]:
        """Images that are used to choose networks and epochs, ``uint8 (N, C, H, W)``."""
        return self.images.images[self.split.validation]

    @property
    def test(self) -> NDArray[np.uint8]:
        """Images on which finished networks are measured, ``uint8 (N, C, H, W)``."""
        return self.images.images[self.split.test]

    def labels(self, part: Part) -> NDArray[np.int64] | None:
        """Return the class of each image of a part, ``int64 (N,)``; ``None`` without classes.

        Args:
            part: ``"train"``, ``"validation"`` or ``"test"``.
        """
        labels = self.images.labels
        return None if labels is None else labels[getattr(self.split, part)]

    @cached_property
    def summary(self) -> Summary:
        """Counts, statistics of the channels, and numbers of images that occur in two parts."""
        return summarize(self.images, self.split)

    @property
    def parts(self) -> Table:
        """Number of images in each part, and its share of all images."""
        counts = self.summary.counts
        total = sum(counts.values())
        return Table(
            {"part": name, "images": count, "share": count / total}
            for name, count in counts.items()
        )

    @property
    def channels(self) -> Table:
        """Mean and standard deviation of each channel of the training images, pixels in [0, 1]."""
        train = self.summary.train
        count = len(train.mean)
        names = CHANNEL_NAMES.get(count, [str(number) for number in range(1, count + 1)])
        rows = zip(names, train.mean, train.std, strict=True)
        return Table({"channel": name, "mean": mean, "std": std} for name, mean, std in rows)

    def normalize(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scale pixels to [0, 1], subtract the training mean and divide by the training deviation.

        Each channel has its own mean and standard deviation (:attr:`channels`). Training normalizes
        its inputs in this way unless ``normalize="none"``. Errors are always measured on [0, 1].

        Args:
            images: ``uint8 (N, C, H, W)``.

        Returns:
            ``float32 (N, C, H, W)``. Over all training images, a channel has mean 0 and standard
            deviation 1.
        """
        train = self.summary.train
        mean, std = (
            np.array(each, np.float32)[:, None, None] for each in (train.mean, train.divisors)
        )
        scaled: NDArray[np.float32] = images.astype(np.float32) / np.float32(255)
        return (scaled - mean) / std

    def show(self) -> Picture:
        """Show some images, with one row for each class if there are classes."""
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
    """Load images, and split them into 80% training, 10% validation and 10% test images.

    >>> import caelab
    >>> data = caelab.load_data("photos", train_size=500)
    >>> data.train.shape, data.validation.shape, data.test.dtype
    ((500, 3, 32, 32), (800, 3, 32, 32), dtype('uint8'))
    >>> data.channels
    channel    mean     std
    red      0.4...  0.2...
    green    0.3...  0.2...
    blue     0.3...  0.2...

    Arrays can be the source, too. Here they are gray images with classes and their own test set:

    >>> images, labels = np.random.default_rng(0).random((100, 8, 8)), np.arange(100) % 10
    >>> data = caelab.load_data({"train": (images, labels), "test": (images[:20], labels[:20])})
    >>> data.train.shape, data.validation.shape, data.test.shape
    ((90, 1, 8, 8), (10, 1, 8, 8), (20, 1, 8, 8))

    Args:
        source: One of these:

            - ``"auto"``: the source in the environment variable ``CAELAB_DATA``. If the variable is
              not set: CIFAR-10 if it is on this machine or can be downloaded, or else the built-in
              photos;
            - ``"cifar10"`` or ``"photos"``: CIFAR-10, or the built-in photos;
            - a path: a folder of pictures, a file with arrays, or a data set;
            - an array ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)`` of bytes, or of numbers
              in [0, 1] or [0, 255];
            - a pair ``(images, classes)``: an array of images, and the class of each image;
            - a sequence, such as a PyTorch ``Dataset``. Its items are images, or pairs of an image
              and its class;
            - a mapping with the keys ``"train"``, ``"val"`` and ``"test"``, whose values are
              arrays, pairs or sequences.

            If a source other than CIFAR-10 has its own test set, these images are the test images.
        size: Side in pixels, 1 to 1024; or height and width, such as ``(48, 96)`` or ``"48x96"``.
            Pictures are cropped and resized to it, by default to 32. Arrays must have this size
            already.
        channels: Number of channels. Pictures are converted to 3 channels (the default) or 1. RGB
            arrays can be converted to 1. Other arrays must have this number already.
        split: ``"pooled"`` splits all images at random, with the same share of each class.
            ``"official"`` keeps the test images of CIFAR-10, for comparisons with papers.
        split_seed: Seed of the shuffle before the split, 0 or more.
        train_size: Largest number of training images.
        val_size: Largest number of validation images.
        test_size: Largest number of test images.

    Raises:
        InputError: There is no such source, the data are damaged or too few, or a parameter is
            wrong.
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
