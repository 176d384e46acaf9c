"""Where the error sits: a map by pixel, and bars by frequency and by steepness."""

import numpy as np
from matplotlib.figure import Figure

from caelab.plotting import BLUE, INK, ORANGE, WIDTH
from caelab.report.error_sites import ErrorSites


def draw_error_sites(sites: ErrorSites) -> Figure:
    """Draw the MSE by pixel, the lost share of power by frequency, and the MSE by steepness."""
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    pixel, frequency, steep = figure.subplots(1, 3)
    shown = pixel.imshow(sites.by_pixel, cmap="viridis", interpolation="nearest")
    bar = figure.colorbar(shown, ax=pixel, shrink=0.75, pad=0.03)
    pixel.set(xticks=[], yticks=[])
    pixel.set_title("by pixel: MSE", fontsize=9)
    width = sites.frequencies[0]
    frequency.bar(sites.frequencies - width / 2, sites.lost * 100, width * 0.85, color=BLUE)
    frequency.set_xlabel("cycles per pixel", fontsize=8)
    frequency.set_title("by frequency: lost, %", fontsize=9)
    steep.bar(np.arange(1, len(sites.by_steepness) + 1), sites.by_steepness, 0.85, color=ORANGE)
    steep.set_xlabel("tenths of the pixels, flat to steep", fontsize=8)
    steep.set_title("by steepness: MSE", fontsize=9)
    for axes in (bar.ax, steep):
        axes.ticklabel_format(axis="y", scilimits=(-3, 3))
        axes.yaxis.offsetText.set_fontsize(7)
    for axes in (bar.ax, frequency, steep):
        axes.tick_params(labelsize=7.5, colors=INK)
    for axes in (frequency, steep):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
