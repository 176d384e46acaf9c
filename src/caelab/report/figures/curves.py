"""The error by epoch of the same training with several seeds."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from caelab.plotting import BLUE, GRAY, GREEN, LINES, MSE_LABEL, ORANGE, new_axes, set_limits
from caelab.report.number_format import significant

_PARTS = {
    "train_mse": ("training, mean over the epoch", BLUE, "-"),
    "validation_mse": ("validation, after the epoch", ORANGE, "--"),
}


def draw_curves(
    runs: Mapping[int, Sequence[Mapping[str, float]]],
    *,
    test: Mapping[int, float],
    baselines: Mapping[str, float],
) -> Figure:
    """Draw training and validation error by epoch, two lines for each seed.

    Args:
        runs: Rows of ``epochs.csv`` by seed, at least one seed.
        test: Test MSE by seed.
        baselines: Positive MSE of baselines by name, drawn as horizontal lines.
    """
    figure, axes = new_axes(4.2)
    mean = sum(test.values()) / len(test)
    values = [mean, *list(baselines.values())[:2]]
    for first, rows in zip([True, *[False] * len(runs)], runs.values(), strict=False):
        epochs = [row["epoch"] for row in rows]
        marker = "o" if len(rows) <= 12 else ""
        for part, (label, color, style) in _PARTS.items():
            errors = [row[part] for row in rows]
            values += errors
            axes.plot(
                epochs,
                errors,
                color=color,
                linestyle=style,
                linewidth=1.3,
                alpha=0.9,
                marker=marker,
                markersize=3,
                label=label if first else None,
            )
    label = f"test, mean of the best epochs: {significant(mean)}"
    axes.axhline(mean, color=GREEN, linewidth=1.2, label=label)
    for dashes, (name, mse) in zip(LINES[2:], baselines.items(), strict=False):
        label = f"{name}: {significant(mse)}"
        axes.axhline(mse, color=GRAY, linewidth=1.2, linestyle=dashes, label=label)
    set_limits(axes, y=values)
    axes.set_xlim(0.6, max(len(rows) for rows in runs.values()) + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel(MSE_LABEL)
    axes.legend(fontsize=8, frameon=False, loc="upper right")
    return figure
