"""Share images between processes, which map the same temporary file into their memory."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from caelab.data.image_set import ImageSet
from caelab.files import temporary_folder


@dataclass(frozen=True, kw_only=True)
class SharedImages:
    """What another process needs to open shared images; small enough to be sent to it.

    Attributes:
        rest: The image set, with an empty array in place of its images.
        file: File of the images, in NumPy's format.
    """

    rest: ImageSet
    file: Path

    def open(self) -> ImageSet:
        """Return the image set; its images are read-only.

        Raises:
            OSError: The file does not exist.
        """
        # The system keeps one copy of a mapped file for all processes, and loads only used parts.
        return replace(self.rest, images=np.load(self.file, mmap_mode="r"))


@contextmanager
def share_images(images: ImageSet) -> Iterator[SharedImages | None]:
    """Share images while the block runs; yield ``None`` if the disk has no room for them."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder(Path(tempfile.gettempdir())))
            file = folder / "images.npy"
            np.save(file, images.images)
        except OSError:
            stack.close()  # deletes an incomplete file, which would take up space for nothing
            yield None
        else:
            # `rest` is pickled for the other processes, so it must not hold the images.
            yield SharedImages(rest=replace(images, images=images.images[:0].copy()), file=file)
