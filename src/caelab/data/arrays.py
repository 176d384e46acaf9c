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
from caelab.data.mapped_file import chunks
from caelab.errors import InputError
from caelab.memory import max_memory

PARTS = {
    "train": TRAIN, "training": TRAIN,
    "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
    "test": TEST, "testing": TEST,
}  # fmt: skip
"""Parts of a data set by the words that name them in folders, files and arrays."""

_IMAGES = ("x", "images", "image", "data", "arr_0")
_LABELS = ("y", "labels", "label", "targets", "target", "arr_1")
_CHUNK = 1000
"""Number of images that are converted at a time, so that temporary copies stay small."""

Arrays = tuple[NDArray[Any], NDArray[Any] | None]
"""Images, and the class of each image or ``None``."""


def join_arrays(
    parts: Mapping[str, Arrays], *, name: str, where: str, classes: tuple[str, ...] = ()
) -> ImageSet:
    """Make an image set of arrays, and convert their pixels to bytes.

    Args:
        parts: Images and classes of each part. The keys are words of ``PARTS``, or ``""`` if the
            images have no prescribed parts. Images are ``(N, H, W)``, ``(N, H, W, C)`` or
            ``(N, C, H, W)``: bytes, or numbers in [0, 1] or [0, 255].
        name: Name of the source, such as ``"mnist"``.
        where: Path or description of the source, for messages.
        classes: Names of the classes; by default their numbers.

    Raises:
        InputError: The images have another form or range, differ in shape between parts, or do not
            fit into the memory; or a part has more or fewer classes than images.
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
            # A conversion to bytes alone would round down.
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
    """Make an image set whose source may prescribe test and validation images.

    Args:
        images: ``uint8 (N, C, H, W)``.
        labels: Indices into ``classes``, ``int64 (N,)``, or ``None``.
        classes: Names of the classes.
        part: Part that the source names for each image, ``int8 (N,)``: ``TRAIN``, ``VALIDATION``,
            ``TEST``, or ``FREE`` if it names none. The parts are kept only if there are both images
            to train on and others. Training images become ``FREE``, so that a split can take
            validation images from them.
        name: Name of the source, such as ``"folder"``.
        where: Path or description of the source.
        note: Note for the user, such as which pictures were left out.
    """
    # If all images are test images, they are split like images without parts.
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
    """Return a view ``(N, C, H, W)`` of images with any usual order of axes.

    Args:
        images: Images ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``.
        where: Where the images come from, for messages.

    Raises:
        InputError: The images have another form, or are not numbers.
    """
    planes = images[:, None] if images.ndim == 3 else images
    if planes.ndim != 4 or 0 in planes.shape or planes.dtype.kind not in "buif":
        raise InputError(
            f"{where}: images are numbers (N, H, W), (N, H, W, C) or (N, C, H, W), and these are"
            f" {images.dtype} {images.shape}."
        )
    # If the last axis is short and the second is not, the channels are last, as in Keras.
    return planes.transpose(0, 3, 1, 2) if planes.shape[3] <= 4 < planes.shape[1] else planes


def number_classes(
    labels: list[NDArray[Any] | None],
    counts: list[int],
    *,
    classes: tuple[str, ...] = (),
    where: str,
) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Return the names of the classes, and the class of every image, ``int64 (N,)``.

    The result is ``((), None)`` if a part has no labels, or if labels are fractions or several
    numbers for an image, because such labels are no classes.

    Args:
        labels: Labels of each part, whole numbers or texts, ``(N,)`` or ``(N, 1)``, or ``None``.
        counts: Number of images of each part.
        classes: Name of each class, in the order of the numbers; by default, the numbers or texts
            that occur are the names.
        where: Where the labels come from, for messages.

    Raises:
        InputError: A part has more or fewer labels than images.
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
    """Return how many bytes images may take: half of :func:`max_memory`, for training's copy."""
    return max_memory() // 2


def require_memory(count: int, channels: int, height: int, width: int, *, where: str) -> None:
    """Check that images fit into :func:`memory_limit`.

    Args:
        count: Number of images.
        channels: Channels of an image; for numbers of several bytes, times the bytes of a number.
        height: Height of an image in pixels.
        width: Width of an image in pixels.
        where: Where the images come from, for messages.

    Raises:
        InputError: The images take more memory than :func:`memory_limit`.
    """
    if count * channels * height * width > (limit := memory_limit()):
        raise InputError(
            f"{where}: {count} images of {height}×{width} pixels take over {limit / 2**30:.2g} GiB."
            " Choose a smaller size, or fewer images, or raise `max_memory`; or write an image"
            " cache (see `caelab data`), whose images stay on the disk."
        )


def to_gray(images: ImageSet) -> ImageSet:
    """Convert RGB images to gray images with one channel, their BT.601 luma."""
    pixels = images.images
    require_memory(len(pixels), 1, *pixels.shape[2:], where=images.source.where)
    gray = np.empty((len(pixels), 1, *pixels.shape[2:]), np.uint8)
    for rows in _chunks(len(pixels)):
        gray[rows] = np.rint(luminance(pixels[rows].astype(np.float32)))
    digest = fingerprint(gray, images.labels, images.part)
    return replace(images, images=gray, source=replace(images.source, fingerprint=digest))


def all_gray(images: ImageSet) -> bool:
    """Return whether all channels of each image are equal."""
    # `all` stops at the first chunk that has a colored image.
    return all((part == part[:, :1]).all() for part in chunks(images.images))


def find_arrays(path: Path) -> Path | None:
    """Return ``path`` if it is a ``.npy`` or ``.npz`` file, otherwise ``None``."""
    return path if path.suffix.lower() in (".npy", ".npz") and path.is_file() else None


def read_arrays(path: Path) -> ImageSet:
    """Read a ``.npy`` file of images, or a ``.npz`` file of images and their classes.

    The arrays of a ``.npz`` file have the names of Keras (``x_train``, ``y_train``, ``x_test``,
    ``y_test``) or of MedMNIST (``train_images``, ``train_labels``, …), or they are called
    ``images`` and ``labels``. A single array may have any name. Pickled objects, which could run
    code, are refused.

    Raises:
        InputError: The file has no array with such a name, is damaged or is too large.
    """
    if path.suffix.lower() == ".npy":
        with _reading(path):
            # A mapped file is read piece by piece, so that floats never fill the memory.
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
    """Yield for each part its word in ``PARTS``, the name of its images and that of its classes."""
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
    """Return the factor from pixel values to bytes; 0 for integers that need no conversion.

    If no value is above 1, the factor is 255, except for ``uint8``.

    Raises:
        InputError: Values are not finite, or outside [0, 255].
    """
    if images.dtype == np.uint8:
        return 0
    low, high = 0.0, 0.0
    for rows in _chunks(len(images)):
        # If a value is NaN, minimum and maximum are NaN, too, and the comparison below fails.
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
