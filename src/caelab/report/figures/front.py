"""Error against one cost: all networks, and those that no other beats in both."""

import numpy as np
from matplotlib.figure import Figure

from caelab.plotting import BLUE, GRAY, MSE_LABEL, ORANGE, add_legend, new_axes, set_limits
from caelab.report.architectures import COSTS, Analysis, Front, error_points
from caelab.report.figures.labels import draw_networks, label_points


def draw_front(front: Front, analysis: Analysis) -> Figure | None:
    """Draw the test MSE against a cost, both logarithmic, with the front as a staircase.

    Returns:
        The figure; ``None`` with fewer than two networks that have an error and a cost.
    """
    cost, base = front.cost, analysis.base
    measured = [each for each in analysis.measured if getattr(each, cost)]
    on_front = [each for each in front.architectures if getattr(each, cost)]
    if len(measured) < 2 or not on_front:
        return None
    shown, best = error_points(measured, cost), error_points(on_front, cost)
    figure, axes = new_axes(4.4)
    set_limits(axes, x=shown[:, 0], y=shown[:, 1], margin=0.1)
    draw_networks(axes, measured, cost, "o", color=GRAY, label="beaten in both", hollow=True)
    costs = np.append(best[:, 0], axes.get_xlim()[1]).repeat(2)[1:-1]
    axes.plot(costs, best[:, 1].repeat(2), color=BLUE, linewidth=1.2)
    draw_networks(axes, on_front, cost, "s", color=BLUE, label="on the front")
    if base:
        draw_networks(axes, [base], cost, "D", color=ORANGE, label="base", size=10, hollow=True)
    axes.set_xlabel(COSTS[cost])
    axes.set_ylabel(f"test {MSE_LABEL}")
    add_legend(axes, "above")
    label_points(axes, [each.label for each in on_front], best)
    return figure
