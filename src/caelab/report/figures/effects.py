"""The effect of every level of every factor on the base's error, with intervals over seeds."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from caelab.metrics.statistics import Interval
from caelab.plotting import BLUE, GRAY, GRID, INK, ORANGE, format_plain, new_axes, set_limits
from caelab.report.architectures import Analysis
from caelab.report.language import Language
from caelab.report.number_format import significant

_ROW = 0.23
"""Height of a row in inches."""


def draw_effects(analysis: Analysis, language: Language) -> Figure | None:
    """Draw the effects as multiples of the base's test MSE, grouped by factor.

    Args:
        analysis: Analysis of a study.
        language: Language of the labels.

    Returns:
        The figure; ``None`` without the base, or without a finite effect.
    """
    effects = [each for each in analysis.effects if math.isfinite(each.contrast.ratio.estimate)]
    if not effects or analysis.base is None:
        return None
    groups = {each.architecture.varied: 0 for each in effects}
    rows = len(effects) + len(groups)
    figure, axes = new_axes(_ROW * rows + 1.1)
    row, ticks = -1, {}
    for group in groups:
        row += 1
        _write(axes, -0.01, row, group, ha="right", weight="bold", fontsize=9)
        axes.axhline(row, color=GRID, linewidth=0.6)
        for each in effects:
            if each.architecture.varied == group:
                row += 1
                ticks[row] = each.architecture.level
                _draw_level(axes, row, each.contrast.ratio, language)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    ratios = [each.contrast.ratio for each in effects]
    bounds = [bound for each in ratios for bound in (each.low, each.estimate, each.high)]
    # Small effects should look small: the axis shows at least ±10%.
    set_limits(axes, x=[1 / 1.1, *filter(math.isfinite, bounds), 1.1], margin=0.04)
    axes.xaxis.set_major_formatter(lambda value, _: f"×{language.number(format_plain(value))}")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(language.word("effect_axis", mse=analysis.base.mse.estimate))
    return figure


def _draw_level(axes: Axes, row: int, ratio: Interval, language: Language) -> None:
    side = ratio.side(1.0)
    color, marker = {-1: (BLUE, "o"), 0: (GRAY, "o"), 1: (ORANGE, "s")}[side]
    text = f"×{significant(ratio.estimate)}"
    if not ratio.undetermined:
        axes.hlines(row, ratio.low, ratio.high, color=color, linewidth=2)
        text += f" ({significant(ratio.low)}–{significant(ratio.high)})"
    fill = color if side else "white"
    axes.plot(ratio.estimate, row, marker, color=color, markerfacecolor=fill, markersize=6)
    _write(axes, 1.01, row, language.number(text), fontsize=8, color=INK)


def _write(axes: Axes, x: float, row: int, text: str, **style: Any) -> None:
    """Write text in a row next to the axes; ``x`` is a share of their width."""
    axes.text(x, row, text, transform=axes.get_yaxis_transform(), va="center", **style)
