"""Compare runs in pairs on the same test images: differences, their certainty, and examples.

run directories ──► errors by image ──► paired statistics ──► table or picture
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from caelab.errors import InputError
from caelab.metrics.image_metrics import METRICS
from caelab.metrics.statistics import PairedComparison, compare_pairs
from caelab.plotting import ImageBlock, draw_image_blocks, save_figure
from caelab.report.number_format import significant
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun, read_run

MAX_IMAGES = 8
"""Number of test images in the picture of the largest differences."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs on the same test images.

    Attributes:
        runs: The compared runs by name, in the order of the call.
        metric: Name of the metric, as in ``caelab.metrics.image_metrics.METRICS``.
        unit: Unit of the metric; empty for a pure number.
        better: ``lower`` if small values of the metric are good, ``higher`` if large ones are.
            Colorfulness is best where it equals that of the original image, so its absolute
            difference from that value is compared, and ``better`` is ``lower``.
        values: Metric of each run on every test image, ``float64 (N,)``, by the name of the run.
        pairs: Comparison of every two of the runs, with an interval over images and p-values.
    """

    runs: Mapping[str, FinishedRun]
    metric: str
    unit: str
    better: str
    values: Mapping[str, np.ndarray]
    pairs: tuple[PairedComparison, ...]

    def winner(self, pair: PairedComparison) -> str | None:
        """Return the name of the better run of a pair; ``None`` if no difference is certain."""
        # `pair.better` assumes that smaller values are better.
        if pair.better is None or self.better == "lower":
            return pair.better
        return pair.second if pair.better == pair.first else pair.first

    @property
    def degradations(self) -> list[str]:
        """Degradations that the runs undo, each named once."""
        return list(dict.fromkeys(run.degradation for run in self.runs.values()))


def compare_runs(
    paths: Sequence[Path], *, metric: str = "mse", names: Sequence[str] = ()
) -> Comparison:
    """Compare finished runs by a metric on every test image.

    Args:
        paths: Run directories, at least two.
        metric: Name of a metric in ``METRICS`` that all runs were measured by.
        names: A different name for each run; by default the names of the folders, or their paths
            if two folders have the same name.

    Raises:
        InputError: There are fewer than two runs; a run is named twice, is not finished or is
            damaged; the runs have different test images; the metric is unknown; or a run was not
            measured by the metric or has a value that is not finite.
    """
    if metric not in METRICS:
        raise InputError(f"there is no metric {metric}. The metrics are {', '.join(METRICS)}.")
    if len(paths) < 2:
        raise InputError("a comparison takes two runs or more. Name their folders.")
    # Resolved, because different paths can lead to the same folder.
    resolved = [path.resolve() for path in paths]
    for path in resolved:
        if resolved.count(path) > 1:
            raise InputError(f"{path.name} is named twice. Name different runs.")
    # Two folders of the same name can be distinguished only by their paths.
    unique = len({path.name for path in resolved}) == len(resolved)
    names = names or [path.name if unique else str(path) for path in resolved]
    runs = {name: read_run(path) for name, path in zip(names, resolved, strict=True)}
    measures = {name: run.measures for name, run in runs.items()}
    first, *others = runs
    for name in others:
        same = np.array_equal(measures[first]["index"], measures[name]["index"])
        if not same or runs[name].images != runs[first].images:
            raise InputError(
                f"{first} and {name} were tested on different images:"
                f" {_difference(runs[first], runs[name])}. Runs are compared image by image, so"
                " data, size and split must be the same."
            )
    values = {name: _values(name, each, metric) for name, each in measures.items()}
    return Comparison(
        runs=runs,
        metric=metric,
        unit=METRICS[metric].unit,
        better="higher" if METRICS[metric].better == "higher" else "lower",
        values=values,
        pairs=compare_pairs(values),
    )


def draw_differences(comparison: Comparison, file: Path, *, data: str | None = None) -> None:
    """Save the figure of :func:`differences_figure`.

    Args:
        comparison: Compared runs.
        file: File to write; the suffix ``.png`` or ``.svg`` sets the format.
        data: Source of the images; by default the source that the runs were trained on.

    Raises:
        InputError: The suffix is neither ``.png`` nor ``.svg``, the images cannot be loaded or are
            not those of the runs, weights are damaged, or the file cannot be written.
    """
    if file.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"{file}: the picture's name should end in .png or .svg.")
    save_figure(differences_figure(comparison, RunImages(data)), file)


def differences_figure(comparison: Comparison, images: RunImages) -> Figure:
    """Draw the test images on which the runs differ most: originals, outputs and errors.

    Args:
        comparison: Compared runs; :func:`most_different` chooses the images by their values.
        images: Loads the images and the networks of the runs.

    Raises:
        InputError: The images cannot be loaded or are not those of the runs, or weights are
            damaged.
    """
    positions = most_different(comparison.values, MAX_IMAGES)
    made = {name: images.pictures(run, positions) for name, run in comparison.runs.items()}
    errors = {
        name: np.abs(each["estimate"] - each["target"]).mean(1) for name, each in made.items()
    }
    # All runs share one scale, so that their errors can be compared. It ends below the largest 0.5%
    # of the errors, because otherwise one pixel could make all others dark.
    brightest = max(float(np.quantile(error, 0.995)) for error in errors.values()) or 1.0
    colors = matplotlib.colormaps["magma"]
    blocks = [ImageBlock(rows={"original": next(iter(made.values()))["target"]})]
    for name, error in errors.items():
        shown = colors(error / brightest)[..., :3].transpose(0, 3, 1, 2)
        notes = [significant(value) for value in comparison.values[name][positions]]
        rows = {"output": made[name]["estimate"], "error of the output": shown}
        blocks.append(ImageBlock(rows=rows, heading=name, notes=notes))
    unit = f" in {comparison.unit}" if comparison.unit else ""
    return draw_image_blocks(
        blocks,
        title=f"Test images on which {len(made)} networks differ most in {comparison.metric}",
        footnote=(
            f"Under each image: {comparison.metric}{unit}, {comparison.better} is better. Errors of"
            " the outputs are mean absolute errors over channels: black is 0, and the brightest"
            f" color is {significant(brightest, 2)} or more."
        ),
    )


def most_different(values: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """Return the positions of the images on which models differ most, ``int64 (K,)``.

    With two models, the first half of the positions are the images on which the first model's value
    is farthest below the second model's value. The second half are the images on which it is
    farthest above, with the largest difference last. With more models, the images are sorted by
    falling difference between the largest and the smallest value.

    Args:
        values: Value of each model on every image, ``(N,)``; at least two models.
        count: Largest number of images.
    """
    table = np.stack(list(values.values()))
    count = min(count, table.shape[1])
    if len(table) == 2:
        # Both ends are taken, because the largest differences could all favor the same model.
        order = np.argsort(table[0] - table[1], kind="stable")
        return np.concatenate([order[: count - count // 2], order[len(order) - count // 2 :]])
    return np.argsort(-np.ptp(table, axis=0), kind="stable")[:count]


def _difference(first: FinishedRun, second: FinishedRun) -> str:
    if first.source["fingerprint"] != second.source["fingerprint"]:
        one, other = first.source.get("where"), second.source.get("where")
        return f"their images are from {one} and from {other}"
    for name in ("size", "split", "split_seed", "test_size"):
        one, other = getattr(first.config.data, name), getattr(second.config.data, name)
        if one != other:
            return f"{name} is {one} in one run and {other} in the other"
    return "their files per_image.npz list different images"


def _values(name: str, measures: Mapping[str, np.ndarray], metric: str) -> np.ndarray:
    if metric not in measures:
        known = [each for each in measures if each in METRICS]
        raise InputError(f"{name} was not measured by {metric}, only by {', '.join(known)}.")
    values = np.asarray(measures[metric], np.float64)
    if METRICS[metric].better == "nearer":
        # Colorfulness is best where it equals that of the original image.
        values = np.abs(values - measures[f"true_{metric}"])
    if count := int((~np.isfinite(values)).sum()):
        hint = "Compare by mse." if metric != "mse" else "Train this run again."
        raise InputError(f"{metric} of {name} is not finite for {count} images. {hint}")
    return values
