"""Networks as points of a figure, and labels that cover neither each other nor the points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from caelab.plotting import INK
from caelab.report.architectures import Architecture, error_points

_ALIGNED = {
    (1, 0.7): ("left", "center"), (1, -0.7): ("left", "center"), (1, 0): ("left", "center"),
    (-1, 0.7): ("right", "center"), (-1, -0.7): ("right", "center"), (-1, 0): ("right", "center"),
    (0, 1): ("center", "bottom"), (0, -1): ("center", "top"),
}  # fmt: skip
_POSITIONS = {
    (x * far, y * far): aligned
    for far in (6, 12, 20, 30, 42)
    for (x, y), aligned in _ALIGNED.items()
}
"""Offsets of a label from its point, in points of 1/72 inch, and how its text is aligned there: the
first free one is taken."""


def draw_networks(
    axes: Axes,
    networks: Sequence[Architecture],
    attribute: str,
    mark: tuple[str, str],
    *,
    label: str = "",
    size: int = 7,
    hollow: bool = False,
) -> None:
    """Draw the test MSE of networks against one of their attributes.

    Args:
        axes: Axes to draw on.
        networks: Networks with an error.
        attribute: Name of an attribute of ``Architecture``, a number.
        mark: Color, and Matplotlib's marker.
        label: Entry of the legend; none by default.
        size: Size of the marker in points of 1/72 inch.
        hollow: Draw the outline only, as for crosses and around other markers.
    """
    (color, marker), points = mark, error_points(networks, attribute)
    edge = {"mfc": "none", "mew": 1.5} if hollow else {"mec": "white"}
    axes.plot(*points.T, marker, color=color, label=label, markersize=size, **edge)


def label_points(axes: Axes, labels: Sequence[str], points: np.ndarray) -> None:
    """Write a label next to each point, at the nearest free position, and join the two.

    Args:
        axes: Axes with their final limits, scales and legend.
        labels: A text for each point.
        points: Coordinates in the axes' data, ``(N, 2)``.
    """
    # Where the points and the legend are is known only after the layout.
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    markers = [line.get_xydata() for line in axes.lines if line.get_linestyle() == "None"]
    dots = axes.transData.transform(np.concatenate([points, *markers]))
    taken = [Bbox([dot - 5, dot + 5]) for dot in dots]
    taken += [legend.get_window_extent() for legend in [axes.get_legend()] if legend]
    offset: dict[str, Any] = {"xytext": (0, 0), "textcoords": "offset points"}
    for label, point in zip(labels, points, strict=True):
        # Lines that pass below a label must not make it hard to read.
        back = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.5}
        text = axes.annotate(label, point, fontsize=8, color=INK, bbox=back, **offset)
        for (x, y), (across, up) in _POSITIONS.items():
            text.set(position=(x, y), ha=across, va=up)
            box = text.get_window_extent()
            inside = axes.bbox.count_contains(box.corners()) == 4
            if inside and not box.count_overlaps(taken):
                break
        taken.append(box)
        line = {"arrowstyle": "-", "color": INK, "linewidth": 0.5, "shrinkB": 3}
        axes.annotate("", point, **{**offset, "xytext": (0.9 * x, 0.9 * y)}, arrowprops=line)
