"""Error against one cost: all networks, and those that no other beats in both."""

import numpy as np
from matplotlib.figure import Figure

from caelab.plotting import BLUE, GRAY, MSE_LABEL, ORANGE, add_legend, new_axes, set_limits
from caelab.report.architectures import COSTS, Analysis, Front, error_points
from caelab.report.figures.labels import label_points


def draw_front(front: Front, analysis: Analysis) -> Figure | None:
    """Draw the test MSE against a cost, both logarithmic, with the front as a staircase.

    Returns:
        The figure; ``None`` with fewer than two networks that have an error and a cost.
    """
    measured = [each for each in analysis.architectures if each.errors and each.cost(front.cost)]
    on_front = [each for each in front.architectures if each.cost(front.cost)]
    if len(measured) < 2 or not on_front:
        return None
    shown, best = error_points(measured, front.cost), error_points(on_front, front.cost)
    figure, axes = new_axes(4.4)
    set_limits(axes, x=shown[:, 0], y=shown[:, 1], margin=0.1)
    axes.plot(
        *shown.T, "o", color=GRAY, markersize=5, markerfacecolor="white", label="beaten in both"
    )
    costs = np.append(best[:, 0], axes.get_xlim()[1]).repeat(2)[1:-1]
    stairs = np.stack([costs, best[:, 1].repeat(2)], axis=1)
    axes.plot(*stairs.T, color=BLUE, linewidth=1.2)
    axes.plot(*best.T, "s", color=BLUE, markersize=6, label="on the front")
    if analysis.base:
        axes.plot(
            *error_points([analysis.base], front.cost).T,
            "D",
            color=ORANGE,
            markersize=9,
            markerfacecolor="none",
            markeredgewidth=1.5,
            label="base",
        )
    axes.set_xlabel(COSTS[front.cost])
    axes.set_ylabel(f"test {MSE_LABEL}")
    add_legend(axes, "above")
    label_points(axes, [each.label for each in on_front], best, avoid=shown, lines=[stairs])
    return figure
