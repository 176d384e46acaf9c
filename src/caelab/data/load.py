"""Load the images that the user names, or those that are found on the machine."""

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
from caelab.data.image_set import TEST, ImageSet
from caelab.data.parquet import find_parquet, read_parquet
from caelab.errors import InputError
from caelab.files import cache_folder

DATA_VARIABLE = "CAELAB_DATA"

PICTURE_SIDE = 32
"""Default side of pictures in pixels."""

LAYOUTS: tuple[tuple[Callable[[Path], Path | None], Callable[[Path], ImageSet]], ...] = (
    (find_cifar100, read_cifar100),
    (find_cifar10, read_cifar10),
    (find_idx, read_idx),
    (find_arrays, read_arrays),
)
"""Layouts of images with a fixed size: functions that find one in a folder, and that read it."""

MAX_FOLDERS = 200
"""Largest number of subfolders on a level that are searched for such a layout."""

_log = logging.getLogger(__name__)


def load_images(
    data: str | Path = "auto", *, size: int | Sides | None = None, channels: int | None = None
) -> ImageSet:
    """Load images; a note about them is logged as a warning and kept in ``source.note``.

    Args:
        data: A path of pictures, of arrays or of a data set in one of the ``LAYOUTS``, or of a
            folder that holds one. ``"cifar10"`` insists on CIFAR-10; ``"photos"`` are the built-in
            photos. ``"auto"`` takes ``CAELAB_DATA``, else the first CIFAR-10 that is found on the
            machine, else downloads it, else takes the built-in photos.
        size: Side of the images in pixels, or height and width: what pictures are cropped and
            resized to, 32 by default; other images must have it.
        channels: 3 or 1 to convert pictures and RGB images to; otherwise what the images must have.
            Without it, pictures get 3 and other images keep theirs.

    Raises:
        InputError: There is no such data, it is damaged, or size or channels do not fit.
    """
    sides = (size, size) if isinstance(size, int) else size
    # A source that the user names takes precedence over the environment.
    chosen = (os.environ.get(DATA_VARIABLE) or "auto") if data in ("", "auto") else data
    if chosen == "photos":
        images = load_photos(size=sides or (PICTURE_SIDE, PICTURE_SIDE))
    elif chosen in ("auto", "cifar10"):
        images = _load_cifar10(sides, or_photos=chosen == "auto")
    else:
        origin = "" if chosen is data else f" (which {DATA_VARIABLE} names)"
        images = _load_path(chosen, sides, channels, origin)
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
        sides: Height and width that they must have.
        channels: 1 to convert RGB images; otherwise what they must have.

    Raises:
        InputError: The images have another size, or other channels that cannot be converted.
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
    """Load CIFAR-10 from the machine or the network, or else the built-in photos, if allowed."""
    if sides not in (None, (SIZE, SIZE)):
        raise InputError(
            f"CIFAR-10 has {SIZE}×{SIZE} pixels, not {sides[0]}×{sides[1]}. Name a folder of"
            " pictures, or photos."
        )
    cache = cache_folder()
    try:
        found = next(filter(None, map(find_cifar10, _usual_paths(cache))), None)
        return read_cifar10(found or download_cifar10(cache))
    except UnreachableError as error:
        # Only missing images are replaced; damaged ones raise another error, which is not caught.
        if or_photos:
            return load_photos(
                note="these are the built-in photos, not CIFAR-10: it is not on this machine, and"
                f" {error}",
            )
        raise InputError(
            f"CIFAR-10 is not on this machine, and {error}. Fetch {ARCHIVE} on another machine"
            f" and name its path as the data or in {DATA_VARIABLE}; or take the built-in"
            " photos: photos."
        ) from error


def _load_path(
    named: str | Path, sides: Sides | None, channels: int | None, origin: str
) -> ImageSet:
    try:
        path = Path(named).expanduser()
        path.stat()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"there is no file or folder {named}{origin}. Name a folder of pictures, a data set,"
            " cifar10 or photos."
        ) from error
    for candidate in _places(path):
        for find, read in LAYOUTS:
            if found := find(candidate):
                return read(found)
    size = sides or (PICTURE_SIDE, PICTURE_SIDE)
    if found := find_parquet(path):
        return read_parquet(found, size=size, channels=channels or 3)
    if not path.is_dir():
        raise InputError(
            f"{path} is neither a folder nor a file of images: .npy, .npz, .parquet, MNIST's, or a"
            " .tar.gz of CIFAR. Name one of these."
        )
    return read_folder(path, size=size, channels=channels or 3)


def _places(path: Path) -> Iterator[Path]:
    """Yield a path, and the first folders that are one and two levels below it."""
    yield path
    # A folder without permission counts as empty.
    with contextlib.suppress(OSError):
        for pattern in ("*/", "*/*/"):
            yield from sorted(islice(path.glob(pattern), MAX_FOLDERS))


def _usual_paths(cache: Path) -> Iterator[Path]:
    """Yield where CIFAR-10 may be: by the environment, our cache, torchvision's and Keras's."""
    # The variable is used even if the user names CIFAR-10, because it says where data are.
    with contextlib.suppress(RuntimeError):  # ~ of an unknown user
        yield Path(os.environ.get(DATA_VARIABLE) or cache).expanduser()
    yield from (cache, Path("data"), Path("datasets"))
    with contextlib.suppress(RuntimeError):  # a user without a home
        home = Path.home()
        yield from (home / "data", home / "datasets", home / ".torchvision")
        keras = Path(os.environ.get("KERAS_HOME", home / ".keras")) / "datasets"
        # Keras names its archive after the folder, and its newer versions unpack one level deeper.
        names = ("", "cifar-10-batches-py-target", "cifar-10-batches-py.tar.gz")
        yield from (keras / name for name in names)
