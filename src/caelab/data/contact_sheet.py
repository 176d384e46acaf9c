"""A picture of a set of images, for people."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from caelab.data.image_set import ImageSet
from caelab.files import replacing


def contact_sheet(images: ImageSet, path: Path, *, columns: int = 12, tile: int = 64) -> None:
    """Write a PNG with a row of images for every class, or ten rows of any, spread evenly over the
    set.

    Args:
        images: What to show; of more than thirty classes the first thirty.
        path: Where to write it, atomically.
        columns: Images in a row.
        tile: Side of an image on the sheet, in pixels.

    Raises:
        InputError: The place cannot be written to.
    """
    rows = list(_rows(images, columns))
    gap, margin, font = 4, 16, ImageFont.load_default(15)
    indent = margin + max(
        (int(font.getlength(name)) + margin for name, _ in rows if name), default=0
    )
    size = (
        indent + columns * (tile + gap) - gap + margin,
        len(rows) * (tile + gap) - gap + 2 * margin,
    )
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, indices) in enumerate(rows):
        top = margin + row * (tile + gap)
        draw.text((margin, top + tile / 2), name, fill="#333333", font=font, anchor="lm")
        for column, index in enumerate(indices):
            image = Image.fromarray(np.ascontiguousarray(images.images[index].transpose(1, 2, 0)))
            sheet.paste(
                image.resize((tile, tile), Image.Resampling.BICUBIC),
                (indent + column * (tile + gap), top),
            )
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def _rows(images: ImageSet, columns: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
    if images.labels is None:
        everything = _spread(np.arange(len(images.images)), 10 * columns)
        for start in range(0, len(everything), columns):
            yield "", everything[start : start + columns]
        return
    for label, name in enumerate(images.classes[:30]):
        yield name[:24], _spread(np.flatnonzero(images.labels == label), columns)


def _spread(indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    count = min(count, len(indices))
    return indices[np.arange(count) * len(indices) // max(count, 1)]
