"""Labels next to points that cover neither each other nor what is drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from caelab.plotting import INK

_DIRECTIONS = ((1, 0), (1, 0.7), (1, -0.7), (-1, 0), (-1, 0.7), (-1, -0.7), (0, 1), (0, -1))
_OFFSETS = [(far * x, far * y) for far in (6, 12, 20, 30, 42) for x, y in _DIRECTIONS]
"""Positions of a label from its point, in points of 1/72 inch: the first free one is taken."""

_OUTSIDE = 1e6
"""Cost of a label that leaves the axes, in pixels of covered area."""


def label_points(
    axes: Axes,
    labels: Sequence[str],
    points: np.ndarray,
    *,
    avoid: np.ndarray | None = None,
    lines: Sequence[np.ndarray] = (),
) -> None:
    """Write a label next to each point, with a thin line to those that stand apart.

    A label without a free position is written where it covers least.

    Args:
        axes: Axes with their final limits and scales.
        labels: A text for each point.
        points: Coordinates in the axes' data, ``(N, 2)``.
        avoid: Other points that should stay visible, ``(K, 2)``.
        lines: Corners of lines that no letter should cover, each ``(K, 2)``.
    """
    canvas = FigureCanvasAgg(axes.figure)  # type: ignore[arg-type]
    canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    scale = axes.figure.dpi / 72
    # Everything that letters must not cover, as boxes in pixels; each written label joins it.
    visible = points if avoid is None else np.concatenate([points, np.reshape(avoid, (-1, 2))])
    dots = axes.transData.transform(visible)
    blocks = [_boxes(dots, 3.5 * scale)]
    for line in lines:
        corners = axes.transData.transform(line)
        dots = np.linspace(corners[:-1], corners[1:], 80).reshape(-1, 2)
        blocks.append(_boxes(dots[np.isfinite(dots).all(1)], scale))
    legend = axes.get_legend()
    written = [*axes.texts, *([legend] if legend else [])]
    taken = np.concatenate([*blocks, *(_extents(each, renderer)[None] for each in written)])
    for label, point in zip(labels, points, strict=True):
        text: Any = axes.annotate(
            label,
            point,
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=8,
            color=INK,
            annotation_clip=False,
        )
        # The first of the cheapest offsets wins, so a free position near the point comes first.
        costs = []
        for offset in _OFFSETS:
            box = _move(text, offset, renderer)
            outside = (box[:2] < axes.bbox.min).any() or (box[2:] > axes.bbox.max).any()
            costs.append(_covered(box, taken) + _OUTSIDE * outside)
        best = _OFFSETS[int(np.argmin(costs))]
        taken = np.concatenate([taken, _move(text, best, renderer)[None]])
        if max(map(abs, best)) > 12:
            axes.annotate(
                "",
                point,
                xytext=(best[0] * 0.9, best[1] * 0.9),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.5, "shrinkB": 3},
            )


def _extents(artist: Any, renderer: Any) -> np.ndarray:
    """Return x0, y0, x1 and y1 of what an artist covers, in pixels."""
    return np.array(artist.get_window_extent(renderer).extents)


def _boxes(centers: np.ndarray, reach: float) -> np.ndarray:
    """Return boxes around points ``(N, 2)``: ``(N, 4)``."""
    return np.concatenate([centers - reach, centers + reach], axis=1)


def _covered(box: np.ndarray, others: np.ndarray) -> float:
    """Return the area that a box shares with other boxes ``(N, 4)``."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float(sides.clip(0).prod(1).sum())


def _move(text: Any, offset: tuple[float, float], renderer: Any) -> np.ndarray:
    x, y = offset
    across = "left" if x > 0 else "right" if x < 0 else "center"
    up = "center" if x else "bottom" if y > 0 else "top"
    text.set(position=offset, horizontalalignment=across, verticalalignment=up)
    return _extents(text, renderer)
