"""Code size against error: the networks, a power law through them, and linear codes."""

from collections.abc import Mapping
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from caelab.plotting import GRAY, INK, LINES, MARKS, add_legend, new_axes, set_limits
from caelab.report.architectures import Analysis, Architecture, error_points
from caelab.report.figures.labels import draw_networks, label_points
from caelab.report.language import Language
from caelab.report.number_format import significant

_DEPTH = 4
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
    figure, axes = new_axes(5.2)
    set_limits(axes, x=shown[:, 0], y=[*shown[:, 1], shown[:, 1].min() / _DEPTH])
    law = answer.law
    if not law.exponent.undetermined:
        sizes, errors = error_points(answer.architectures, "code_size").T
        at = np.geomspace(sizes.min(), sizes.max(), 60)
        style = {"color": MARKS[5][0], "linewidth": 1.5}
        axes.fill_between(at, *fit_band(sizes, errors, at), alpha=0.25, label=word("band"), **style)
        exponent = language.number(significant(law.exponent.estimate, 2))
        axes.plot(at, law(at), label=word("fit", exponent=exponent), **style)
    for dashes, (name, line) in zip(LINES, linear.items(), strict=False):
        points = np.array(sorted(line.items()))
        axes.plot(*points.T, color=INK, linewidth=1.4, linestyle=dashes, label=name)
    groups: dict[str, list[Architecture]] = {}
    for each in answer.architectures:
        if each is not base:
            groups.setdefault(each.varied or word("other_networks"), []).append(each)
    for mark, (name, members) in zip(cycle(MARKS), groups.items(), strict=False):
        draw_networks(axes, members, "code_size", mark, label=name)
    if base in answer.architectures:
        mark = INK, "D"
        draw_networks(axes, [base], "code_size", mark, label=word("base"), size=10, hollow=True)
    if excluded:
        label = word("around_code")
        draw_networks(axes, excluded, "code_size", (GRAY, "x"), label=label, hollow=True)
    axes.set(xlabel=word("code_size"), ylabel=word("test_mse"))
    add_legend(axes, "right")
    ordered = sorted(answer.architectures, key=lambda each: each.mse.estimate)
    # More labels than these would cover the points; the page's own plot names every point.
    named = {each.label: each for each in (ordered[0], ordered[-1], *excluded[:3])}
    label_points(axes, list(named), error_points(list(named.values()), "code_size"))
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
