"""Figures of a reconstructing network: its layers, its error by epoch, and where the error is."""

from collections.abc import Mapping, Sequence

import numpy as np
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from caelab.networks.description import Description
from caelab.networks.layers.base import format_shape, size_of
from caelab.plotting import (
    BLUE,
    GRAY,
    GREEN,
    LINES,
    ORANGE,
    WIDTH,
    new_axes,
    plain_text,
    set_limits,
)
from caelab.report.error_sites import ErrorSites
from caelab.report.language import Language

PER_ROW = 10
"""Number of layers that are drawn side by side before a new row begins."""

_PARTS = {"train": (BLUE, "-"), "validation": (ORANGE, "--")}
"""Color and line style of the curve of each part of the images."""


@plain_text
def draw_curves(
    runs: Mapping[int, Sequence[Mapping[str, float]]],
    language: Language,
    *,
    test: Mapping[int, float],
    baselines: Mapping[str, float],
) -> Figure:
    """Draw training and validation error by epoch, two curves for each seed.

    Args:
        runs: Rows of ``epochs.csv`` by seed, for at least one seed.
        language: Language of the labels.
        test: Test MSE by seed; the mean is drawn as a horizontal line.
        baselines: Test MSE of each baseline by name, larger than 0, drawn as horizontal lines.
    """
    figure, axes = new_axes(4.2)
    for part, (color, style) in _PARTS.items():
        for index, rows in enumerate(runs.values()):
            epochs, errors = zip(*((row["epoch"], row[f"{part}_mse"]) for row in rows), strict=True)
            # Only the first seed has labels, so that the legend has one entry for all seeds.
            label = "" if index else language.word(part)
            axes.plot(epochs, errors, style, color=color, linewidth=1.3, marker=".", label=label)
    mean = sum(test.values()) / len(test)
    axes.axhline(mean, color=GREEN, linewidth=1.2, label=language.word("mean_test", mse=mean))
    for dashes, (name, mse) in zip(LINES[2:], baselines.items(), strict=False):
        label = language.word("named_mse", name=language.label(name), mse=mse)
        axes.axhline(mse, color=GRAY, linewidth=1.2, linestyle=dashes, label=label)
    # The limits include baselines, even if these are far below the networks.
    shown = np.concatenate([line.get_ydata() for line in axes.lines])
    set_limits(axes, y=shown, number=language.number)
    axes.set_xlim(0.6, max(map(len, runs.values())) + 0.4)
    # Ticks at whole numbers only, because there are no fractions of epochs.
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel=language.word("epoch"), ylabel=language.word("mse"))
    axes.legend(fontsize=8, frameon=False, loc="upper right")
    return figure


def draw_error_sites(sites: ErrorSites, language: Language) -> Figure:
    """Draw three panels: MSE by pixel, lost share of power by frequency, and MSE by steepness."""
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    panels = figure.subplots(1, 3)
    for panel, key in zip(panels, ("by_pixel", "by_frequency", "by_steepness"), strict=True):
        panel.set_title(language.word(key), fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    pixel, frequency, steep = panels
    # Multiplied by 1,000, as the titles say, because long numbers do not fit into narrow panels.
    shown = pixel.imshow(sites.by_pixel * 1000, cmap="viridis", interpolation="nearest")
    pixel.set(xticks=[], yticks=[])
    bar = figure.colorbar(shown, ax=pixel, shrink=0.75, pad=0.03).ax
    # The frequencies are upper limits of bands, so the center of each bar is half a band lower.
    width = sites.frequencies[0]
    frequency.bar(sites.frequencies - width / 2, sites.lost * 100, width * 0.85, color=BLUE)
    frequency.set_xlabel(language.word("frequency"), fontsize=8)
    tenths = np.arange(1, len(sites.by_steepness) + 1)
    steep.bar(tenths, sites.by_steepness * 1000, 0.85, color=ORANGE)
    steep.set_xlabel(language.word("steepness"), fontsize=8)
    for axes in (bar, frequency, steep):
        axes.yaxis.set_major_formatter(_Numbers(language))
        axes.tick_params(labelsize=7.5)
    frequency.xaxis.set_major_formatter(_Numbers(language))
    return figure


class _Numbers(ScalarFormatter):
    """Formatter that writes the numbers of a linear axis in the notation of a language."""

    def __init__(self, language: Language) -> None:
        super().__init__()
        self.language = language

    def __call__(self, x: float, pos: int | None = None) -> str:
        return self.language.number(super().__call__(x, pos))


def draw_network(description: Description, language: Language) -> bytes:
    """Return an SVG with a box for each layer; a taller box is a larger output of the layer.

    The height depends on the fourth root of the output's size, so that small and large outputs are
    both visible.

    Args:
        description: Description of the network.
        language: Language of the labels.
    """
    # The input comes first, so that a layer's position in the list is its row in the description.
    layers = [(language.word("input"), description.input, 0)]
    layers += [(row.text, row.shape, row.weights) for row in description.rows]
    environment = Environment(loader=PackageLoader("caelab.report"), autoescape=True)
    svg = environment.get_template("network.svg.j2").render(
        layers=[(text, format_shape(shape), size_of(shape), w) for text, shape, w in layers],
        code=description.code.row if description.code else None,
        narrowest=description.narrowest.row,
        per_row=PER_ROW,
        word=language.word,
        number=lambda value: language.number(f"{value:,}"),
    )
    return svg.encode()
