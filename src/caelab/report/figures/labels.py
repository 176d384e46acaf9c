"""Labels beside points that do not lie on points, lines of text or each other."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from caelab.report.figures.style import INK

_PLACES = [
    (distance * across, distance * up)
    for distance in (6, 12, 20, 30, 42)
    for across, up in ((1, 0), (1, 0.7), (1, -0.7), (-1, 0), (-1, 0.7), (-1, -0.7), (0, 1), (0, -1))
]
"""Where a label may stand from its point, in points of 1/72 inch; the first that is free is
taken."""


def label_points(
    axes: Axes,
    labels: Sequence[str],
    points: np.ndarray,
    *,
    avoid: np.ndarray | None = None,
    lines: Sequence[np.ndarray] = (),
    size: float = 8,
) -> None:
    """Write a label beside each point; a thin line leads to those that had to stand apart.

    The axes must have their final limits and scales. A label for which there is no free place is
    written where it covers least.

    Args:
        axes: Where to.
        labels: A text a point.
        points: In the axes' data, ``(N, 2)``.
        avoid: Other points that should stay visible, ``(K, 2)``.
        lines: The corners of lines that letters should not lie on, each ``(K, 2)``.
        size: Of the letters, in points.
    """
    figure = axes.figure
    canvas = FigureCanvasAgg(figure)  # type: ignore[arg-type]
    canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    per_point = figure.dpi / 72
    others = points if avoid is None else np.concatenate([points, np.reshape(avoid, (-1, 2))])
    taken = [_around(place, 3.5 * per_point) for place in axes.transData.transform(others)]
    taken += [
        _around(place, per_point)
        for line in lines
        for place in _along(axes.transData.transform(line), per_point)
    ]
    taken += [text.get_window_extent(renderer) for text in axes.texts]
    legend = axes.get_legend()
    if legend is not None:
        taken.append(legend.get_window_extent(renderer))
    for label, point in zip(labels, points, strict=True):
        text: Any = axes.annotate(
            label, point, xytext=(0, 0), textcoords="offset points", fontsize=size, color=INK, linespacing=1.0,
            annotation_clip=False,
        )  # fmt: skip
        costs = []
        for offset in _PLACES:
            _move(text, offset)
            box = text.get_window_extent(renderer)
            outside = not axes.bbox.x0 <= box.x0 or not axes.bbox.y0 <= box.y0
            outside = outside or box.x1 > axes.bbox.x1 or box.y1 > axes.bbox.y1
            costs.append(sum(_overlap(box, other) for other in taken) + 1e6 * outside)
            if not costs[-1]:
                break
        best = _PLACES[int(np.argmin(costs))]
        _move(text, best)
        taken.append(text.get_window_extent(renderer))
        if max(map(abs, best)) > 12:
            axes.annotate(
                "", point, xytext=(best[0] * 0.9, best[1] * 0.9), textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3},
            )  # fmt: skip


def label_lines(axes: Axes, heights: Mapping[str, float], *, size: float = 8) -> None:
    """Write labels of horizontal lines to the right of the axes, moved up where they would lie on
    one another.

    The axes must have their final limits and scales.

    Args:
        axes: Where to.
        heights: Of each label's line, in the axes' data.
        size: Of the letters, in points.
    """
    canvas = FigureCanvasAgg(axes.figure)  # type: ignore[arg-type]
    canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    lowest = -np.inf
    for label, height in sorted(heights.items(), key=lambda each: each[1]):
        text = axes.text(
            1.01, height, label, transform=axes.get_yaxis_transform(), fontsize=size, va="center", color=INK,
            linespacing=1.0,
        )  # fmt: skip
        box = text.get_window_extent(renderer)
        if (up := lowest - box.y0) > 0:
            middle = axes.transData.inverted().transform((box.x0, (box.y0 + box.y1) / 2 + up))[1]
            text.set_position((1.01, middle))
        lowest = text.get_window_extent(renderer).y1 + 1


def _move(text: Any, offset: tuple[float, float]) -> None:
    across, up = offset
    text.set_position(offset)
    text.set_horizontalalignment("left" if across > 0 else "right" if across < 0 else "center")
    text.set_verticalalignment("center" if across else "bottom" if up > 0 else "top")


def _around(center: np.ndarray, reach: float) -> Bbox:
    return Bbox.from_extents(*(center - reach), *(center + reach))


def _along(corners: np.ndarray, per_point: float) -> np.ndarray:
    """Return places along a line on the canvas, about three points from each other: ``(K, 2)``."""
    pieces = [
        np.linspace(start, end, 2 + int(np.hypot(*(end - start)) / (3 * per_point)))
        for start, end in pairwise(corners)
        if np.isfinite([start, end]).all()
    ]
    return np.concatenate(pieces) if pieces else np.empty((0, 2))


def _overlap(first: Bbox, second: Bbox) -> float:
    """Return the area that two boxes share."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    return width * height if width > 0 and height > 0 else 0.0
