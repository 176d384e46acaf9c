"""Strips of small pictures: the same images, row by row, as each method has them."""

from collections.abc import Mapping

import numpy as np
import torch

from caelab.color import SPACES, ColorSpace
from caelab.plotting import draw_image_rows
from caelab.report.document import Picture
from caelab.report.figures.style import Drawing


def draw_strips(name: str, rows: Mapping[str, np.ndarray]) -> Picture:
    """Draw rows of pictures.

    Args:
        name: Name of the picture's file.
        rows: Images ``float32 (K, 3, H, W)`` in [0, 1] by label.
    """
    count = len(next(iter(rows.values())))
    alt = f"Rows of {count} small pictures: {', '.join(rows)}."
    return Drawing(figure=draw_image_rows(rows), caption="", alt=alt).picture(name, "png")


def chroma_planes(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Cb and Cr as pictures: RGB ``(K, 3, H, W)`` → twice the same shape, each plane alone
    on a mid gray.
    """
    space: ColorSpace = SPACES["ycbcr"]
    chroma = space.chroma(torch.from_numpy(images))
    shown = []
    for plane in (0, 1):
        alone = torch.full((len(images), 3, *images.shape[2:]), 0.5)
        alone[:, 1:] = 0
        alone[:, 1 + plane] = chroma[:, plane]
        shown.append(space.to_rgb(alone).clamp(0, 1).numpy())
    return shown[0], shown[1]
