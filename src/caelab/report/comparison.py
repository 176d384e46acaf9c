"""Runs compared in pairs on the same test images: which is better, how sure is that, and where do
they differ?
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from caelab.errors import InputError
from caelab.experiments.run_figures import GRAY, save_figure
from caelab.metrics.image_metrics import METRICS
from caelab.metrics.statistics import PairedComparison, compare_pairs
from caelab.report.run_reader import FinishedRun, read_measures, read_run
from caelab.report.sentences import significant
from caelab.report.test_images import Album

SHOWN = 8
"""Test images in the picture of where runs differ most."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two runs on the same images.

    Attributes:
        comparison: The difference of their means, with its interval over images and Holm's
            correction.
        better: The run that is better, by its name; ``None`` where that is undetermined.
    """

    comparison: PairedComparison
    better: str | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs on the same test images.

    Attributes:
        runs: By the names that they have here, in the order in which they were named.
        metric: What was compared: a name in ``measuring.fidelity.METRICS``.
        unit: Of the metric; empty for a pure number.
        better: ``lower`` or ``higher``; metrics whose value should be near the truth's are compared
            by their distance from it, and lower is better.
        values: Of each run, on every test image, ``float64 (N,)``.
        pairs: Every two of the runs.
        notes: What to be careful about.
    """

    runs: Mapping[str, FinishedRun]
    metric: str
    unit: str
    better: str
    values: Mapping[str, np.ndarray]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]


def compare_runs(paths: Sequence[Path], *, metric: str = "mse") -> Comparison:
    """Compare finished runs.

    Args:
        paths: Two run directories or more.
        metric: A name in ``METRICS`` that all of them were measured by.

    Raises:
        InputError: There are fewer than two runs, or one twice; one is not finished or damaged;
            their test images differ; or they were not all measured by the metric.
    """
    runs = _read(paths)
    first_name, first = next(iter(runs.items()))
    measures = {name: read_measures(run) for name, run in runs.items()}
    for name, run in runs.items():
        if run.images != first.images or not _same_images(measures[first_name], measures[name]):
            raise InputError(
                f"{first_name} and {name} were tested on other images: {_difference(first, run)}."
                " Runs are compared image by image, so data, size and split must be the same."
            )
    values = {name: _values(name, measured, metric) for name, measured in measures.items()}
    kind = METRICS[metric]
    better = "higher" if kind.better == "higher" else "lower"
    return Comparison(
        runs=runs,
        metric=metric,
        unit=kind.unit,
        better=better,
        values=values,
        pairs=tuple(
            Pair(comparison=each, better=_better(each, better)) for each in compare_pairs(values)
        ),
        notes=tuple(_notes(runs)),
    )


def draw_differences(comparison: Comparison, file: Path, *, data: str | None = None) -> None:
    """Draw the test images on which the runs differ most: the original, each network's output and
    its error.

    Of two runs, half are those on which the one is ahead the most, and half the other; of more,
    those on which the best and the worst lie farthest from each other.

    Args:
        comparison: Of the runs.
        file: Where to, as PNG or SVG by its suffix.
        data: Where the images are, if not where the first run had them.

    Raises:
        InputError: The images cannot be had or are others, weights are damaged, or the file cannot
            be written.
    """
    if file.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"--picture {file}: its name should end in .png or .svg.")
    positions = most_different(comparison.values, SHOWN)
    album = Album(data)
    pictures = {name: album.pictures(run, positions) for name, run in comparison.runs.items()}
    originals = next(iter(pictures.values()))["target"]
    rows: list[tuple[str, np.ndarray, list[str]]] = [("original", originals, [""] * len(positions))]
    for name, made in pictures.items():
        under = [f"{significant(value)}" for value in comparison.values[name][positions]]
        rows.append((name, made["estimate"], under))
    errors = [np.abs(made["estimate"] - made["target"]).mean(1) for made in pictures.values()]
    brightest = max(float(np.quantile(error, 0.995)) for error in errors) or 1.0
    figure = Figure(
        figsize=(1.7 + 1.05 * len(positions), 1.05 * (1 + 2 * len(pictures)) + 1.3),
        layout="constrained",
    )
    figure.get_layout_engine().set(h_pad=0.02, w_pad=0.02, hspace=0, wspace=0)  # type: ignore[union-attr,call-arg]
    figure.suptitle(
        f"Where {len(pictures)} networks differ most in {comparison.metric}, on the test images",
        fontsize=11,
    )
    grid = figure.subplots(1 + 2 * len(pictures), len(positions), squeeze=False)
    for axes, image in zip(grid[0], originals, strict=True):
        axes.imshow(image.transpose(1, 2, 0), interpolation="nearest", vmin=0, vmax=1)
    for index, ((name, images, under), error) in enumerate(zip(rows[1:], errors, strict=True)):
        for column, axes in enumerate(grid[1 + 2 * index]):
            axes.imshow(images[column].transpose(1, 2, 0), interpolation="nearest", vmin=0, vmax=1)
            axes.set_xlabel(under[column], fontsize=8)
        for column, axes in enumerate(grid[2 + 2 * index]):
            axes.imshow(
                error[column], interpolation="nearest", vmin=0, vmax=brightest, cmap="magma"
            )
        grid[1 + 2 * index, 0].set_ylabel(_lines(name), fontsize=8)
        grid[2 + 2 * index, 0].set_ylabel("its error", fontsize=8)
    grid[0, 0].set_ylabel("original", fontsize=8)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
    unit = f" in {comparison.unit}" if comparison.unit else ""
    figure.supxlabel(
        f"{comparison.metric}{unit} under each image, {comparison.better} is better; the error is the mean absolute "
        f"one over channels, from black, 0, to bright, {significant(brightest, 2)}",
        fontsize=8, color=GRAY,
    )  # fmt: skip
    save_figure(figure, file)


def most_different(values: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """Return the positions of the images on which models differ most, ``int64 (K,)``.

    Args:
        values: Each model's value on every image, ``(N,)``; at least two models.
        count: How many at most. Of two models the first half are those where the first model's
            value is below the second's the most, the others those where it is above, the farthest
            last.
    """
    table = np.stack(list(values.values()))
    count = min(count, table.shape[1])
    if len(table) == 2:
        order = np.argsort(table[0] - table[1], kind="stable")
        return np.concatenate([order[: count - count // 2], order[len(order) - count // 2 :]])
    return np.argsort(-np.ptp(table, axis=0), kind="stable")[:count]


def _read(paths: Sequence[Path]) -> dict[str, FinishedRun]:
    if len(paths) < 2:
        raise InputError("a comparison takes two runs or more. Name their folders.")
    resolved = [path.resolve() for path in paths]
    for path in resolved:
        if resolved.count(path) > 1:
            raise InputError(f"{path.name} is named twice. Name different runs.")
    alike = len({path.name for path in resolved}) < len(resolved)
    return {str(path) if alike else path.name: read_run(path) for path in resolved}


def _same_images(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> bool:
    return (
        "index" in first and "index" in second and np.array_equal(first["index"], second["index"])
    )


def _difference(first: FinishedRun, second: FinishedRun) -> str:
    if first.source["fingerprint"] != second.source["fingerprint"]:
        return f"their data are {first.source.get('where')} and {second.source.get('where')}"
    for name in ("size", "split", "split_seed"):
        if getattr(first.config, name) != getattr(second.config, name):
            return (
                f"--{name.replace('_', '-')} is {getattr(first.config, name)} and"
                f" {getattr(second.config, name)}"
            )
    return "the images listed in their per_image.npz differ"


def _values(name: str, measures: Mapping[str, np.ndarray], metric: str) -> np.ndarray:
    known = [each for each in measures if each in METRICS]
    if metric not in known:
        raise InputError(f"--metric {metric}: {name} was measured by {', '.join(known)} alone.")
    values = np.asarray(measures[metric], np.float64)
    if METRICS[metric].better == "nearer":
        values = np.abs(values - measures[f"true_{metric}"])
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        hint = " Compare by mse." if metric != "mse" else " Train it again."
        raise InputError(
            f"--metric {metric}: of {name}, the values of {count} images are not finite"
            f" numbers.{hint}"
        )
    return values


def _better(pair: PairedComparison, better: str) -> str | None:
    smaller = pair.better  # of errors: the one with the smaller values
    if smaller is None or better == "lower":
        return smaller
    return pair.second if smaller == pair.first else pair.first


def _notes(runs: Mapping[str, FinishedRun]) -> list[str]:
    notes = [
        (
            "the intervals and p-values say how sure this is of other images; another seed of the"
            " training may differ more"
        )
    ]
    degradations = dict.fromkeys(str(run.result.get("impair", "none")) for run in runs.values())
    if len(degradations) > 1:
        notes.append(f"the networks were not given the same: {', '.join(degradations)}")
    return notes


def _lines(name: str, width: int = 20) -> str:
    return "\n".join(name[start : start + width] for start in range(0, len(name), width))
