"""An overview picture of a set of images."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from caelab.data.image_set import ImageSet, evenly_spaced
from caelab.files import replacing

_GAP, _MARGIN = 4, 16


def contact_sheet(images: ImageSet, path: Path, *, columns: int = 12, tile: int = 64) -> None:
    """Write a PNG with a row of images for each class, or ten rows if there are no classes.

    Args:
        images: The images, of which some are shown, evenly spaced; at most thirty classes.
        path: The PNG, which is written atomically.
        columns: Images in a row.
        tile: Side of an image on the sheet, in pixels.

    Raises:
        InputError: The file cannot be written.
    """
    font = ImageFont.load_default(15)
    if images.labels is None:
        shown = evenly_spaced(10 * columns, len(images.images))
        rows = [("", shown[start : start + columns]) for start in range(0, len(shown), columns)]
        indent = _MARGIN
    else:
        members = [np.flatnonzero(images.labels == label) for label in range(len(images.classes))]
        rows = [
            (name[:24], indices[evenly_spaced(columns, len(indices))])
            for name, indices in zip(images.classes[:30], members, strict=False)
        ]
        indent = 2 * _MARGIN + max(int(font.getlength(name)) for name, _ in rows)
    pitch = tile + _GAP
    size = (indent + columns * pitch - _GAP + _MARGIN, len(rows) * pitch - _GAP + 2 * _MARGIN)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, indices) in enumerate(rows):
        top = _MARGIN + row * pitch
        draw.text((_MARGIN, top + tile / 2), name, fill="#333333", font=font, anchor="lm")
        for column, index in enumerate(indices):
            image = Image.fromarray(np.ascontiguousarray(images.images[index].transpose(1, 2, 0)))
            enlarged = image.resize((tile, tile), Image.Resampling.BICUBIC)
            sheet.paste(enlarged, (indent + column * pitch, top))
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")
