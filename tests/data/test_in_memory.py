"""Images in memory: arrays, datasets of PyTorch, and other sequences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from caelab.data.in_memory import collect_images
from caelab.data.split import split_images
from caelab.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 3, 6, 8), np.uint8)
LABELS = np.arange(20) % 4


class OwnDataset(torch.utils.data.Dataset):
    """Like those of torchvision: pictures of Pillow, and the names of the classes."""

    classes = ("ant", "bee", "cat", "dog")

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        if index >= len(self):
            raise IndexError(index)
        return Image.fromarray(IMAGES[index].transpose(1, 2, 0)), int(LABELS[index])


SOURCES: dict[str, Callable[[], Any]] = {
    "array": lambda: IMAGES,
    "channels last": lambda: IMAGES.transpose(0, 2, 3, 1),
    "pair of arrays": lambda: (IMAGES, LABELS),
    "tensors": lambda: TensorDataset(torch.tensor(IMAGES) / 255, torch.tensor(LABELS)),
    "dataset": OwnDataset,
    "part of a dataset": lambda: torch.utils.data.Subset(OwnDataset(), range(20)),
    "list of arrays": lambda: list(IMAGES),
    "list of pairs": lambda: [[image, label] for image, label in zip(IMAGES, LABELS, strict=True)],
    "rows": lambda: [
        {"image": Image.fromarray(image.transpose(1, 2, 0)), "label": label}
        for image, label in zip(IMAGES, LABELS, strict=True)
    ],
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_kind_gives_the_same_images(name: str) -> None:
    found = collect_images(SOURCES[name](), size=(6, 8))
    assert np.array_equal(found.images, IMAGES)
    assert (found.source.name, found.part) == ("array", None)
    if name in ("array", "channels last", "list of arrays"):
        assert found.labels is None
        return
    assert found.labels is not None
    assert found.labels.tolist() == LABELS.tolist()
    assert found.classes == (OwnDataset.classes if name == "dataset" else ("0", "1", "2", "3"))


def test_parts_are_kept() -> None:
    parts = {"train": (IMAGES[:10], LABELS[:10]), "val": IMAGES[10:15], "test": IMAGES[15:]}
    split = split_images(found := collect_images(parts))
    assert (len(split.train), split.test.tolist()) == (10, [15, 16, 17, 18, 19])
    assert split.validation.tolist() == [10, 11, 12, 13, 14]
    assert found.labels is None  # a part has none
    assert found.source.own_test


def test_pictures_are_resized_and_gray_on_demand() -> None:
    assert collect_images(OwnDataset()).images.shape == (20, 3, 32, 32)
    found = collect_images(OwnDataset(), size=(6, 8), channels=1).images
    luma = np.tensordot([0.299, 0.587, 0.114], IMAGES, (0, 1))
    assert np.abs(found[:, 0] - luma).max() <= 0.51


def test_labels_that_are_no_classes_are_left_out() -> None:
    boxes = [(image, {"boxes": [[0, 0, 2, 2]]}) for image in IMAGES]
    assert collect_images(boxes).labels is None
    assert collect_images((IMAGES, LABELS / 7)).labels is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "holds no images"),
        ({"trial": IMAGES}, "'trial' is no part"),
        ([np.zeros(4), np.zeros(4)], "item 0 is no image"),
        (["a.png"], "item 0 is no image"),
        ([IMAGES[0], IMAGES[0, :, :4]], "image 1 is uint8"),
        ([IMAGES[0], IMAGES[1] / 255], "image 1 is float64"),
        (TensorDataset(torch.randn(9, 3, 8, 8)), "reach from -"),
        ((IMAGES, LABELS[:5]), "classes"),
    ],
)
def test_what_is_wrong_is_said(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        collect_images(source)


def test_size_and_channels_must_fit() -> None:
    with pytest.raises(InputError, match=r"`data\.size` 6x8 and `data\.channels` 3"):
        collect_images(IMAGES, size=(8, 8))
    with pytest.raises(InputError, match=r"`data\.channels` 3"):
        collect_images(IMAGES, channels=4)
