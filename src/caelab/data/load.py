"""Load images from a source that the user names, or from the first source that is found."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from caelab.data.arrays import all_gray, find_arrays, read_arrays, to_gray
from caelab.data.builtin_photos import load_photos
from caelab.data.cifar10 import SIZE, find_cifar10, read_cifar10
from caelab.data.cifar100 import find_cifar100, read_cifar100
from caelab.data.download import ARCHIVE, UnreachableError, download_cifar10
from caelab.data.folder import Sides, read_folder
from caelab.data.idx import find_idx, read_idx
from caelab.data.image_cache import find_cache, read_cache
from caelab.data.image_set import TEST, ImageSet
from caelab.data.parquet import find_parquet, read_parquet
from caelab.data.pixel_store import PixelStore
from caelab.errors import InputError
from caelab.files import cache_folder

DATA_VARIABLE = "CAELAB_DATA"

PICTURE_SIDE = 32
"""Side in pixels to which pictures are resized by default."""

LAYOUTS: tuple[tuple[Callable[[Path], Path | None], Callable[[Path], ImageSet]], ...] = (
    (find_cache, read_cache),
    (find_cifar100, read_cifar100),
    (find_cifar10, read_cifar10),
    (find_idx, read_idx),
    (find_arrays, read_arrays),
)
"""Pairs of functions for data sets whose images are not resized.

The first function returns the path of such a data set in a folder, or ``None``; the second one
reads the data set at that path.
"""

MAX_FOLDERS = 200
"""Largest number of subfolders, on each of two levels, that are searched for a data set."""

_log = logging.getLogger(__name__)


def load_images(
    data: str | Path = "auto",
    *,
    size: int | Sides | None = None,
    channels: int | None = None,
    store: PixelStore | None = None,
) -> ImageSet:
    """Load images, and log as warnings what the user should know about them.

    Args:
        data: One of these sources:

            - a path: a folder of pictures, a file of arrays, a data set in one of the ``LAYOUTS``
              (such as an image cache) or in Parquet files, or a folder that contains a data set;
            - ``"cifar10"``: CIFAR-10 on this machine, or else downloaded;
            - ``"photos"``: the built-in photos;
            - ``"auto"``: the source in the environment variable ``CAELAB_DATA``. If the variable is
              not set, it is CIFAR-10 as above, or the built-in photos if the server of CIFAR-10
              cannot be reached.
        size: Side of the images in pixels, or height and width. Pictures are cropped and resized to
            it, by default to 32. Images of other sources must have this size already.
        channels: Channels of the images. Pictures are converted to 3 (the default) or 1. RGB images
            of other sources can be converted to 1; otherwise they must have this number already.
        store: Where the images of pictures are kept; by default in memory.

    Raises:
        InputError: There is no such source, the data are damaged, or size or channels do not fit.
    """
    sides = (size, size) if isinstance(size, int) else size
    # The environment variable counts only if the user names no source.
    chosen = (os.environ.get(DATA_VARIABLE) or "auto") if data in ("", "auto") else data
    if chosen == "photos":
        images = load_photos(size=sides or (PICTURE_SIDE, PICTURE_SIDE))
    elif chosen in ("auto", "cifar10"):
        images = _load_cifar10(sides, or_photos=chosen == "auto")
    else:
        origin = "" if chosen is data else f" (which {DATA_VARIABLE} names)"
        images = _load_path(chosen, sides, channels, origin, store)
    images = fit(images, sides, channels)
    if images.source.note:
        _log.warning("%s", images.source.note)
    if images.source.own_test and images.part is not None:
        _log.warning(
            "the test set of %s, %d images, is kept apart and never trained on.",
            images.source.where,
            (images.part == TEST).sum(),
        )
    if images.images.shape[1] == 3 and all_gray(images):
        _log.warning(
            "the images of %s have three equal channels, so they are gray: `data.channels` 1 is"
            " enough.",
            images.source.where,
        )
    return images


def fit(images: ImageSet, sides: Sides | None, channels: int | None) -> ImageSet:
    """Check the size of images, and convert RGB to gray if ``channels`` is 1.

    Args:
        images: The images.
        sides: Height and width that the images must have, in pixels; ``None`` allows any.
        channels: Channels that the images must have; RGB images are converted if it is 1. ``None``
            allows any number.

    Raises:
        InputError: The images have another size, or channels that cannot be converted.
    """
    found, *has = images.images.shape[1:]
    channels = channels or found
    if (channels, found) == (1, 3):
        images, found = to_gray(images), 1
    if tuple(has) == (sides or tuple(has)) and found == channels:
        return images
    height, width = has
    size = height if height == width else f"{height}x{width}"
    raise InputError(
        f"the images of {images.source.where} have {height}×{width} pixels and {found}"
        f" channel{'s' * (found > 1)}: choose `data.size` {size} and `data.channels` {found}."
    )


def _load_cifar10(sides: Sides | None, *, or_photos: bool) -> ImageSet:
    """Load CIFAR-10 from this machine, or else download it.

    Args:
        sides: Height and width that the user chose, in pixels, or ``None``.
        or_photos: If the server cannot be reached, return the built-in photos.

    Raises:
        InputError: ``sides`` is not 32×32, CIFAR-10 is damaged, or it can neither be found nor
            downloaded and ``or_photos`` is not set.
    """
    if sides not in (None, (SIZE, SIZE)):
        raise InputError(
            f"CIFAR-10 has {SIZE}×{SIZE} pixels, not {sides[0]}×{sides[1]}. Name a folder of"
            " pictures, or choose the built-in photos: `data.source` photos."
        )
    cache = cache_folder()
    try:
        found = next(filter(None, map(find_cifar10, _usual_paths(cache))), None)
        return read_cifar10(found or download_cifar10(cache))
    except UnreachableError as error:
        # A damaged CIFAR-10 raises an InputError instead, so that the photos never replace it.
        if or_photos:
            return load_photos(
                note="these are the built-in photos, not CIFAR-10: it is not on this machine, and"
                f" {error}",
            )
        raise InputError(
            f"CIFAR-10 is not on this machine, and {error}. Fetch {ARCHIVE} on another machine"
            f" and name its path as the data or in {DATA_VARIABLE}; or choose the built-in"
            " photos: `data.source` photos."
        ) from error


def _load_path(
    named: str | Path,
    sides: Sides | None,
    channels: int | None,
    origin: str,
    store: PixelStore | None,
) -> ImageSet:
    """Load the images at a path.

    Args:
        named: The path.
        sides: Height and width of pictures in pixels; 32×32 by default.
        channels: Channels of pictures; 3 by default.
        origin: Words after the path in messages, which say where the path comes from.
        store: Where the images of pictures are kept; ``None`` for memory.

    Raises:
        InputError: There is no file or folder at the path, or it has no images or is damaged.
    """
    try:
        path = Path(named).expanduser()
        path.stat()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"there is no file or folder {named}{origin}. Choose a path of pictures or of a data"
            " set, or cifar10, or photos."
        ) from error
    for candidate in _places(path):
        for find, read in LAYOUTS:
            if found := find(candidate):
                return read(found)
    size = sides or (PICTURE_SIDE, PICTURE_SIDE)
    if found := find_parquet(path):
        return read_parquet(found, size=size, channels=channels or 3, store=store)
    if not path.is_dir():
        raise InputError(
            f"{path} is neither a folder nor a file of images: .npy, .npz, .parquet, MNIST's, or a"
            " .tar.gz of CIFAR. Name one of these."
        )
    return read_folder(path, size=size, channels=channels or 3, store=store)


def _places(path: Path) -> Iterator[Path]:
    """Yield a path, then its subfolders, then their subfolders, up to ``MAX_FOLDERS`` a level."""
    yield path
    # A folder without permission counts as empty.
    with contextlib.suppress(OSError):
        for pattern in ("*/", "*/*/"):
            yield from sorted(islice(path.glob(pattern), MAX_FOLDERS))


def _usual_paths(cache: Path) -> Iterator[Path]:
    """Yield the paths where CIFAR-10 is searched for, such as the folders of torchvision and Keras.

    Args:
        cache: Folder to which caelab downloads CIFAR-10.
    """
    # Even if the user names "cifar10", it may be in the folder that the variable names.
    with contextlib.suppress(RuntimeError):  # `expanduser` of a user that does not exist
        yield Path(os.environ.get(DATA_VARIABLE) or cache).expanduser()
    yield from (cache, Path("data"), Path("datasets"))
    with contextlib.suppress(RuntimeError):  # the user has no home folder
        home = Path.home()
        yield from (home / "data", home / "datasets", home / ".torchvision")
        keras = Path(os.environ.get("KERAS_HOME", home / ".keras")) / "datasets"
        # Keras gives the archive the name of the folder. Its newer versions unpack the archive into
        # a folder whose name ends in -target.
        names = ("", "cifar-10-batches-py-target", "cifar-10-batches-py.tar.gz")
        yield from (keras / name for name in names)
