"""The same images and the same split for every contestant."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.tasks import Task
from caelab.data.image_set import ImageSet, Source
from caelab.data.load import load_images
from caelab.data.split import Split, split_images


def images_and_split(task: Task) -> tuple[ImageSet, Split]:
    """Return the task's images, and the default split with at most its number of images."""
    if task.data == "synthetic":
        images = synthetic(round((task.images or 1000) / 0.8), task.size)
    else:
        images = load_images(task.data)
    split = split_images(images)
    return images, replace(split, train=split.train[: task.images])


def synthetic(count: int, size: int) -> ImageSet:
    """Return noise, which serves for time and memory only."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, size, size), np.uint8)
    source = Source(name="synthetic", where="noise", note="", fingerprint=f"noise-{count}-{size}")
    return ImageSet(
        images=pixels, labels=None, classes=(), source=source, part=None, official_test=None
    )


def train_and_test(task: Task) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    """Return training and test images and the data's name.

    The images are ``uint8 (N, H, W, 3)``, as most libraries take them.
    """
    images, split = images_and_split(task)
    train, test = (
        np.ascontiguousarray(images.images[rows].transpose(0, 2, 3, 1))
        for rows in (split.train, split.test)
    )
    return train, test, images.source.name
