"""The numbers that describe the data are exact."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from caelab.data.image_set import ImageSet, Source
from caelab.data.split import Split
from caelab.data.summary import channel_statistics, summarize

SOURCE = Source(name="folder", where="somewhere", note="", fingerprint="0")


def image_set(count: int, *, classes: tuple[str, ...] = ()) -> ImageSet:
    return ImageSet(
        images=np.random.default_rng(0).integers(0, 256, (count, 3, 8, 6), dtype=np.uint8),
        labels=np.arange(count) % len(classes) if classes else None,
        classes=classes,
        source=SOURCE,
        part=None,
        official_test=None,
    )


def test_statistics_are_those_of_double_precision() -> None:
    images = image_set(4500).images
    indices = np.arange(0, 4500, 2)
    found = channel_statistics([images[indices]])
    pixels = images[indices] / 255
    assert found.mean == pytest.approx(pixels.mean(axis=(0, 2, 3)), rel=1e-12)
    assert found.std == pytest.approx(pixels.std(axis=(0, 2, 3)), rel=1e-12)
    assert channel_statistics([images[np.random.default_rng(1).permutation(indices)]]) == found


def test_statistics_of_extremes() -> None:
    images = np.zeros((3000, 3, 8, 8), np.uint8)
    images[:, 1] = 255
    images[::2, 2] = 255
    found = channel_statistics([images])
    assert found.mean == (0, 1, 0.5)
    assert found.std == (0, 0, 0.5)


def test_counts_and_duplicates() -> None:
    images = image_set(20, classes=("cat", "dog"))
    images.images[15] = images.images[0]
    images.images[16] = images.images[0]
    images.images[19] = images.images[16]
    split = Split(train=np.arange(12), validation=np.arange(12, 16), test=np.arange(16, 20))
    summary = summarize(images, split)
    assert summary.counts == {"train": 12, "validation": 4, "test": 4}
    assert summary.class_counts["cat"] == {"train": 6, "validation": 2, "test": 2}
    assert summary.duplicates == {"train–validation": 1, "train–test": 2, "validation–test": 2}
    assert summary.size == (8, 6)
    assert summary.train == channel_statistics([images.images[split.train]])
    assert summary.official_train is None


def test_it_can_be_read_and_stored() -> None:
    images = image_set(2000, classes=("cat", "dog"))
    split = Split(
        train=np.arange(1600), validation=np.arange(1600, 1800), test=np.arange(1800, 2000)
    )
    summary = summarize(images, split)
    assert json.loads(json.dumps(asdict(summary)))["class_counts"]["dog"] == {
        "train": 800,
        "validation": 100,
        "test": 100,
    }
    lines = summary.as_text().splitlines()
    assert lines[:3] == [
        "source      folder, somewhere",
        "images      2,000 of 8×6 pixels, 3 channels",
        "parts       train 1,600  validation 200  test 200",
    ]
    assert lines[3] == f"train       {summary.train}"
    assert lines[-1] == "dog  train 800  validation 100  test 100"
