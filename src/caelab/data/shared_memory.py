"""Images in a temporary file that several processes map into their memory, and so share."""

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
    """A handle on shared images, small enough to be sent to another process.

    Attributes:
        rest: The image set without its images.
        file: The file that holds the images.
    """

    rest: ImageSet
    file: Path

    def open(self) -> ImageSet:
        """Return the images, read-only; they stay readable when the file is deleted.

        Raises:
            OSError: The file does not exist.
        """
        # Mapped and not read: the system keeps one copy for all workers, and loads what they use.
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
            stack.close()  # half of a file would be in the way of others
            yield None
        else:
            # The rest of the image set travels to the workers by pickle, so it must not hold the
            # images.
            yield SharedImages(rest=replace(images, images=images.images[:0].copy()), file=file)
