"""The look of all figures: colors, axes, grids of images, and files.

Figures have a white background, so that they can be read on dark pages and in print. Groups of
points differ not only in color but also in markers, and lines also in styles. Text stays text in
SVG files.
"""

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from caelab.files import replacing

BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#666666"
"""Colors that color-blind people can distinguish (Okabe and Ito's palette), and gray."""

INK, GRID = "#222222", "#dddddd"

MARKS = (
    (BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"),
    (INK, "X"), (BLUE, "<"), (ORANGE, ">"), (GREEN, "h"),
)  # fmt: skip
"""Color and marker of each group of points: the first group has the first pair, and so on."""

LINES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
"""Style of each line: the first line has the first style, and so on."""

WIDTH = 7.2
"""Width of a figure in inches, which is the width of a page's text."""

MSE_LABEL = "mean squared error, pixels in [0, 1]"

_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    # Matplotlib computes positions with the first font. The browser may use the other fonts, which
    # are not wider.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "figure.facecolor": "white",
}

_GAP = 0.09
"""Gap between images of a grid, as a share of their height."""


plain_text = matplotlib.rc_context({"text.parse_math": False})
"""Decorator for functions that draw. It makes a ``$`` in a text appear, not begin a formula."""


def new_axes(height: float) -> tuple[Figure, Axes]:
    """Return a figure of ``WIDTH`` by ``height`` inches with one pair of axes."""
    # `pyplot` is not used: it keeps every figure in memory, and needs a display on some machines.
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def set_limits(
    axes: Axes,
    *,
    x: Iterable[float] = (),
    y: Iterable[float] = (),
    margin: float = 0.06,
    number: Callable[[str], str] = str,
) -> None:
    """Make axes logarithmic, let them show positive values, and label them with round numbers.

    Args:
        axes: Axes to change.
        x: Values that the x axis must show; without values the axis stays as it is.
        y: Values that the y axis must show; without values the axis stays as it is.
        margin: Margin on both sides, as a share of the logarithmic range.
        number: Function that gets a number written in English, such as ``"20,000"``, and returns
            the number as the language of the figure writes it.
    """
    sides = (("x", axes.xaxis, list(x), 30), ("y", axes.yaxis, list(y), 3000))
    for name, axis, values, wide in sides:
        if not values:
            continue
        low, high = min(values), max(values)
        # A single value has no range, so the axis gets 5% on both sides.
        spare = max((high / low) ** margin, 1.05)
        low, high = low / spare, high * spare
        axes.set(**{f"{name}scale": "log", f"{name}lim": (low, high)})
        # With powers of ten only, an axis of less than a factor of 10 would have one label or none.
        steps: Sequence[float] = (1, 2, 5) if high / low > 8 else (1, 1.5, 2, 3, 4, 5, 7)
        if high / low > wide:  # labels of an x axis are next to each other and need more room
            steps = (1, 3) if high / low < 10 * wide else (1,)
        axis.set_major_locator(LogLocator(base=10, subs=steps, numticks=30))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: number(format_plain(value)))
    axes.grid(color=GRID, linewidth=0.6)


def add_legend(axes: Axes, side: Literal["above", "right"]) -> None:
    """Add a legend outside the axes, above them in columns or on their right."""
    if side == "above":
        axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    else:
        axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def format_plain(value: float) -> str:
    """Return a number, rounded to two digits or to an integer from 10 on, without an exponent.

    >>> format_plain(20000.0), format_plain(0.00005)
    ('20,000', '0.00005')
    """
    return f"{value:,.0f}" if value >= 10 else f"{Decimal(f'{value:.2g}').normalize():f}"


@dataclass(frozen=True, kw_only=True)
class ImageBlock:
    """Rows of images under one heading.

    Attributes:
        rows: Images ``float32 (K, C, H, W)`` in [0, 1] of each row, by the row's label.
        heading: Text above the first row.
        notes: Text below each column, one per image in a row; may be empty.
    """

    rows: Mapping[str, np.ndarray]
    heading: str = ""
    notes: Sequence[str] = ()


@plain_text
def draw_image_blocks(blocks: Sequence[ImageBlock], *, title: str, footnote: str) -> Figure:
    """Draw blocks of images one above another.

    Args:
        blocks: At least one block. The rows of all blocks have the same number of images.
        title: Title of the whole figure.
        footnote: Small text below everything; may be empty.
    """
    count = len(next(iter(blocks[0].rows.values())))
    rows = [len(block.rows) for block in blocks]
    size = (1.05 * count + 0.3, 1.05 * sum(rows) + 0.47 * len(blocks) + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=11, wrap=True)
    grid = figure.subplots(len(blocks), 1, squeeze=False, height_ratios=rows)
    for axes, block in zip(grid[:, 0], blocks, strict=True):
        axes.set_title(block.heading, fontsize=10, loc="left")
        across, down = _show_grid(axes, list(block.rows.values()))
        axes.set_xticks(across if block.notes else [], block.notes, fontsize=8.5)
        labels = [textwrap.fill(label, 18) for label in block.rows]
        axes.set_yticks(down, labels, fontsize=8.5, rotation=90, va="center")
    add_footnote(figure, footnote)
    return figure


@plain_text
def draw_image_rows(rows: Mapping[str, np.ndarray]) -> Figure:
    """Draw rows of small images with their labels on the left.

    Args:
        rows: Images ``float32 (K, C, H, W)`` in [0, 1] of each row, by the row's label. If a row
            has fewer images than the others, its end stays white.
    """
    side, left, count = 0.62, 1.9, max(map(len, rows.values()))
    width, height = left + side * count + 0.05, side * len(rows) + 0.05
    # Positions are computed here, so that a row label does not change the scale of the images.
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, 0, 1 - left / width, 1))
    _, down = _show_grid(axes, list(rows.values()))
    axes.set_xticks([])
    axes.set_yticks(down, [_wrap_label(label) for label in rows], fontsize=8.5)
    return figure


def to_rgb(images: np.ndarray) -> np.ndarray:
    """Convert images ``(K, C, H, W)`` to images ``(K, 3, H, W)`` that can be drawn.

    Images of three channels stay as they are. Others become gray: the mean of their channels.
    """
    if images.shape[1] == 3:
        return images
    mean = images.mean(1, keepdims=True)
    return np.broadcast_to(mean, (len(images), 3, *images.shape[2:]))


def add_footnote(figure: Figure, text: str) -> None:
    """Write small gray text below a figure, broken into lines that fit."""
    if text:
        # About 14 letters of this size fit into an inch.
        figure.supxlabel(
            textwrap.fill(text, int(14 * figure.get_figwidth())), fontsize=8, color=GRAY
        )


def save_figure(figure: Figure, *files: Path) -> None:
    """Write a figure to each file: as SVG if the file's suffix is ``.svg``, otherwise as PNG."""
    for file in files:
        # All files use the same name, so that equal figures always give equal files.
        data = render(figure, "caelab", "svg" if file.suffix.lower() == ".svg" else "png")
        with replacing(file) as temporary:
            temporary.write_bytes(data)


def render(figure: Figure, name: str, format: Literal["svg", "png"]) -> bytes:  # noqa: A002
    """Return the bytes of a figure's file; the same drawing and name give the same bytes.

    Args:
        figure: Figure to render.
        name: Name that makes the identifiers in an SVG unique, so that several SVGs can be in one
            HTML page.
        format: File format.
    """
    file = io.BytesIO()
    # A PNG would otherwise contain the version of matplotlib; an SVG loses its metadata below.
    metadata = {"Software": None} if format == "png" else None
    # Without a salt, matplotlib makes random identifiers, and equal figures give different files.
    settings: Any = {**_SETTINGS, "svg.hashsalt": name}
    with matplotlib.rc_context(settings):
        figure.savefig(file, format=format, dpi=150, metadata=metadata, facecolor="white")
    if format == "png":
        return file.getvalue()
    # Only the element `svg` is kept, because an HTML page must not contain the header of an SVG
    # file.
    text = file.getvalue().decode()
    text = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    fonts = "'DejaVu Sans', Verdana, Arial, sans-serif"
    return re.sub(r"'DejaVu Sans'[^;\"]*", fonts, text).encode()


def _show_grid(axes: Axes, rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Show rows of images ``(K, C, H, W)`` as one picture with white gaps.

    With separate axes for each image, the result would look the same but take seconds.

    Returns:
        Centers of the columns and of the rows, in data coordinates.
    """
    count, (height, width) = max(map(len, rows)), rows[0].shape[2:]
    gap = max(1, round(_GAP * height))
    down, across = height + gap, width + gap
    cells = np.ones((len(rows), count, 3, down, across), np.float32)
    for row, images in zip(cells, rows, strict=True):
        row[: len(images), :, :height, :width] = to_rgb(images)
    picture = cells.transpose(0, 3, 1, 4, 2).reshape(len(rows) * down, count * across, 3)
    axes.imshow(picture[:-gap, :-gap], interpolation="nearest", vmin=0, vmax=1)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    columns, lines = np.arange(count), np.arange(len(rows))
    return columns * across + (width - 1) / 2, lines * down + (height - 1) / 2


def _wrap_label(label: str) -> str:
    """Break a label into at most three lines of 26 letters; its own line breaks stay."""
    lines = [line for part in label.split("\n") for line in textwrap.wrap(part, 26) or [""]]
    return "\n".join(lines if len(lines) <= 3 else [*lines[:2], lines[2][:25] + "…"])
