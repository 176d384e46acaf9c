"""Networks as points of a figure, and labels that cover neither each other nor what is drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from caelab.plotting import INK
from caelab.report.architectures import Architecture, error_points

_DIRECTIONS = ((1, 0), (1, 0.7), (1, -0.7), (-1, 0), (-1, 0.7), (-1, -0.7), (0, 1), (0, -1))
_OFFSETS = [(far * x, far * y) for far in (6, 12, 20, 30, 42) for x, y in _DIRECTIONS]
"""Positions of a label from its point, in points of 1/72 inch: the first free one is taken."""


def draw_networks(
    axes: Axes,
    networks: Sequence[Architecture],
    attribute: str,
    marker: str,
    *,
    color: str,
    label: str | None = None,
    size: int = 7,
    hollow: bool = False,
) -> None:
    """Draw the test MSE of networks against one of their attributes.

    Args:
        axes: Axes to draw on.
        networks: Networks with an error.
        attribute: Name of an attribute of ``Architecture``, a number.
        marker: Matplotlib's marker.
        color: Color of the marker.
        label: Entry of the legend; none by default.
        size: Size of the marker in points of 1/72 inch.
        hollow: Draw the outline only, as for crosses and around other markers.
    """
    edge = {"markerfacecolor": "none", "markeredgewidth": 1.5}
    style: Any = edge if hollow else {"markeredgecolor": "white"}
    points = error_points(networks, attribute)
    axes.plot(*points.T, marker, color=color, label=label, markersize=size, **style)


def label_points(axes: Axes, labels: Sequence[str], points: np.ndarray) -> None:
    """Write a label next to each point, with a thin line where it is far from its point.

    Labels keep clear of all points, lines, texts and the legend that the axes have so far. A label
    without a free position is written where it covers the fewest of them.

    Args:
        axes: Axes with their final limits and scales.
        labels: A text for each point.
        points: Coordinates in the axes' data, ``(N, 2)``.
    """
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    reach = 3.5 * axes.figure.dpi / 72
    drawn = [line for line in axes.lines if line.get_linestyle() != "None"]
    paths = [line.get_path().transformed(line.get_transform()) for line in drawn]
    markers = [line.get_xydata() for line in axes.lines if line not in drawn]
    dots = axes.transData.transform(np.concatenate([points, *markers]))
    taken = [Bbox([dot - reach, dot + reach]) for dot in dots]
    taken += [each.get_window_extent() for each in (*axes.texts, axes.get_legend()) if each]

    def cost(text: Any, offset: tuple[float, float]) -> int:
        box = _move(text, offset)
        # Leaving the axes is worse than covering whatever there is.
        outside = 1000 * (axes.bbox.count_contains(box.corners()) < 4)
        crossed = sum(path.intersects_bbox(box, filled=False) for path in paths)
        return int(box.count_overlaps(taken) + crossed + outside)

    for label, point in zip(labels, points, strict=True):
        text = axes.annotate(
            label,
            point,
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=8,
            color=INK,
            annotation_clip=False,
        )
        costs = [cost(text, offset) for offset in _OFFSETS]
        best = _OFFSETS[costs.index(min(costs))]
        taken.append(_move(text, best))
        # A label next to its point needs no line.
        if max(map(abs, best)) > 12:
            axes.annotate(
                "",
                point,
                xytext=(best[0] * 0.9, best[1] * 0.9),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.5, "shrinkB": 3},
            )


def _move(text: Any, offset: tuple[float, float]) -> Bbox:
    """Move a text to an offset from its point; return the pixels that it covers there."""
    x, y = offset
    across = "left" if x > 0 else "right" if x < 0 else "center"
    up = "center" if x else "bottom" if y > 0 else "top"
    text.set(position=offset, horizontalalignment=across, verticalalignment=up)
    box: Bbox = text.get_window_extent()
    return box
