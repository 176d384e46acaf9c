"""An overview picture of a set of images."""

from pathlib import Path

import numpy as np

from caelab.data.image_set import ImageSet, evenly_spaced
from caelab.plotting import draw_image_rows, save_figure

_COLUMNS, _MAX_CLASSES = 12, 30


def contact_sheet(images: ImageSet, path: Path) -> None:
    """Write a picture with a row of images for each class, or ten rows if there are no classes.

    Args:
        images: The images, of which some are shown, evenly spaced; at most thirty classes.
        path: The picture, an SVG if its suffix is ``.svg``, otherwise a PNG; written atomically.

    Raises:
        InputError: The file cannot be written.
    """
    if images.labels is None:
        shown = evenly_spaced(10 * _COLUMNS, len(images.images))
        parts = (shown[start : start + _COLUMNS] for start in range(0, len(shown), _COLUMNS))
        rows = {f"from image {part[0]:,}": part for part in parts}
    else:
        members = (np.flatnonzero(images.labels == label) for label in range(_MAX_CLASSES))
        rows = {
            name: indices[evenly_spaced(_COLUMNS, len(indices))]
            for name, indices in zip(images.classes, members, strict=False)
        }
    pictures = {name: images.images[part] / np.float32(255) for name, part in rows.items()}
    save_figure(draw_image_rows(pictures), path)
