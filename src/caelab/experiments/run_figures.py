"""The pictures of a run: its error by epoch, and its best, median and worst reconstructions."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from caelab.files import replacing
from caelab.metrics.image_errors import psnr

# Okabe and Ito's palette, which colour-blind people can tell apart.
BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#666666"

_GAP = 0.09
"""Between images, as a share of their height."""


@dataclass(frozen=True, kw_only=True)
class ErrorCurve:
    """What ``error.svg`` shows.

    Attributes:
        title: The network, in a line.
        records: The rows of ``epochs.csv``.
        best_epoch: The epoch whose weights are kept.
        test_error: Of those weights.
        baselines: Errors of what it is compared with by their label, drawn as horizontal lines.
        footnote: About the data.
    """

    title: str
    records: Sequence[Mapping[str, float]]
    best_epoch: int
    test_error: float
    baselines: Mapping[str, float]
    footnote: str


def draw_error(curve: ErrorCurve, *files: Path) -> None:
    """Draw the training and validation error by epoch on a logarithmic axis, once for each file's
    format.
    """
    figure = Figure(figsize=(7.2, 4.5), layout="constrained")
    axes = figure.add_subplot()
    epochs = [record["epoch"] for record in curve.records]
    train = [record["train_mse"] for record in curve.records]
    validation = [record["validation_mse"] for record in curve.records]
    marker = "o" if len(epochs) <= 30 else ""
    axes.plot(
        epochs,
        train,
        color=BLUE,
        label="training (mean over the epoch)",
        marker=marker,
        markersize=3.5,
    )
    axes.plot(
        epochs,
        validation,
        color=ORANGE,
        linestyle="--",
        label="validation (after the epoch)",
        marker=marker,
        markersize=3.5,
    )
    best = validation[curve.best_epoch - 1]
    axes.plot(
        curve.best_epoch,
        best,
        marker="o",
        markersize=10,
        markerfacecolor="none",
        markeredgecolor=ORANGE,
        linestyle="none",
        label=f"best validation: epoch {curve.best_epoch}, {best:.5f}",
    )
    axes.axhline(
        curve.test_error,
        color=GREEN,
        linewidth=1,
        label=f"test error of that epoch: {curve.test_error:.5f}",
    )
    for style, (label, error) in zip(
        ((0, (1, 1)), (0, (4, 2, 1, 2))), curve.baselines.items(), strict=False
    ):
        axes.axhline(error, color=GRAY, linewidth=1, linestyle=style, label=f"{label}: {error:.5f}")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(_few_minor_labels)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean squared error, pixels in [0, 1]")
    axes.set_title(curve.title, fontsize=11, wrap=True)
    axes.grid(which="both", color="#dddddd", linewidth=0.5)
    axes.legend(fontsize=8.5, framealpha=0.95)
    _footnote(figure, curve.footnote)
    save_figure(figure, *files)


def draw_samples(
    file: Path,
    *,
    rows: Mapping[str, np.ndarray],
    errors: np.ndarray,
    labels: Sequence[str],
    title: str,
    footnote: str,
) -> None:
    """Draw blocks of images above what was made of them, with the PSNR of each.

    Args:
        file: Where to write the picture.
        rows: By their label, ``float32 (B, K, 1 or 3, H, W)`` in [0, 1]: B blocks of K images. The
            errors are those of the last row.
        errors: MSE ``(B, K)``.
        labels: A heading a block.
        title: Of the whole picture.
        footnote: About the data.
    """
    blocks, count = errors.shape
    figure = Figure(
        figsize=(1.05 * count + 0.3, (1.05 * len(rows) + 0.47) * blocks + 0.7), layout="constrained"
    )
    figure.suptitle(title, fontsize=11, wrap=True)
    grid = figure.subplots(blocks, 1, squeeze=False)
    for axes, label, block in zip(grid[:, 0], labels, range(blocks), strict=True):
        axes.set_title(label, fontsize=10, loc="left")
        across, down = _show(axes, [images[block] for images in rows.values()])
        axes.set_xticks(
            across, [f"{float(psnr(error)):.1f} dB" for error in errors[block]], fontsize=8.5
        )
        axes.set_yticks(down, list(rows), fontsize=8.5, rotation=90, va="center")
    _footnote(figure, footnote)
    save_figure(figure, file)


def choose_samples(errors: np.ndarray, count: int) -> np.ndarray:
    """Return the positions of the ``count`` best, the middle and the worst images: ``int64 (3,
    count)``.

    Each row goes from the smaller error to the larger.
    """
    order = np.argsort(errors, kind="stable")
    middle = max(0, len(order) // 2 - count // 2)
    return np.stack([order[:count], order[middle : middle + count], order[-count:]])


def save_figure(figure: Figure, *files: Path) -> None:
    """Write a figure once for each file, in the format of its suffix; the same figure gives the
    same bytes.
    """
    for file in files:
        metadata = {"Date": None} if file.suffix == ".svg" else {"Software": None}
        with replacing(file) as temporary, matplotlib.rc_context({"svg.hashsalt": "caelab"}):
            figure.savefig(temporary, dpi=150, metadata=metadata)


def _show(axes: Axes, rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Show rows of images ``(K, 1 or 3, H, W)`` in one picture, white between them; where columns
    and rows lie in it.

    Axes for every image would look the same and take seconds.
    """
    count, _, height, width = rows[0].shape
    gap = max(1, round(_GAP * height))
    tops, lefts = np.arange(len(rows)) * (height + gap), np.arange(count) * (width + gap)
    picture = np.ones((tops[-1] + height, lefts[-1] + width, 3), np.float32)
    for top, images in zip(tops, rows, strict=True):
        for left, image in zip(lefts, images, strict=True):
            picture[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    axes.imshow(picture, interpolation="nearest")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return lefts + (width - 1) / 2, tops + (height - 1) / 2


def _footnote(figure: Figure, text: str) -> None:
    if text:
        letters = int(14 * figure.get_figwidth())  # that fit into the figure's width
        figure.supxlabel(textwrap.fill(text, letters), fontsize=8, color=GRAY)


def _few_minor_labels(value: float, _: Any) -> str:
    mantissa = value / 10 ** np.floor(np.log10(value))
    return f"{value:g}" if round(mantissa, 6) in {2.0, 3.0, 5.0} else ""
