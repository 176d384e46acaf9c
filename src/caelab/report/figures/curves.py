"""The error by epoch of the same training over seeds."""

from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from caelab.plotting import BLUE, GRAY, GREEN, ORANGE
from caelab.report.figures.style import Drawing, logarithmic, margin, new_axes
from caelab.report.sentences import significant


def draw_curves(
    runs: Mapping[int, Sequence[Mapping[str, float]]],
    *,
    test: Mapping[int, float],
    baselines: Mapping[str, float],
) -> Drawing:
    """Draw training and validation error by epoch, a pair of lines a seed, and the baselines as
    horizontal lines.

    Args:
        runs: Rows of ``epochs.csv`` by seed, at least one.
        test: Test MSE by seed.
        baselines: MSE by name; none of them may be 0.
    """
    figure, axes = new_axes(height=4.2)
    for index, rows in enumerate(runs.values()):
        epochs = [row["epoch"] for row in rows]
        words = {
            "train": "training, mean over the epoch",
            "validation": "validation, after the epoch",
        }
        for part, color, style in (("train", BLUE, "-"), ("validation", ORANGE, "--")):
            axes.plot(
                epochs, [row[f"{part}_mse"] for row in rows], color=color, linestyle=style, linewidth=1.3, alpha=0.9,
                marker="o" if len(rows) <= 12 else "", markersize=3, label=words[part] if index == 0 else None,
            )  # fmt: skip
    mean = sum(test.values()) / len(test)
    axes.axhline(
        mean,
        color=GREEN,
        linewidth=1.2,
        label=f"test, mean of the best epochs: {significant(mean)}",
    )
    for dashes, (name, mse) in zip(
        ((0, (1, 1.5)), (0, (5, 1.5, 1, 1.5))), baselines.items(), strict=False
    ):
        axes.axhline(
            mse, color=GRAY, linewidth=1.2, linestyle=dashes, label=f"{name}: {significant(mse)}"
        )
    values = [
        row[f"{part}_mse"]
        for rows in runs.values()
        for row in rows
        for part in ("train", "validation")
    ]
    longest = max(len(rows) for rows in runs.values())
    margin(axes, [1, max(2, longest)], [*values, mean, *list(baselines.values())[:2]])
    logarithmic(axes, y=True)
    axes.set_xlim(0.6, longest + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean squared error, pixels in [0, 1]")
    axes.legend(fontsize=8, frameon=False, loc="upper right")
    return Drawing(figure=figure, caption=_caption(runs), alt=_alt(runs, test))


def _caption(runs: Mapping[int, Sequence[Mapping[str, float]]]) -> str:
    count = len(runs)
    said = [f"Training and validation error by epoch, {count} seed{'s' if count > 1 else ''}."]
    last = [rows[-1] for rows in runs.values()]
    ratio = sum(row["validation_mse"] / row["train_mse"] for row in last) / count
    epochs = max(len(rows) for rows in runs.values())
    if all(len(rows) > 1 for rows in runs.values()):
        gains = [
            1 - rows[-1]["validation_mse"] / rows[-2]["validation_mse"] for rows in runs.values()
        ]
        gain = sum(gains) / count * 100
        verb = "lowered" if gain > 0 else "raised"
        said.append(
            f"The last of {epochs} epochs {verb} the validation error by"
            f" {significant(abs(gain), 2)}%."
        )
    said.append(
        f"At its end the validation error is {significant(ratio)} times the last epoch's training"
        " error."
    )
    return " ".join(said)


def _alt(runs: Mapping[int, Sequence[Mapping[str, float]]], test: Mapping[int, float]) -> str:
    ends = "; ".join(
        f"seed {seed}: {significant(rows[0]['validation_mse'])} after the first epoch, "
        f"{significant(rows[-1]['validation_mse'])} after the last, test {significant(test[seed])}"
        for seed, rows in runs.items()
    )
    return f"Lines of validation and training error by epoch on a logarithmic axis. {ends}."
