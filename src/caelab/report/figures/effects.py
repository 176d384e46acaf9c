"""Figure of the effects of all levels of all factors on the test error, with their intervals."""

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
    plain_text,
    set_limits,
)
from caelab.report.architectures import Analysis, LevelEffect
from caelab.report.language import Language
from caelab.report.number_format import significant

_ROW = 0.23
"""Height of one effect's row in inches."""

_MARKS: Mapping[str, Any] = {
    "lower": {"fmt": "o", "color": BLUE},
    "higher": {"fmt": "s", "color": ORANGE},
    "equivalent": {"fmt": "D", "color": GREEN, "mfc": "white"},
    "undecided": {"fmt": "o", "color": GRAY, "mfc": "white"},
}
"""Color and marker of each verdict."""


@plain_text
def draw_effects(analysis: Analysis, language: Language) -> Figure | None:
    """Draw the effects of levels as multiples of the base's test MSE, in the order of the factors.

    Levels with another code size than the base's come last. If there are levels of both kinds, each
    kind has a heading.

    Args:
        analysis: Analysis of a study.
        language: Language of the labels.

    Returns:
        The figure; ``None`` if the base was not measured or no effect is finite.
    """
    effects = [each for each in analysis.effects if math.isfinite(each.contrast.ratio.estimate)]
    if not effects or analysis.base is None:
        return None
    groups = {
        word: [each for each in effects if each.same_code == same]
        for word, same in (("held_code", True), ("other_code", False))
    }
    lines: list[LevelEffect | str] = []
    for heading, members in groups.items():
        # Headings are needed only to distinguish two groups.
        lines += [*([heading] if all(groups.values()) else []), *members]
    effects = [each for each in lines if isinstance(each, LevelEffect)]
    rows = np.array([row for row, each in enumerate(lines) if isinstance(each, LevelEffect)])
    figure, axes = new_axes(_ROW * len(lines) + 1.4)
    ratios = np.array([_bounds(each.contrast.ratio) for each in effects])
    # Small effects should look small: the axis shows at least ±10%.
    set_limits(axes, x=[1 / 1.1, *ratios[np.isfinite(ratios)], 1.1], margin=0.04)
    verdicts = np.array([each.contrast.verdict for each in effects])
    # Color and marker both show the verdict, for printing and for color-blind readers.
    for verdict in dict.fromkeys(verdicts):
        chosen = verdicts == verdict
        middle, low, high = ratios[chosen].T
        style = {"label": language.word(verdict), **_MARKS[verdict]}
        axes.errorbar(middle, rows[chosen], xerr=(middle - low, high - middle), **style)
    axes.xaxis.set_major_formatter(lambda value, _: f"×{language.number(format_plain(value))}")
    axes.axvline(1, color=INK, linewidth=1)
    labels = [
        language.word(line) if isinstance(line, str) else language.label(line.architecture.label)
        for line in lines
    ]
    axes.set_yticks(range(len(lines)), labels, fontsize=9)
    for label, line in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if isinstance(line, str) else "normal")
    # The numbers are labels of a second axis, because an axis moves with the layout and text does
    # not.
    right = axes.secondary_yaxis("right")
    texts = [_in_numbers(each.contrast.ratio, language) for each in effects]
    right.set_yticks(rows, texts, fontsize=8)
    for axis in (axes, right):
        axis.tick_params(axis="y", length=0)
        axis.spines[["left", "right"]].set_visible(False)
    # The first level is on top, as in the table.
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xlabel(language.word("effect_axis", mse=analysis.base.mse.estimate))
    add_legend(axes, "above")
    return figure


def _bounds(ratio: Interval) -> tuple[float, float, float]:
    return ratio.estimate, ratio.low, ratio.high


def _in_numbers(ratio: Interval, language: Language) -> str:
    estimate, low, high = map(significant, _bounds(ratio))
    text = f"×{estimate}" if ratio.undetermined else f"×{estimate} ({low}–{high})"
    return language.number(text)
