"""Code size against error: the networks, a power law through them, and the linear codes to beat."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from caelab.plotting import GRAY
from caelab.report.architectures import Analysis, Architecture, CodeSizeAnswer
from caelab.report.figures.labels import label_points
from caelab.report.figures.style import INK, MARKS, Drawing, logarithmic, margin, new_axes
from caelab.report.sentences import significant

_DEEPEST = 12
"""Linear codes are shown down to this part of the smallest error of a network; where they are
exact, no axis ends."""

_LINES = ((0, ()), (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))


def draw_code_size(analysis: Analysis, linear: Mapping[str, Mapping[int, float]]) -> Drawing | None:
    """Draw the test MSE against the numbers of the code, both logarithmic.

    Args:
        analysis: Of the study.
        linear: Test MSE of linear codes by their size, for each kind of them, such as PCA of the
            whole image.

    Returns:
        The drawing; ``None`` where no network has a code that is a bottleneck.
    """
    answer = analysis.code_size
    if not answer.architectures:
        return None
    figure, axes = new_axes(height=5.2)
    excluded = [
        each
        for each in analysis.architectures
        if each.errors and each.code_size is not None and each.skip_around_code
    ]
    shown = [*answer.architectures, *excluded]
    sizes, errors = _sizes(shown), [each.mse.estimate for each in shown]
    kinds = {
        name: {
            size: mse
            for size, mse in line.items()
            if mse > 0 and min(sizes) / 2 <= size <= max(sizes) * 2
        }
        for name, line in linear.items()
    }
    kinds = {name: line for name, line in kinds.items() if line}
    beside = [
        mse for line in kinds.values() for mse in line.values() if mse > min(errors) / _DEEPEST
    ]
    margin(axes, [*sizes, *(size for line in kinds.values() for size in line)], [*errors, *beside])
    logarithmic(axes, x=True, y=True)
    _draw_law(axes, answer)
    groups = _groups(answer.architectures, analysis.base.label if analysis.base else "")
    for style, (name, line) in zip(_LINES, kinds.items(), strict=False):
        axes.plot(
            list(line), list(line.values()), color=INK, linewidth=1.4, linestyle=style, label=name
        )
    for (color, marker), (name, members) in zip(_repeated(MARKS), groups.items(), strict=False):
        axes.plot(
            _sizes(members), [each.mse.estimate for each in members],
            marker, color=color, markersize=7, linestyle="none", markeredgecolor="white", label=name,
        )  # fmt: skip
    if analysis.base and analysis.base.code_size and not analysis.base.skip_around_code:
        axes.plot(
            analysis.base.code_size, analysis.base.mse.estimate, "D", color=INK, markersize=10, markerfacecolor="none",
            markeredgewidth=1.5, linestyle="none", label="base",
        )  # fmt: skip
    if excluded:
        axes.plot(
            _sizes(excluded), [each.mse.estimate for each in excluded],
            "x", color=GRAY, markersize=7, linestyle="none", label="left out: a bracket around the code",
        )  # fmt: skip
    axes.set_xlabel("numbers in the code")
    axes.set_ylabel("test MSE, pixels in [0, 1]")
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    named = _worth_naming(analysis, excluded)
    label_points(
        axes,
        [each.label for each in named],
        np.array([(each.code_size, each.mse.estimate) for each in named], float).reshape(-1, 2),
        avoid=np.array([sizes, errors], float).T,
        lines=[np.array(list(line.items()), float) for line in kinds.values()],
    )
    return Drawing(figure=figure, caption=_caption(answer, kinds), alt=_alt(shown))


def fit_band(
    sizes: Sequence[float], errors: Sequence[float], at: np.ndarray, *, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the line through the logarithms lies: Student's confidence band for the mean,
    not for single points.

    Args:
        sizes: x, positive, at least three of them.
        errors: y, positive.
        at: Where the band is wanted, ``(K,)``.
        confidence: Of the band, point by point.

    Returns:
        Its lower and upper edge, each ``(K,)``.
    """
    x, y = np.log(np.asarray(sizes, np.float64)), np.log(np.asarray(errors, np.float64))
    line = stats.linregress(x, y)
    centred = np.log(at) - x.mean()
    freedom = len(x) - 2
    residual = y - line.intercept - line.slope * x
    spread = np.sqrt(
        (residual @ residual) / freedom * (1 / len(x) + centred**2 / ((x - x.mean()) ** 2).sum())
    )
    reach = float(stats.t.ppf((1 + confidence) / 2, freedom)) * spread
    middle = line.intercept + line.slope * np.log(at)
    return np.exp(middle - reach), np.exp(middle + reach)


def _draw_law(axes: Axes, answer: CodeSizeAnswer) -> None:
    if answer.law.exponent.undetermined:
        return
    sizes = _sizes(answer.architectures)
    at = np.geomspace(min(sizes), max(sizes), 60)
    low, high = fit_band(sizes, [each.mse.estimate for each in answer.architectures], at)
    color = MARKS[5][0]
    axes.fill_between(
        at, low, high, color=color, alpha=0.25, linewidth=0, label="95% band of the fit"
    )
    axes.plot(
        at, answer.law(at), color=color, linewidth=1.5, label=f"fit: size^{_exponent(answer)}"
    )


def _groups(architectures: Sequence[Architecture], base: str) -> dict[str, list[Architecture]]:
    """Return all but the base by what was varied."""
    groups: dict[str, list[Architecture]] = {}
    for each in architectures:
        if each.label == base:
            continue
        name = each.factor.replace("_", " ") or "other networks"
        groups.setdefault(name, []).append(each)
    return groups


def _repeated(marks: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(marks) * 4


def _worth_naming(analysis: Analysis, excluded: Sequence[Architecture]) -> list[Architecture]:
    """The base, the best, the ends, and those that lie farthest from the fit."""
    answer = analysis.code_size
    ordered = sorted(answer.architectures, key=lambda each: each.mse.estimate)
    chosen = [ordered[0], ordered[-1], *excluded[:3]]
    if not np.isnan(answer.law.scale):
        law = answer.law
        by_distance = sorted(
            answer.architectures,
            key=lambda each: abs(np.log(each.mse.estimate / law(each.code_size or 1))),
            reverse=True,
        )
        chosen += by_distance[:4]
    return list({each.label: each for each in chosen}.values())


def _sizes(architectures: Sequence[Architecture]) -> list[int]:
    return [each.code_size for each in architectures if each.code_size is not None]


def _exponent(answer: CodeSizeAnswer) -> str:
    return significant(answer.law.exponent.estimate, 2)


def _caption(answer: CodeSizeAnswer, kinds: Mapping[str, Mapping[int, float]]) -> str:
    count = len(answer.architectures)
    said = [f"Test MSE against the size of the code of {count} network{'s' if count > 1 else ''}."]
    exponent = answer.law.exponent
    if exponent.undetermined:
        said.append("They are too few, or too alike, for a fit.")
    else:
        low, high = significant(exponent.low, 2), significant(exponent.high, 2)
        said.append(f"The fit's exponent is {_exponent(answer)} (95% interval {low} to {high}).")
    for name, line in kinds.items():
        below = [
            each.label
            for each in answer.architectures
            if each.mse.estimate < _between(line, each.code_size or 0)
        ]
        said.append(f"Below the line of {name}: {_few(below)}.")
    if answer.skipped:
        said.append(
            f"Left out of the fit, as a bracket runs around the code: {', '.join(answer.skipped)}."
        )
    return " ".join(said)


def _few(labels: Sequence[str]) -> str:
    if not labels:
        return "none of the networks"
    return ", ".join(labels) if len(labels) <= 5 else f"{len(labels)} of the networks"


def _between(line: Mapping[int, float], size: int) -> float:
    """Return the line's error at a size, straight between its points on logarithmic axes; NaN
    beyond its ends.
    """
    known = sorted(line)
    if not size or not known[0] <= size <= known[-1]:
        return float("nan")
    return float(
        np.exp(np.interp(np.log(size), np.log(known), np.log([line[each] for each in known])))
    )


def _alt(shown: Sequence[Architecture]) -> str:
    points = "; ".join(
        f"{each.label}: {each.code_size}, {significant(each.mse.estimate)}" for each in shown
    )
    return f"Scatter plot of test MSE against code size on logarithmic axes. {points}."
