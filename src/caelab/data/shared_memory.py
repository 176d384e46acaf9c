"""Images that other processes are to have, too: in a file that all map into their memory, and
share.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from caelab.data.image_set import ImageSet


@dataclass(frozen=True, kw_only=True)
class LentImages:
    """Where another process finds the images; small enough to be sent to it.

    Attributes:
        rest: All but the pixels, of which it has none.
        pixels: The file that holds them.
    """

    rest: ImageSet
    pixels: Path

    def borrow(self) -> ImageSet:
        """Return the images; they are not to be written to, and stay when the file is deleted.

        Raises:
            OSError: The file is not there.
        """
        return replace(self.rest, images=np.load(self.pixels, mmap_mode="r"))


@contextmanager
def lent(images: ImageSet) -> Iterator[LentImages | None]:
    """Have the images in a temporary file while the block runs; ``None`` where there is no room for
    it.
    """
    with tempfile.TemporaryDirectory(prefix="caelab-", ignore_cleanup_errors=True) as folder:
        pixels = Path(folder, "images.npy")
        try:
            np.save(pixels, images.images)
        except OSError:
            pixels.unlink(missing_ok=True)
            yield None
            return
        yield LentImages(rest=replace(images, images=images.images[:0].copy()), pixels=pixels)
