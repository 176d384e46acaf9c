"""Share images between processes, which map the same temporary file into their memory."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from caelab.data.image_set import ImageSet
from caelab.data.mapped_file import map_images, mapped_file
from caelab.files import temporary_folder


@dataclass(frozen=True, kw_only=True)
class SharedImages:
    """What another process needs to open shared images; small enough to be sent to it.

    Attributes:
        rest: The image set, with an empty array in place of its images.
        file: File of the images: of an image cache, or in NumPy's format.
        shape: Shape ``(N, C, H, W)`` of the images of an image cache; otherwise ``None``.
    """

    rest: ImageSet
    file: Path
    shape: tuple[int, int, int, int] | None = None

    def open(self) -> ImageSet:
        """Return the image set; its images are read-only.

        Raises:
            OSError: The file does not exist.
        """
        # The system keeps one copy of a mapped file for all processes, and loads only used parts.
        if self.shape is None:
            return replace(self.rest, images=np.load(self.file, mmap_mode="r"))
        return replace(self.rest, images=map_images(self.file, self.shape))


@contextmanager
def share_images(images: ImageSet) -> Iterator[SharedImages | None]:
    """Share images while the block runs; yield ``None`` if the disk has no room for them.

    The images of an image cache are in a file already.
    """
    # `rest` is pickled for the other processes, so it must not hold the images.
    rest = replace(images, images=np.array(images.images[:0]))
    if (file := mapped_file(images.images)) is not None:
        yield SharedImages(rest=rest, file=file, shape=images.images.shape)
        return
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder(Path(tempfile.gettempdir())))
            file = folder / "images.npy"
            np.save(file, images.images)
        except OSError:
            stack.close()  # deletes an incomplete file, which would take up space for nothing
            yield None
        else:
            yield SharedImages(rest=rest, file=file)
