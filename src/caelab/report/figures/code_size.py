"""Code size against error: the networks, a power law through them, and linear codes."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from caelab.plotting import GRAY, INK, LINES, MARKS, add_legend, new_axes, set_limits
from caelab.report.architectures import Analysis, Architecture, error_points
from caelab.report.figures.labels import draw_networks, label_points
from caelab.report.language import Language
from caelab.report.number_format import significant

_DEPTH = 12
"""Linear codes are shown down to the smallest error of a network over this; some are exact."""


def draw_code_size(
    analysis: Analysis, linear: Mapping[str, Mapping[int, float]], language: Language
) -> Figure | None:
    """Draw the test MSE against the size of the code, both logarithmic.

    Args:
        analysis: Analysis of a study.
        linear: Test MSE of linear codes by size, for each kind of linear code.
        language: Language of the labels.

    Returns:
        The figure; ``None`` where no network has a code that is a bottleneck.
    """
    answer, base, word = analysis.code_size, analysis.base, language.word
    if not answer.architectures:
        return None
    excluded = [each for each in analysis.measured if each.code_size and each.skip_around_code]
    shown = error_points([*answer.architectures, *excluded], "code_size")
    (smallest, least), (largest, _) = shown.min(0), shown.max(0)
    kinds = {}
    for name, line in linear.items():
        near = [size for size in line if line[size] > 0 and smallest / 2 <= size <= largest * 2]
        if near:
            kinds[name] = np.array([(size, line[size]) for size in near])
    visible = np.concatenate([shown, *kinds.values()])
    figure, axes = new_axes(5.2)
    set_limits(axes, x=visible[:, 0], y=visible[visible[:, 1] > least / _DEPTH, 1])
    law = answer.law
    if not law.exponent.undetermined:
        sizes, errors = error_points(answer.architectures, "code_size").T
        at = np.geomspace(sizes.min(), sizes.max(), 60)
        low, high = fit_band(sizes, errors, at)
        color = MARKS[5][0]
        axes.fill_between(at, low, high, color=color, alpha=0.25, linewidth=0, label=word("band"))
        exponent = language.number(significant(law.exponent.estimate, 2))
        label = word("fit", exponent=exponent)
        axes.plot(at, law(at), color=color, linewidth=1.5, label=label)
    for style, (name, points) in zip(LINES, kinds.items(), strict=False):
        axes.plot(*points.T, color=INK, linewidth=1.4, linestyle=style, label=name)
    _draw_networks(axes, answer.architectures, base, language)
    if excluded:
        label = word("around_code")
        draw_networks(axes, excluded, "code_size", "x", color=GRAY, label=label, hollow=True)
    axes.set_xlabel(word("code_size"))
    axes.set_ylabel(word("test_mse"))
    add_legend(axes, "right")
    named = _worth_naming(analysis, excluded)
    label_points(axes, [each.label for each in named], error_points(named, "code_size"))
    return figure


def fit_band(
    sizes: np.ndarray, errors: np.ndarray, at: np.ndarray, *, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Return Student's confidence band of the line through the logarithms.

    The band holds the mean, not single points.

    Args:
        sizes: x, at least three positive numbers, ``(N,)``.
        errors: y, positive, ``(N,)``.
        at: x where the band is wanted, ``(K,)``.
        confidence: Confidence at each x by itself.

    Returns:
        Lower and upper edge, each ``(K,)``.
    """
    x, y, at = np.log(sizes), np.log(errors), np.log(at)
    line = stats.linregress(x, y)
    # The variance of the mean at x is s²/n + stderr² · (x − x̄)², and s²/n is stderr² · var(x).
    deviation = line.stderr * np.sqrt(x.var() + (at - x.mean()) ** 2)
    reach = stats.t.ppf((1 + confidence) / 2, len(x) - 2) * deviation
    middle = line.intercept + line.slope * at
    return np.exp(middle - reach), np.exp(middle + reach)


def _draw_networks(
    axes: Axes,
    architectures: Sequence[Architecture],
    base: Architecture | None,
    language: Language,
) -> None:
    """Draw networks with a marker for each factor, and a diamond around the base."""
    groups: dict[str, list[Architecture]] = {}
    for each in architectures:
        if each is not base:
            groups.setdefault(each.varied or language.word("other_networks"), []).append(each)
    for (color, marker), (name, members) in zip(cycle(MARKS), groups.items(), strict=False):
        draw_networks(axes, members, "code_size", marker, color=color, label=name)
    if base and base in architectures:
        draw_networks(
            axes,
            [base],
            "code_size",
            "D",
            color=INK,
            label=language.word("base"),
            size=10,
            hollow=True,
        )


def _worth_naming(analysis: Analysis, excluded: Sequence[Architecture]) -> list[Architecture]:
    """Return the best, the worst, three of those left out, and the farthest from the fit."""
    answer, law = analysis.code_size, analysis.code_size.law
    ordered = sorted(answer.architectures, key=lambda each: each.mse.estimate)
    chosen = [ordered[0], ordered[-1], *excluded[:3]]
    if not np.isnan(law.scale):
        points = error_points(ordered, "code_size")
        distances = np.abs(np.log(points[:, 1] / law(points[:, 0])))
        chosen += [ordered[index] for index in np.argsort(-distances, kind="stable")[:4]]
    return list({each.label: each for each in chosen}.values())
