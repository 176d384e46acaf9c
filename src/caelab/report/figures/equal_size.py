"""Codes of one size in several shapes: area against channels."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import FixedLocator

from caelab.plotting import BLUE, ORANGE
from caelab.report.architectures import Architecture, EqualSizeAnswer
from caelab.report.figures.labels import label_lines, label_points
from caelab.report.figures.style import INK, Drawing, logarithmic, margin, new_axes
from caelab.report.sentences import significant


def draw_equal_size(answer: EqualSizeAnswer, linear: Mapping[str, float]) -> Drawing | None:
    """Draw the test MSE of codes of one size against their area, seed by seed and in the mean.

    Args:
        answer: Of the study.
        linear: Test MSE of linear codes of this size, by their name.

    Returns:
        The drawing; ``None`` with fewer than two such networks.
    """
    shown = [each for each in answer.ranking if each.area]
    if len(shown) < 2:
        return None
    figure, axes = new_axes(height=4.4)
    areas = sorted({_area(each) for each in shown})
    errors = [error for each in shown for error in each.errors.values()]
    bounds = [bound for each in shown for bound in (each.mse.low, each.mse.high) if bound > 0]
    margin(axes, areas, [*errors, *bounds, *linear.values()])
    axes.set_xlim(areas[0] / 2.2, areas[-1] * 2.2)
    logarithmic(axes, y=True)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(areas))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.set_xticks(areas, [_shapes(shown, area) for area in areas])
    maps = {each.label for each in answer.maps}
    axes.plot(
        [_area(each) for each in answer.maps], [each.mse.estimate for each in answer.maps],
        "-", color=BLUE, linewidth=1, alpha=0.7,
    )  # fmt: skip
    for each in shown:
        of_maps = each.label in maps
        color, marker = (BLUE, "o") if of_maps else (ORANGE, "s")
        if not each.mse.undetermined and each.mse.low > 0:
            axes.plot(
                [_area(each)] * 2,
                [each.mse.low, each.mse.high],
                color=color,
                linewidth=2,
                alpha=0.6,
            )
        if len(each.errors) > 1:
            axes.plot(
                [_area(each)] * len(each.errors),
                list(each.errors.values()),
                "_",
                color=color,
                markersize=9,
            )
        axes.plot(
            _area(each),
            each.mse.estimate,
            marker,
            color=color,
            markersize=7,
            markeredgecolor="white",
        )
    for style, error in zip(("-", (0, (5, 2)), (0, (1, 1.5))), linear.values(), strict=False):
        axes.axhline(error, color=INK, linewidth=1.2, linestyle=style)
    label_lines(axes, {f"{name}\n{significant(error)}": error for name, error in linear.items()})
    axes.set_xlabel("shape of the code: height × width × channels")
    axes.set_ylabel("test MSE, pixels in [0, 1]")
    label_points(
        axes,
        [each.label for each in shown],
        np.array([(_area(each), each.mse.estimate) for each in shown], float),
        lines=[
            np.array([(_area(each), each.mse.estimate) for each in answer.maps], float).reshape(
                -1, 2
            ),
            *(
                np.array([(area, error) for area in axes.get_xlim()], float)
                for error in linear.values()
            ),
        ],
    )
    return Drawing(figure=figure, caption=_caption(answer, shown), alt=_alt(shown))


def _area(architecture: Architecture) -> int:
    return architecture.area or 0


def _shapes(shown: Sequence[Architecture], area: int) -> str:
    shapes = [each.code_shape for each in shown if each.area == area and each.code_shape]
    return "\n".join(
        dict.fromkeys(f"{height}×{width}×{channels}" for channels, height, width in shapes)
    )


def _caption(answer: EqualSizeAnswer, shown: Sequence[Architecture]) -> str:
    best, worst = shown[0], shown[-1]
    seeds = sorted({len(each.errors) for each in shown})
    if seeds == [1]:
        evidence = "There is one seed, so there are no intervals."
    elif seeds[0] == 1:
        evidence = (
            "The lines are 95% intervals over seeds, where there is more than one; the dashes are"
            " single seeds."
        )
    else:
        evidence = "The lines are 95% intervals over seeds, the dashes single seeds."
    ranked = (
        f"{len(shown)} networks whose code holds {answer.size:,} numbers, by the code's area: best"
        f" {best.label} ({significant(best.mse.estimate)}), worst {worst.label}"
        f" ({significant(worst.mse.estimate)})."
    )
    said = [ranked, evidence]
    if len(answer.maps) > 1:
        labels = ", ".join(each.label for each in answer.maps)
        said.append(
            f"The thin line joins the networks that area against channels is judged by: {labels}."
        )
    return " ".join(said)


def _alt(shown: Sequence[Architecture]) -> str:
    points = "; ".join(
        f"{each.label}: area {each.area}, {significant(each.mse.estimate)}"
        for each in shown
        if math.isfinite(each.mse.estimate)
    )
    return f"Plot of test MSE against the area of the code. {points}."
