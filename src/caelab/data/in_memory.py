"""Make image sets from arrays, PyTorch's datasets, and other sequences of images in memory."""

import contextlib
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from caelab.data.arrays import PARTS, Arrays, join_arrays, require_memory, to_planes
from caelab.data.folder import Sides, read_picture
from caelab.data.image_set import ImageSet
from caelab.data.load import PICTURE_SIDE, fit
from caelab.data.parquet import LABELS
from caelab.errors import InputError
from caelab.progress import progress

WHERE = "the images in memory"
"""What messages call the source."""

_IMAGE_KEYS = ("image", "img", "x", "pixel_values")
"""Keys that the image may have in an item that is a mapping."""


@runtime_checkable
class Items(Protocol):
    """Images by index, such as an array, a list, or a PyTorch ``Dataset``."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, index: Any, /) -> Any:
        """Return an image, alone or with its class."""


def collect_images(
    source: Items, *, size: Sides | None = None, channels: int | None = None
) -> ImageSet:
    """Make an image set of images in memory. Each item of a sequence is read once, in order.

    Args:
        source: An array of images ``(N, …)``; a pair of arrays, images and classes; a sequence of
            images; a sequence of pairs of an image and its class; or a mapping from parts
            (``"train"``, ``"val"`` and ``"test"``) to any of these. An image in a sequence is a
            picture of Pillow, or an array or tensor ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``.
        size: Height and width in pixels. Pictures of Pillow are cropped and resized to them, by
            default to 32×32. Arrays must have them already.
        channels: Channels of the images. Pictures of Pillow are converted to 3 (the default) or 1.
            RGB arrays can be converted to 1. Other arrays must have this number already.

    Raises:
        InputError: An item is no image, or its size or channels do not fit.
    """
    by_part = source if isinstance(source, Mapping) and source else {"": source}
    if unknown := [word for word in by_part if word and word not in PARTS]:
        raise InputError(
            f"`source`: {unknown[0]!r} is no part of the images: expected {', '.join(PARTS)}."
        )
    classes: tuple[str, ...] = ()
    parts: dict[str, Arrays] = {}
    for word, items in by_part.items():
        # Datasets of torchvision have the names of the classes in this attribute.
        classes = classes or tuple(map(str, getattr(items, "classes", ())))
        parts[word] = _arrays_of(items, size, channels)
    images = join_arrays(parts, name="array", where=WHERE, classes=classes)
    return fit(images, size, channels)


def _arrays_of(items: Any, size: Sides | None, channels: int | None) -> Arrays:
    """Return images ``(N, …)``, and the class of each image or ``None``.

    Args:
        items: Images of one part, in any form that :func:`collect_images` takes except a mapping.
        size: Height and width for pictures of Pillow, in pixels; 32×32 by default.
        channels: Channels for pictures of Pillow; 3 by default.

    Raises:
        InputError: An item is no image, or images differ in shape or type, or do not fit into the
            memory.
    """
    if isinstance(items, np.ndarray):
        return items, None
    # Two arrays are images and classes, not a sequence of two items.
    if isinstance(items, tuple) and len(items) == 2 and np.ndim(items[0]) >= 3:
        return np.asarray(items[0]), None if items[1] is None else np.asarray(items[1])
    if not isinstance(items, Items) or isinstance(items, str) or not len(items):
        raise InputError(
            f"`source`: {items!r:.60} holds no images: expected an array, or a sequence of images."
        )
    images: NDArray[Any] | None = None
    labels: list[Any] = []
    with progress("reading images", len(items)) as advance:
        for index in range(len(items)):
            pixels, label = _read_item(items[index], index, size, channels)
            if images is None:
                planes, *sides = pixels.shape
                require_memory(len(items), planes * pixels.itemsize, *sides, where=WHERE)
                images = np.empty((len(items), *pixels.shape), pixels.dtype)
            if (pixels.shape, pixels.dtype) != (images.shape[1:], images.dtype):
                raise InputError(
                    f"`source`: image {index} is {pixels.dtype} {pixels.shape}, and the first"
                    f" {images.dtype} {images.shape[1:]}. Bring them to one size and type, or give"
                    " pictures of Pillow."
                )
            images[index] = pixels
            labels.append(label)
            advance(1)
    assert images is not None
    # NumPy makes no array of labels with different lengths, such as boxes around objects. Such
    # labels are no classes.
    with contextlib.suppress(ValueError):
        return images, None if None in labels else np.array(labels)
    return images, None


def _read_item(
    item: Any, index: int, size: Sides | None, channels: int | None
) -> tuple[NDArray[Any], Any]:
    """Return the image of an item, ``(C, H, W)``, and its class or ``None``.

    Args:
        item: An image, a pair of an image and its class, or a mapping that holds them.
        index: Index of the item, for messages.
        size: Height and width for a picture of Pillow, in pixels; 32×32 by default.
        channels: Channels for a picture of Pillow; 3 by default.

    Raises:
        InputError: The item is no image.
    """
    label: Any
    if isinstance(item, Mapping):
        image, label = (
            next((item[name] for name in names if name in item), None)
            for names in (_IMAGE_KEYS, LABELS)
        )
    elif isinstance(item, tuple | list):
        image, label = (*item, None, None)[:2]
    else:
        image, label = item, None
    try:
        if isinstance(image, Image.Image):
            side = size or (PICTURE_SIDE, PICTURE_SIDE)
            pixels = read_picture(image, size=side, channels=channels or 3)
        else:
            pixels = to_planes(np.asarray(image)[None], f"image {index}")[0]
    except Exception as error:  # the user's objects may raise errors of any type
        raise InputError(f"`source`: item {index} is no image: {error}") from error
    # A class may be a tensor or a number of NumPy; `item` makes a number of Python from it.
    return pixels, label.item() if getattr(label, "shape", None) == () else label
