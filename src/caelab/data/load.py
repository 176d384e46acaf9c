"""Loads the images that people name, or those that are found on the machine."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from caelab.data.builtin_photos import load_photos
from caelab.data.cifar10 import SIZE, find_cifar10, read_cifar10
from caelab.data.download import ARCHIVE, UnreachableError, download_cifar10
from caelab.data.folder import read_folder
from caelab.data.image_set import ImageSet
from caelab.errors import InputError
from caelab.files import cache_folder

DATA_VARIABLE = "CAELAB_DATA"

_log = logging.getLogger(__name__)


def load_images(data: str | Path = "auto", *, size: int = 32) -> ImageSet:
    """Load images; a note about them is logged as a warning and kept in ``source.note``.

    Args:
        data: A path: a folder or ``.tar.gz`` of CIFAR-10 (the Python or the binary version), or a
            folder of pictures. ``"cifar10"`` insists on CIFAR-10; ``"photos"`` are the built-in
            photos. ``"auto"`` takes ``CAELAB_DATA``, else the first CIFAR-10 that is found on the
            machine, else downloads it, else takes the built-in photos.
        size: Side of the images, in pixels, for pictures and photos; CIFAR-10 has 32.

    Raises:
        InputError: There is no such data, it is damaged, or the size does not fit.
    """
    # A source that is named takes precedence over the environment.
    chosen = (os.environ.get(DATA_VARIABLE) or "auto") if data in ("", "auto") else data
    if chosen == "photos":
        images = load_photos(size=size)
    elif chosen in ("auto", "cifar10"):
        images = _load_cifar10(size, or_photos=chosen == "auto")
    else:
        origin = "" if chosen is data else f" (which {DATA_VARIABLE} names)"
        images = _load_path(chosen, size=size, origin=origin)
    if images.source.note:
        _log.warning("%s", images.source.note)
    return images


def _load_cifar10(size: int, *, or_photos: bool) -> ImageSet:
    """Load CIFAR-10 from the machine or the network, or else the built-in photos, if allowed."""
    if size != SIZE:
        raise InputError(
            f"CIFAR-10 has {SIZE}×{SIZE} pixels, not {size}×{size}. Name a folder of pictures, or"
            " photos."
        )
    cache = cache_folder()
    try:
        found = next(filter(None, map(find_cifar10, _usual_paths(cache))), None)
        return read_cifar10(found or download_cifar10(cache))
    except UnreachableError as error:
        # Only missing images are replaced: damaged ones raise another error, which nobody catches.
        if or_photos:
            return load_photos(
                size=size,
                note="these are the built-in photos, not CIFAR-10: it is not on this machine, and"
                f" {error}",
            )
        raise InputError(
            f"CIFAR-10 is not on this machine, and {error}. Fetch {ARCHIVE} on another machine"
            f" and name its path as the data or in {DATA_VARIABLE}; or take the built-in"
            " photos: photos."
        ) from error


def _load_path(named: str | Path, *, size: int, origin: str) -> ImageSet:
    try:
        path = Path(named).expanduser()
        path.stat()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"there is no {named}{origin}. Name a folder, an archive of CIFAR-10, cifar10, or"
            " photos."
        ) from error
    found = find_cifar10(path)
    if found and size != SIZE:
        raise InputError(f"{found} is CIFAR-10, which has {SIZE}×{SIZE} pixels, not {size}×{size}.")
    if found:
        return read_cifar10(found)
    if not path.is_dir():
        raise InputError(
            f"{path} is neither a folder nor a .tar.gz of CIFAR-10. Name one of these."
        )
    return read_folder(path, size=size)


def _usual_paths(cache: Path) -> Iterator[Path]:
    """Yield where CIFAR-10 may be: by the environment, our cache, torchvision's and Keras's."""
    # The variable is looked at even where CIFAR-10 is asked for by name: it says where data are.
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
