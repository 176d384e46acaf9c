"""Strips of small pictures: the same images, row by row, as each method has them."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure

from caelab.color import SPACES, ColorSpace
from caelab.report.figures.style import Drawing

_SIDE, _LEFT = 0.62, 1.9


def draw_strips(rows: Mapping[str, np.ndarray], *, caption: str, alt: str) -> Drawing:
    """Draw rows of pictures, ``float32 (K, 3, H, W)`` in [0, 1] by label; to be rendered as PNG."""
    count = len(next(iter(rows.values())))
    figure = Figure(figsize=(_LEFT + _SIDE * count + 0.05, _SIDE * len(rows) + 0.05))
    width, height = figure.get_size_inches()
    for row, (label, images) in enumerate(rows.items()):
        bottom = (height - (row + 1) * _SIDE) / height
        shown = label if len(label) <= 60 else f"{label[:59]}…"
        figure.text(
            (_LEFT - 0.08) / width,
            bottom + _SIDE / height / 2,
            _wrapped(shown),
            ha="right",
            va="center",
            fontsize=8.5,
        )
        for column in range(count):
            left = (_LEFT + column * _SIDE) / width
            axes = figure.add_axes((left, bottom, 0.95 * _SIDE / width, 0.95 * _SIDE / height))
            axes.imshow(images[column].transpose(1, 2, 0), interpolation="nearest", vmin=0, vmax=1)
            axes.set_axis_off()
    return Drawing(figure=figure, caption=caption, alt=alt)


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


def _wrapped(label: str) -> str:
    """Break a label into at most three lines at its spaces."""
    lines = [""]
    for word in label.split():
        if lines[-1] and len(lines[-1]) + len(word) > 26 and len(lines) < 3:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
