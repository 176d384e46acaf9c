"""Read MNIST and data sets like it: files in the IDX format, gzipped or not.

LeCun, Cortes and Burges, *The MNIST database of handwritten digits*, 1998. Fashion-MNIST, KMNIST
and other data sets have files with the same names and format.
"""

import gzip
import math
import re
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caelab.data.arrays import Arrays, join_arrays, memory_limit
from caelab.data.image_set import ImageSet
from caelab.errors import InputError

_NAME = re.compile(r"(train|t10k)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")


def find_idx(path: Path) -> Path | None:
    """Return the folder of MNIST's files, which is ``path`` or its parent; otherwise ``None``."""
    folder = path.parent if path.is_file() and _NAME.fullmatch(path.name) else path
    return folder if "train" in _files(folder) else None


def read_idx(folder: Path) -> ImageSet:
    """Read the images in a folder and their classes; files named ``t10k`` hold the test images.

    Raises:
        InputError: A file is missing or damaged.
    """
    parts: dict[str, Arrays] = {}
    for part, files in _files(folder).items():
        if missing := {"images", "labels"} - files.keys():
            raise InputError(f"{folder} lacks the {missing.pop()} of MNIST's {part} part.")
        parts[part] = (_read(files["images"], 3), _read(files["labels"], 1))
    return join_arrays(parts, name="mnist", where=str(folder))


def _files(folder: Path) -> dict[str, dict[str, Path]]:
    """Return the paths of MNIST's files by part and content, such as ``["train"]["images"]``."""
    found: dict[str, dict[str, Path]] = {}
    # In reverse order, `name` comes after `name.gz`, so that the unpacked file is the one returned.
    for path in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ():
        if (name := _NAME.fullmatch(path.name)) and path.is_file():
            found.setdefault({"t10k": "test"}.get(name[1], name[1]), {})[name[2]] = path
    return found


def _read(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an array of bytes from an IDX file.

    Args:
        path: The file.
        axes: Number of axes that the array must have.

    Raises:
        InputError: The file is damaged, or is no IDX file with such an array.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            # The header is two zeros, the code 8 for bytes, the number of axes, and the length of
            # each axis in four bytes.
            header = stream.read(4 + 4 * axes)
            if len(header) < 4 + 4 * axes or header[:4] != bytes([0, 0, 8, axes]):
                raise ValueError("its header is not that of MNIST's files")
            shape = np.frombuffer(header[4:], ">u4").tolist()
            if (size := math.prod(shape)) > memory_limit():
                raise ValueError(f"it claims {size} bytes")
            content = stream.read(size)
            if len(content) < size or stream.read(1):
                raise ValueError("it is too short or too long for its header")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read as an IDX file: {error}. It is damaged: fetch it again."
        ) from error
    return np.frombuffer(content, np.uint8).reshape(shape)
