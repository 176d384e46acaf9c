"""Error against one cost: all networks, and those that no other beats in both."""

from collections.abc import Mapping

import numpy as np

from caelab.plotting import BLUE, GRAY, ORANGE
from caelab.report.architectures import Analysis, Architecture, Front
from caelab.report.figures.labels import label_points
from caelab.report.figures.style import Drawing, logarithmic, margin, new_axes
from caelab.report.sentences import significant

_AXES: Mapping[str, str] = {
    "weights": "weights",
    "multiply_accumulates": "multiply-accumulates an image",
    "seconds_per_epoch": "seconds an epoch, as measured",
}
_NAMES: Mapping[str, str] = {**_AXES, "seconds_per_epoch": "seconds an epoch"}


def draw_front(front: Front, analysis: Analysis) -> Drawing | None:
    """Draw the test MSE against a cost, both logarithmic, with the front as a staircase.

    Returns:
        The drawing; ``None`` with fewer than two networks that have an error and such a cost.
    """
    shown = [each for each in analysis.architectures if each.errors and _cost(each, front) > 0]
    on_front = [each for each in front.architectures if _cost(each, front) > 0]
    if len(shown) < 2 or not on_front:
        return None
    figure, axes = new_axes(height=4.4)
    costs, errors = [_cost(each, front) for each in shown], [each.mse.estimate for each in shown]
    margin(axes, costs, errors, share=0.1)
    logarithmic(axes, x=True, y=True)
    axes.plot(
        costs,
        errors,
        "o",
        color=GRAY,
        markersize=5,
        markerfacecolor="white",
        label="beaten in both",
    )
    front_costs, front_errors = (
        [_cost(each, front) for each in on_front],
        [each.mse.estimate for each in on_front],
    )
    stairs = np.array(
        [[*front_costs, axes.get_xlim()[1]], [*front_errors, front_errors[-1]]], float
    )
    stairs = np.stack([stairs[0].repeat(2)[1:], stairs[1].repeat(2)[:-1]])
    axes.plot(*stairs, color=BLUE, linewidth=1.2)
    axes.plot(front_costs, front_errors, "s", color=BLUE, markersize=6, label="on the front")
    if analysis.base:
        axes.plot(
            _cost(analysis.base, front), analysis.base.mse.estimate,
            "D", color=ORANGE, markersize=9, markerfacecolor="none", markeredgewidth=1.5, label="base",
        )  # fmt: skip
    axes.set_xlabel(_AXES[front.cost])
    axes.set_ylabel("test MSE, pixels in [0, 1]")
    axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    label_points(
        axes,
        [each.label for each in on_front],
        np.array([front_costs, front_errors], float).T,
        avoid=np.array([costs, errors], float).T,
        lines=[stairs.T],
    )
    return Drawing(figure=figure, caption=_caption(front, on_front, shown), alt=_alt(front, shown))


def _cost(architecture: Architecture, front: Front) -> float:
    return float(getattr(architecture, front.cost))


def _caption(front: Front, on_front: list[Architecture], shown: list[Architecture]) -> str:
    first, last = on_front[0], on_front[-1]
    said = (
        f"Test MSE against {_NAMES[front.cost]} of {len(shown)} networks; {len(on_front)} on the"
        " front"
    )
    if first is last:
        return f"{said}: {first.label} is both the cheapest and the best."
    times = significant(_cost(last, front) / _cost(first, front), 2)
    return (
        f"{said}. From {first.label} to {last.label} the cost grows {times}-fold, and the error"
        f" falls to {significant(last.mse.estimate / first.mse.estimate, 2)} of what it was."
    )


def _alt(front: Front, shown: list[Architecture]) -> str:
    points = "; ".join(
        f"{each.label}: {significant(_cost(each, front))}, {significant(each.mse.estimate)}"
        for each in shown
    )
    return f"Scatter plot of test MSE against {_NAMES[front.cost]} on logarithmic axes. {points}."
