"""The effect of every level of every factor on the base's error, with intervals over seeds."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from caelab.metrics.statistics import Interval
from caelab.plotting import (
    BLUE,
    GRAY,
    GREEN,
    INK,
    ORANGE,
    add_legend,
    format_plain,
    new_axes,
    set_limits,
)
from caelab.report.architectures import Analysis, LevelEffect
from caelab.report.language import Language
from caelab.report.number_format import significant

_ROW = 0.23
"""Height of a row in inches."""

_MARKS: Mapping[str, Any] = {
    "lower": {"fmt": "o", "color": BLUE},
    "higher": {"fmt": "s", "color": ORANGE},
    "equivalent": {"fmt": "D", "color": GREEN, "mfc": "white"},
    "undecided": {"fmt": "o", "color": GRAY, "mfc": "white"},
}
"""Color and marker of each verdict."""


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
    rows: list[str | LevelEffect] = []
    for factor in dict.fromkeys(each.factor for each in effects):
        rows += [factor, *(each for each in effects if each.factor == factor)]
    figure, axes = new_axes(_ROW * len(rows) + 1.4)
    levels = {place: row for place, row in enumerate(rows) if isinstance(row, LevelEffect)}
    ratios = np.array([_bounds(row.contrast.ratio) for row in levels.values()])
    # Small effects should look small: the axis shows at least ±10%.
    set_limits(axes, x=[1 / 1.1, *ratios[np.isfinite(ratios)], 1.1], margin=0.04)
    verdicts = np.array([row.contrast.verdict for row in levels.values()])
    for verdict in dict.fromkeys(verdicts):
        chosen = verdicts == verdict
        (middle, low, high), places = ratios[chosen].T, np.array(list(levels))[chosen]
        axes.errorbar(
            middle,
            places,
            xerr=(middle - low, high - middle),
            label=language.word(verdict),
            **_MARKS[verdict],
        )
    axes.xaxis.set_major_formatter(lambda value, _: f"×{language.number(format_plain(value))}")
    axes.axvline(1, color=INK, linewidth=1)
    names = [row.architecture.level if isinstance(row, LevelEffect) else row for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=9)
    for place, tick in enumerate(axes.get_yticklabels()):
        tick.set_weight("normal" if place in levels else "bold")
    beside = axes.secondary_yaxis("right")
    texts = [_in_numbers(row.contrast.ratio, language) for row in levels.values()]
    beside.set_yticks(list(levels), texts, fontsize=8)
    for each in (axes, beside):
        each.tick_params(axis="y", length=0)
        each.spines[:].set_visible(each is axes)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(language.word("effect_axis", mse=analysis.base.mse.estimate))
    add_legend(axes, "above")
    return figure


def _bounds(ratio: Interval) -> tuple[float, float, float]:
    return ratio.estimate, ratio.low, ratio.high


def _in_numbers(ratio: Interval, language: Language) -> str:
    estimate, low, high = map(significant, _bounds(ratio))
    text = f"×{estimate}" if ratio.undetermined else f"×{estimate} ({low}–{high})"
    return language.number(text)
