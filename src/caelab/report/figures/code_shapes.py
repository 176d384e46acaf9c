"""Codes of one size in several shapes: area against channels."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from caelab.plotting import BLUE, INK, LINES, ORANGE, add_legend, new_axes, set_limits
from caelab.report.architectures import EqualSizeAnswer, error_points
from caelab.report.figures.labels import draw_networks, label_points
from caelab.report.language import Language


def draw_equal_size(
    answer: EqualSizeAnswer, linear: Mapping[str, float], language: Language
) -> Figure | None:
    """Draw the test MSE of codes of one size against their area, seed by seed and in the mean.

    Args:
        answer: Comparison of the shapes.
        linear: Test MSE of linear codes of this size by name.
        language: Language of the labels.

    Returns:
        The figure; ``None`` with fewer than two networks.
    """
    shown = [each for each in answer.ranking if each.area]
    if len(shown) < 2:
        return None
    figure, axes = new_axes(4.4)
    areas = sorted({each.area or 0 for each in shown})
    values = [error for each in shown for error in each.errors.values()]
    values += [bound for each in shown for bound in (each.mse.low, each.mse.high) if bound > 0]
    set_limits(axes, y=[*values, *linear.values()])
    axes.set_xscale("log", base=2)
    axes.set_xlim(areas[0] / 2.2, areas[-1] * 2.2)
    axes.xaxis.set_minor_locator(NullLocator())
    # Codes of one area have one place, and differ in their channels where they have several.
    axes.set_xticks(
        areas, ["\n".join({e.shape: 0 for e in shown if e.area == area}) for area in areas]
    )
    axes.plot(*error_points(answer.maps, "area").T, "-", color=BLUE, linewidth=1, alpha=0.7)
    for each in shown:
        mark = (BLUE, "o") if each in answer.maps else (ORANGE, "s")
        area, mse = each.area or 0, each.mse
        if not mse.undetermined and mse.low > 0:
            axes.vlines(area, mse.low, mse.high, color=mark[0], linewidth=2, alpha=0.6)
        seeds = list(each.errors.values())
        axes.plot([area] * len(seeds), seeds, "_", color=mark[0], markersize=9)
        draw_networks(axes, [each], "area", mark)
    for dashes, (name, error) in zip(LINES, linear.items(), strict=False):
        label = language.word("named_mse", name=name, mse=error)
        axes.axhline(error, color=INK, linewidth=1.2, linestyle=dashes, label=label)
    if linear:
        add_legend(axes, "above")
    axes.set(xlabel=language.word("shape_axis"), ylabel=language.word("test_mse"))
    label_points(axes, [each.label for each in shown], error_points(shown, "area"))
    return figure
