"""What each level of each factor does to the base's error: a dot, and its interval over seeds."""

import math

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from caelab.metrics.statistics import Interval
from caelab.plotting import BLUE, GRAY, ORANGE
from caelab.report.architectures import Analysis, LevelEffect
from caelab.report.figures.style import GRID, INK, Drawing, new_axes, plain
from caelab.report.sentences import significant

_ROW = 0.23


def draw_effects(analysis: Analysis) -> Drawing | None:
    """Draw the effects as factors on the base's test MSE, on a logarithmic axis, grouped by what
    was varied.

    Returns:
        The drawing; ``None`` without the base, or without a finite effect.
    """
    effects = [each for each in analysis.effects if math.isfinite(each.effect.ratio.estimate)]
    if not effects or analysis.base is None:
        return None
    groups: dict[str, list[LevelEffect]] = {}
    for each in effects:
        groups.setdefault(each.architecture.factor.replace("_", " "), []).append(each)
    rows = len(effects) + len(groups)
    figure, axes = new_axes(height=_ROW * rows + 1.1)
    row = 0
    ticks: dict[float, str] = {}
    for name, levels in groups.items():
        axes.text(
            -0.01,
            row,
            name,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            weight="bold",
            fontsize=9,
        )
        axes.axhline(row, color=GRID, linewidth=0.6)
        for level in levels:
            row += 1
            ticks[row] = level.architecture.level
            _draw_level(axes, row, level.effect.ratio)
        row += 1
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    bounds = [bound for each in effects for bound in _bounds(each.effect.ratio)]
    low, high = min([*bounds, 1 / 1.1]), max([*bounds, 1.1])
    axes.set_xscale("log")
    axes.set_xlim(low * (low / high) ** 0.04, high * (high / low) ** 0.04)
    marks = _ticks(low, high)
    axes.set_xticks(marks, [f"×{plain(mark)}" for mark in marks], fontsize=9)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_xlabel(
        f"test MSE as a multiple of the base's, {significant(analysis.base.mse.estimate)}"
    )
    return Drawing(figure=figure, caption=_caption(effects), alt=_alt(effects))


def _draw_level(axes: Axes, row: int, ratio: Interval) -> None:
    side = ratio.side(1.0)
    color, marker = {-1: (BLUE, "o"), 0: (GRAY, "o"), 1: (ORANGE, "s")}[side]
    if not ratio.undetermined:
        axes.plot(
            [ratio.low, ratio.high], [row, row], color=color, linewidth=2, solid_capstyle="butt"
        )
    filled = color if side else "white"
    axes.plot(ratio.estimate, row, marker, color=color, markerfacecolor=filled, markersize=6)
    axes.text(
        1.01,
        row,
        _in_words(ratio),
        transform=axes.get_yaxis_transform(),
        va="center",
        fontsize=8,
        color=INK,
    )


def _bounds(ratio: Interval) -> list[float]:
    return [bound for bound in (ratio.low, ratio.estimate, ratio.high) if math.isfinite(bound)]


def _in_words(ratio: Interval) -> str:
    if ratio.undetermined:
        return f"×{significant(ratio.estimate)}"
    return f"×{significant(ratio.estimate)} ({significant(ratio.low)} to {significant(ratio.high)})"


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between the bounds, 1 among them: few where the range is wide."""
    steps = (1, 2, 3, 5) if high / low > 6 else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [
        step * 10.0**power
        for power in powers
        for step in steps
        if low <= step * 10.0**power <= high
    ]


def _caption(effects: list[LevelEffect]) -> str:
    sides = [each.effect.ratio.side(1.0) for each in effects]
    lowest = min(effects, key=lambda each: each.effect.ratio.estimate)
    highest = max(effects, key=lambda each: each.effect.ratio.estimate)
    extremes = (
        f"From ×{significant(lowest.effect.ratio.estimate)} ({lowest.architecture.label}) to "
        f"×{significant(highest.effect.ratio.estimate)} ({highest.architecture.label})."
    )
    if all(each.effect.ratio.undetermined for each in effects):
        return (
            f"Effects of {len(effects)} levels on the base's test MSE. {extremes} There is one"
            " seed, so there are no intervals: what is seen may be chance."
        )
    seeds = sorted({each.effect.ratio.n for each in effects})
    count = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"Effects of {len(effects)} levels on the base's test MSE with 95% intervals over {count}"
        f" seeds: {sides.count(-1)} lower it (filled circles), {sides.count(1)} raise it (squares),"
        f" {sides.count(0)} are undetermined (empty circles). {extremes}"
    )


def _alt(effects: list[LevelEffect]) -> str:
    levels = "; ".join(
        f"{each.architecture.label} {_in_words(each.effect.ratio)}" for each in effects
    )
    return f"Dot-and-interval plot of the ratio of the test MSE to the base's: {levels}."
