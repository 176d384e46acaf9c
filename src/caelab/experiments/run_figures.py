"""The pictures of a run: its error by epoch, and its best, median and worst reconstructions."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from caelab.metrics.evaluate import Estimate
from caelab.metrics.image_metrics import squared_error
from caelab.metrics.summary import psnr
from caelab.plotting import (
    BLUE,
    GRAY,
    GREEN,
    LINES,
    MSE_LABEL,
    ORANGE,
    ImageBlock,
    add_footnote,
    draw_image_blocks,
    new_axes,
    save_figure,
    set_limits,
)

HEADINGS = ("smallest errors of the test images", "median", "largest errors")


def draw_error(
    *files: Path,
    title: str,
    records: Sequence[Mapping[str, float]],
    result: Mapping[str, Any],
    footnote: str,
) -> None:
    """Draw training and validation error by epoch on a logarithmic axis, once for each file.

    Args:
        files: Files to write; the suffix of each chooses its format.
        title: One line that names the network.
        records: Rows of ``epochs.csv``.
        result: Content of ``result.json``; the best epoch, its test error and the errors
            of the baselines are drawn.
        footnote: Note about the data; may be empty.
    """
    figure, axes = new_axes(4.5)
    best_epoch, test_error = result["best_epoch"], result["test"]["mse"]
    epochs = [record["epoch"] for record in records]
    train = [record["train_mse"] for record in records]
    validation = [record["validation_mse"] for record in records]
    best = validation[best_epoch - 1]
    mark = "o" if len(epochs) <= 30 else ""
    for label, errors, color, style in (
        ("training (mean over the epoch)", train, BLUE, "-"),
        ("validation (after the epoch)", validation, ORANGE, "--"),
    ):
        axes.plot(epochs, errors, f"{mark}{style}", color=color, markersize=3.5, label=label)
    axes.plot(
        best_epoch, best, "o", markersize=10, markerfacecolor="none", markeredgecolor=ORANGE,
        label=f"best validation: epoch {best_epoch}, {best:.5f}",
    )  # fmt: skip
    label = f"test error of that epoch: {test_error:.5f}"
    axes.axhline(test_error, color=GREEN, linewidth=1, label=label)
    positive = {name: each["mse"] for name, each in result["baselines"].items() if each["mse"] > 0}
    for dashes, (name, error) in zip(LINES[2:], positive.items(), strict=False):
        axes.axhline(error, color=GRAY, linewidth=1, linestyle=dashes, label=f"{name}: {error:.5f}")
    values = [*train, *validation, test_error, *list(positive.values())[:2]]
    if all(0 < value < np.inf for value in values):
        set_limits(axes, y=values)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(MSE_LABEL)
    axes.set_title(title, fontsize=11, wrap=True)
    axes.legend(fontsize=8.5, framealpha=0.95)
    add_footnote(figure, footnote)
    save_figure(figure, *files)


def draw_samples(
    file: Path, blocks: Iterable[Estimate], *, show_input: bool, title: str, footnote: str
) -> None:
    """Draw three blocks of images, with the network's output and the PSNR below each image.

    Args:
        file: File to write.
        blocks: The images with the smallest, the middle and the largest errors, as
            :func:`choose_samples` chooses them, with the network's inputs and outputs.
        show_input: True to begin each block with a row of the network's inputs.
        title: Title of the whole picture.
        footnote: Note about the data; may be empty.
    """
    drawn = []
    for heading, block in zip(HEADINGS, blocks, strict=True):
        rows = {"original": block.target, "network": block.estimate}
        if show_input:
            rows = {"input": block.degraded.clamp(0, 1), **rows}
        errors = squared_error(block.estimate, block.target).cpu().numpy()
        images = {name: row.float().cpu().numpy() for name, row in rows.items()}
        notes = [f"{decibels:.1f} dB" for decibels in psnr(errors)]
        drawn.append(ImageBlock(rows=images, heading=heading, notes=notes))
    save_figure(draw_image_blocks(drawn, title=title, footnote=footnote), file)


def choose_samples(errors: np.ndarray, count: int) -> np.ndarray:
    """Return the positions of the smallest, middle and largest of ``errors``, ``int64 (3, K)``.

    Each row is ordered from the smallest error to the largest. K is ``count``, or the number of
    errors if there are fewer.
    """
    count = min(count, len(errors))
    order = np.argsort(errors, kind="stable")
    middle = max(0, len(order) // 2 - count // 2)
    return np.stack([order[:count], order[middle : middle + count], order[-count:]])
