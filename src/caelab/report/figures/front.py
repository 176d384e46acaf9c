"""Error against one cost: all networks, and those that no other beats in both."""

from matplotlib.figure import Figure

from caelab.plotting import BLUE, GRAY, ORANGE, add_legend, new_axes, set_limits
from caelab.report.architectures import Analysis, error_points
from caelab.report.figures.labels import draw_networks, label_points
from caelab.report.language import Language


def draw_front(analysis: Analysis, language: Language) -> Figure | None:
    """Draw the test MSE against the weights, both logarithmic, with the front as a staircase.

    Args:
        analysis: Analysis of the study.
        language: Language of the labels.

    Returns:
        The figure; ``None`` with fewer than two networks that have an error and weights.
    """
    cost, base = "weights", analysis.base
    measured = [each for each in analysis.measured if each.weights]
    on_front = [each for each in analysis.front if each.weights]
    if len(measured) < 2 or not on_front:
        return None
    shown, best = error_points(measured, cost), error_points(on_front, cost)
    figure, axes = new_axes(4.4)
    set_limits(axes, x=shown[:, 0], y=shown[:, 1], margin=0.1)
    word = language.word
    draw_networks(axes, measured, cost, (GRAY, "o"), label=word("beaten"), hollow=True)
    axes.step(*best.T, where="post", color=BLUE, linewidth=1.2)
    draw_networks(axes, on_front, cost, (BLUE, "s"), label=word("on_front"))
    if base:
        mark = ORANGE, "D"
        draw_networks(axes, [base], cost, mark, label=word("base"), size=10, hollow=True)
    axes.set(xlabel=word(cost), ylabel=word("test_mse"))
    add_legend(axes, "above")
    label_points(axes, [each.label for each in on_front], best)
    return figure
