"""Figures of test MSE against size of the code, shape of the code and number of weights.

Every network of a study is a point with its interval over seeds. Both axes are logarithmic.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle, product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from caelab.plotting import (
    BLUE,
    GRAY,
    INK,
    LINES,
    MARKS,
    ORANGE,
    add_legend,
    new_axes,
    plain_text,
    set_limits,
)
from caelab.report.architectures import Analysis, Architecture, EqualSizeAnswer, error_points
from caelab.report.language import Language

_DEPTH = 4
"""Smallest error of a network divided by the smallest error that the axis shows. The axis shows
smaller errors than those of the networks, because linear codes may have them."""

_DIRECTIONS = ((1, 0.7), (1, -0.7), (1, 0), (-1, 0.7), (-1, -0.7), (-1, 0), (0, 1), (0, -1))
"""Directions from a point in which a place for its label is looked for: steps right and up."""


@plain_text
def draw_code_size(
    analysis: Analysis, linear: Mapping[str, Mapping[int, float]], language: Language
) -> Figure | None:
    """Draw the test MSE of networks against the size of their code.

    One line joins the networks that differ only in their code. Each kind of linear code is a line,
    too.

    Args:
        analysis: Analysis of a study.
        linear: For each kind of linear code, its test MSE by code size.
        language: Language of the labels.

    Returns:
        The figure; ``None`` if no network has a code that is a bottleneck.
    """
    answer, word = analysis.code_size, language.word
    if not answer.architectures:
        return None
    around = [each for each in analysis.measured if each.code_size and each.skip_around_code]
    shown = error_points([*answer.architectures, *around], "code_size")
    figure, axes = new_axes(5.2)
    bounds = [*shown[:, 1], shown[:, 1].min() / _DEPTH]
    set_limits(axes, x=shown[:, 0], y=bounds, number=language.number)
    # A line through all networks would mix the effect of the code size with other differences.
    if analysis.family:
        points = error_points(analysis.family.architectures, "code_size").T
        axes.plot(*points, "-", color=MARKS[5][0], linewidth=1.5, label=word("family"))
    for dashes, (name, line) in zip(LINES, linear.items(), strict=False):
        label = language.label(name)
        axes.plot(*np.array(sorted(line.items())).T, color=INK, linestyle=dashes, label=label)
    # Each factor has its own color and marker, so that not every point needs a label.
    groups: dict[str, list[Architecture]] = {}
    for each in answer.architectures:
        name = language.label(each.varied) or word("other_networks")
        groups.setdefault(name, []).append(each)
    for mark, (name, members) in zip(cycle(MARKS), groups.items(), strict=False):
        _draw(axes, members, "code_size", mark, label=name)
    if around:
        _draw(axes, around, "code_size", (GRAY, "*"), label=word("around_code"))
    _draw_base(axes, analysis.base, "code_size", language)
    axes.set(xlabel=word("code_size"), ylabel=word("test_mse"))
    add_legend(axes, "right")
    ordered = sorted(answer.architectures, key=lambda each: each.mse.estimate)
    # More labels would cover the points; the interactive plot of the page names every point.
    named = {each.label: each for each in (ordered[0], ordered[-1], *around[:3])}
    points = error_points(list(named.values()), "code_size")
    label_points(axes, [*map(language.label, named)], points)
    return figure


@plain_text
def draw_equal_size(
    answer: EqualSizeAnswer, linear: Mapping[str, float], language: Language
) -> Figure | None:
    """Draw the test MSE of networks with equally large codes against the area of their code.

    Args:
        answer: Comparison of the networks.
        linear: Test MSE of linear codes of the same size by kind, drawn as horizontal lines.
        language: Language of the labels.

    Returns:
        The figure; ``None`` if there are fewer than two networks.
    """
    shown = [each for each in answer.ranking if each.area]
    if len(shown) < 2:
        return None
    points = error_points(shown, "area")
    # A factor of 2 on both sides leaves room for the first and the last label.
    low, high = points[:, 0].min(), points[:, 0].max()
    figure, axes = new_axes(4.4)
    errors = [*points[:, 1], *linear.values()]
    set_limits(axes, x=[low / 2, high * 2], y=errors, number=language.number)
    # The ticks of the area's axis name whole shapes, because the channels differ, too.
    shapes = {each.area or 0: each.shape for each in shown}
    axes.set_xticks([float(area or 0) for area in shapes], shapes.values())
    # The line joins only the networks whose areas are compared.
    axes.plot(*error_points(answer.maps, "area").T, "-", color=BLUE, linewidth=1, alpha=0.7)
    for mark, compared in (((BLUE, "o"), True), ((ORANGE, "s"), False)):
        _draw(axes, [each for each in shown if (each in answer.maps) == compared], "area", mark)
    for dashes, (name, error) in zip(LINES, linear.items(), strict=False):
        label = language.word("named_mse", name=language.label(name), mse=error)
        axes.axhline(error, color=INK, linewidth=1.2, linestyle=dashes, label=label)
    if linear:
        add_legend(axes, "above")
    axes.set(xlabel=language.word("shape_axis"), ylabel=language.word("test_mse"))
    label_points(axes, [language.label(each.label) for each in shown], points)
    return figure


@plain_text
def draw_front(analysis: Analysis, language: Language) -> Figure | None:
    """Draw the test MSE of networks against their number of weights, with the Pareto front.

    Args:
        analysis: Analysis of a study.
        language: Language of the labels.

    Returns:
        The figure; ``None`` if fewer than two networks have both an error and weights.
    """
    measured = [each for each in analysis.measured if each.weights]
    on_front = [each for each in analysis.front if each.weights]
    if len(measured) < 2 or not on_front:
        return None
    figure, axes = new_axes(4.4)
    shown, best = error_points(measured, "weights"), error_points(on_front, "weights")
    set_limits(axes, x=shown[:, 0], y=shown[:, 1], margin=0.1, number=language.number)
    others = [each for each in measured if each not in on_front]
    _draw(axes, others, "weights", (GRAY, "o"), label=language.word("beaten"))
    # A staircase, because whoever can afford a number of weights between two networks of the front
    # gets the error of the smaller network.
    axes.step(*best.T, where="post", color=BLUE, linewidth=1.2)
    _draw(axes, on_front, "weights", (BLUE, "s"), label=language.word("on_front"))
    _draw_base(axes, analysis.base, "weights", language)
    axes.set(xlabel=language.word("weights"), ylabel=language.word("test_mse"))
    add_legend(axes, "above")
    label_points(axes, [language.label(each.label) for each in on_front], best)
    return figure


def _draw(
    axes: Axes,
    networks: Sequence[Architecture],
    attribute: str,
    mark: tuple[str, str],
    label: str = "",
) -> None:
    """Draw a group of networks as points with intervals; ``mark`` is their color and marker."""
    x, mse = error_points(networks, attribute).T
    low, high = np.reshape([(each.mse.low, each.mse.high) for each in networks], (-1, 2)).T
    style: Any = {"fmt": mark[1], "color": mark[0], "label": label, "elinewidth": 1}
    # A logarithmic axis cannot show the part of an interval that is below zero.
    axes.errorbar(x, mse, yerr=(np.minimum(mse - low, mse), high - mse), mec="white", **style)


def _draw_base(axes: Axes, base: Architecture | None, attribute: str, language: Language) -> None:
    """Draw a diamond around the point of the base."""
    if base and getattr(base, attribute):
        point = getattr(base, attribute), base.mse.estimate
        label = language.word("base")
        axes.plot(*point, "D", color=INK, mfc="none", mew=1.5, ms=11, label=label)


def label_points(axes: Axes, labels: Sequence[str], points: np.ndarray) -> None:
    """Write a label at the nearest free position to each point, with a line from label to point.

    Args:
        axes: Axes with their final limits, scales and legend.
        labels: Text of each point's label.
        points: Positions of the points in data coordinates, ``(N, 2)``.
    """
    # The positions of points and legend are known only after the layout.
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    markers = [line.get_xydata() for line in axes.lines if line.get_linestyle() == "None"]
    dots = axes.transData.transform(np.concatenate([points, *markers]))
    taken = [Bbox([dot - 5, dot + 5]) for dot in dots]
    # A background keeps labels readable where lines pass below them.
    back = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.5}
    offset: Any = {"textcoords": "offset points"}
    for label, point in zip(labels, points, strict=True):
        text = axes.annotate(
            label, point, xytext=(0, 0), fontsize=8, color=INK, bbox=back, **offset
        )
        # Near positions are tried first; at equal distance, positions on the right are.
        for far, (right, up) in product((6, 12, 20, 30, 42), _DIRECTIONS):
            text.set(position=(right * far, up * far))
            text.set_horizontalalignment("left" if right > 0 else "right" if right else "center")
            text.set_verticalalignment("center" if right else "bottom" if up > 0 else "top")
            box = text.get_window_extent()
            inside = axes.bbox.count_contains(box.corners()) == 4
            if inside and not box.count_overlaps(taken):
                break
        taken.append(box)
        line = {"arrowstyle": "-", "color": INK, "linewidth": 0.5, "shrinkB": 3}
        axes.annotate(
            "", point, xytext=(0.9 * right * far, 0.9 * up * far), arrowprops=line, **offset
        )
