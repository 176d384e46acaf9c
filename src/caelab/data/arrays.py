"""Image sets from arrays of any usual shape, and from ``.npy`` and ``.npz`` files."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caelab.color import luminance
from caelab.data.image_set import FREE, TEST, TRAIN, VALIDATION, ImageSet, Source, fingerprint
from caelab.errors import InputError
from caelab.memory import max_memory

PARTS = {
    "train": TRAIN, "training": TRAIN,
    "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
    "test": TEST, "testing": TEST,
}  # fmt: skip
"""Part of the images by the name of a folder, a file or an array."""

_IMAGES = ("x", "images", "image", "data", "arr_0")
_LABELS = ("y", "labels", "label", "targets", "target", "arr_1")
_CHUNK = 1000

Arrays = tuple[NDArray[Any], NDArray[Any] | None]
"""Images, and their classes if there are any."""


def join_arrays(
    parts: Mapping[str, Arrays], *, name: str, where: str, classes: tuple[str, ...] = ()
) -> ImageSet:
    """Make an image set of arrays.

    Args:
        parts: Images ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)`` of bytes, or of numbers in
            [0, 1] or [0, 255], with their classes, by a word of ``PARTS``; by ``""`` without parts.
        name: Name of the source.
        where: Where the arrays come from, which messages name.
        classes: Names of the classes; by default their numbers.

    Raises:
        InputError: The images are of another form or range, differ in shape, or are too many.
    """
    planes = [to_planes(images, where) for images, _ in parts.values()]
    if len(shapes := {each.shape[1:] for each in planes}) > 1:
        raise InputError(f"{where}: its parts hold images of different shapes, {sorted(shapes)}.")
    counts = [len(each) for each in planes]
    require_memory(sum(counts), *planes[0].shape[1:], where=where)
    pixels = np.empty((sum(counts), *planes[0].shape[1:]), np.uint8)
    filled = np.split(pixels, np.cumsum(counts)[:-1])
    for target, images in zip(filled, planes, strict=True):
        scale = _scale_of(images, where)
        for rows in _chunks(len(images)):
            # Rounded, as everywhere; integers are not changed.
            target[rows] = np.rint(images[rows] * scale) if scale else images[rows]
    names, labels = number_classes(
        [labels for _, labels in parts.values()], counts, classes=classes, where=where
    )
    part = np.repeat([PARTS.get(word, FREE) for word in parts], counts).astype(np.int8)
    return make_set(pixels, labels, names, part, name=name, where=where)


def make_set(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    classes: tuple[str, ...],
    part: NDArray[np.int8],
    *,
    name: str,
    where: str,
    note: str = "",
) -> ImageSet:
    """Make an image set that keeps the test and validation images of its source apart.

    Args:
        images: ``uint8 (N, C, H, W)``.
        labels: Indices into ``classes``, ``int64 (N,)``, or ``None``.
        classes: Names of the classes.
        part: Part that each image comes from, ``int8 (N,)``; ``FREE`` where it comes from none.
        name: Name of the source.
        where: Where the images come from.
        note: What people must know.
    """
    # A part "test" counts only if there are other images to train on.
    own = bool((part <= TRAIN).any() and (part > TRAIN).any())
    prescribed = np.where(part == TRAIN, np.int8(FREE), part) if own else None
    source = Source(
        name=name,
        where=where,
        note=note,
        fingerprint=fingerprint(images, labels, prescribed),
        own_test=own and bool((part == TEST).any()),
    )
    return ImageSet(images=images, labels=labels, classes=classes, part=prescribed, source=source)


def to_planes(images: NDArray[Any], where: str) -> NDArray[Any]:
    """Return a view ``(N, C, H, W)`` of images ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``.

    Args:
        images: The images.
        where: Where they come from, for messages.

    Raises:
        InputError: They have another form.
    """
    planes = images[:, None] if images.ndim == 3 else images
    if planes.ndim != 4 or 0 in planes.shape or planes.dtype.kind not in "buif":
        raise InputError(
            f"{where}: images are numbers (N, H, W), (N, H, W, C) or (N, C, H, W), and these are"
            f" {images.dtype} {images.shape}."
        )
    # A last axis of up to four numbers is that of channels, as in Keras, Pillow and scikit-image.
    return planes.transpose(0, 3, 1, 2) if planes.shape[3] <= 4 < planes.shape[1] else planes


def number_classes(
    labels: list[NDArray[Any] | None],
    counts: list[int],
    *,
    classes: tuple[str, ...] = (),
    where: str,
) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Return the names of the classes, and the class of every image, ``int64 (N,)``.

    There are no classes if a part has no labels, or labels that are no classes, such as fractions
    or several numbers for an image.

    Args:
        labels: Classes of each part, numbers or texts, ``(N,)`` or ``(N, 1)``.
        counts: Number of images of each part.
        classes: Names of the numbers; by default the numbers or texts that occur.
        where: Where they come from, for messages.

    Raises:
        InputError: There are more or fewer classes than images.
    """
    flat = [each.reshape(len(each), -1) for each in labels if each is not None]
    if len(flat) < len(labels) or any(
        each.shape[1] != 1 or each.dtype.kind not in "biuUS" for each in flat
    ):
        return (), None
    if [*map(len, flat)] != counts:
        raise InputError(f"{where}: for {counts} images there are {[*map(len, flat)]} classes.")
    joined = np.concatenate([each[:, 0] for each in flat])
    found, numbers = np.unique(joined, return_inverse=True)
    if classes and found.dtype.kind in "iu" and 0 <= found[0] <= found[-1] < len(classes):
        return classes, joined.astype(np.int64)
    return tuple(map(str, found.tolist())), numbers.astype(np.int64)


def memory_limit() -> int:
    """Return the bytes that images may take: half of those of inputs, as training copies them."""
    return max_memory() // 2


def require_memory(count: int, channels: int, height: int, width: int, *, where: str) -> None:
    """Raise unless images fit into :func:`memory_limit`.

    Args:
        count: Number of images.
        channels: Their channels.
        height: Their height.
        width: Their width.
        where: Where they come from, for messages.

    Raises:
        InputError: They take more.
    """
    if count * channels * height * width > (limit := memory_limit()):
        raise InputError(
            f"{where}: {count} images of {height}×{width} pixels take over {limit / 2**30:.2g} GiB."
            " Choose a smaller size, or fewer images, or raise `max_memory`."
        )


def to_gray(images: ImageSet) -> ImageSet:
    """Return RGB images as their BT.601 luma, one channel."""
    pixels = images.images
    gray = np.empty((len(pixels), 1, *pixels.shape[2:]), np.uint8)
    for rows in _chunks(len(pixels)):
        gray[rows] = np.rint(luminance(pixels[rows].astype(np.float32)))
    digest = fingerprint(gray, images.labels, images.part)
    return replace(images, images=gray, source=replace(images.source, fingerprint=digest))


def all_gray(images: ImageSet) -> bool:
    """Return whether the channels of every image are equal."""
    # In chunks, because the search ends with the first color.
    parts = (images.images[rows] for rows in _chunks(len(images.images)))
    return all((part == part[:, :1]).all() for part in parts)


def find_arrays(path: Path) -> Path | None:
    """Return ``path`` if it is a ``.npy`` or ``.npz`` file."""
    return path if path.suffix.lower() in (".npy", ".npz") and path.is_file() else None


def read_arrays(path: Path) -> ImageSet:
    """Read a ``.npy`` file of images, or a ``.npz`` file of images and their classes.

    The arrays of a ``.npz`` are named as Keras (``x_train``, ``y_train``, ``x_test``, ``y_test``)
    and MedMNIST (``train_images``, ``train_labels``, …) do, or ``images`` and ``labels``; a single
    array may have any name. Nothing in a file is run.

    Raises:
        InputError: There are no such arrays, or the file is damaged.
    """
    if path.suffix.lower() == ".npy":
        with _reading(path):
            # Mapped, so that memory does not hold all floats and bytes at once.
            images = np.load(path, mmap_mode="r", allow_pickle=False)
        return join_arrays({"": (images, None)}, name="array", where=str(path))
    with _reading(path), zipfile.ZipFile(path) as archive:
        sizes = [member.file_size for member in archive.infolist()]
        if sum(sizes) > (limit := memory_limit()):
            raise ValueError(f"it unpacks to more than {limit / 2**30:.2g} GiB")
    with _reading(path), np.load(path, allow_pickle=False) as file:
        parts = {
            word: (file[images], file[labels] if labels else None)
            for word, images, labels in _named_arrays(file.files, path)
        }
    return join_arrays(parts, name="array", where=str(path))


def _named_arrays(names: list[str], path: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield each part's word, and the names of its images and its classes."""
    known = {name.lower(): name for name in names}

    def find(word: str, bases: tuple[str, ...]) -> str | None:
        spellings = [(f"{base}_{word}", f"{word}_{base}") if word else (base,) for base in bases]
        return next((known[name] for each in spellings for name in each if name in known), None)

    words = [word for word in PARTS if find(word, _IMAGES)] or [""]
    for word in words:
        images = find(word, _IMAGES) or (names[0] if len(names) == 1 else None)
        if images is None:
            raise InputError(
                f"{path} holds {', '.join(names) or 'no arrays'}; images should be called images,"
                " or x_train and x_test, and their classes labels, or y_train and y_test."
            )
        yield word, images, find(word, _LABELS)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # damaged files raise errors of nearly all kinds
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{path} cannot be read as NumPy's arrays: {reason}. It is damaged, or was saved with"
            " objects, which could run code: save plain arrays of numbers."
        ) from error


def _scale_of(images: NDArray[Any], where: str) -> float:
    """Return the factor that makes bytes of fractions and truth values; 0 for integers.

    Raises:
        InputError: Values are not finite, or outside [0, 255].
    """
    if images.dtype == np.uint8:
        return 0
    low, high = 0.0, 0.0
    for rows in _chunks(len(images)):
        # If a value is NaN, so are minimum and maximum, and the comparison below fails.
        low = float(np.minimum(low, images[rows].min()))
        high = float(np.maximum(high, images[rows].max()))
    if not 0 <= low <= high <= 255:
        raise InputError(
            f"{where}: images are bytes, or numbers in [0, 1] or [0, 255], and these reach from"
            f" {low:g} to {high:g}. Scale them first."
        )
    return 255 if high <= 1 else 0 if images.dtype.kind in "iu" else 1


def _chunks(count: int) -> list[slice]:
    return [slice(start, start + _CHUNK) for start in range(0, count, _CHUNK)]
