"""Where the error sits: a map by pixel, and bars by frequency and by steepness."""

import numpy as np
from matplotlib.figure import Figure

from caelab.plotting import BLUE, ORANGE
from caelab.report.error_sites import ErrorSites
from caelab.report.figures.style import INK, WIDTH, Drawing
from caelab.report.sentences import significant


def draw_error_sites(sites: ErrorSites) -> Drawing:
    """Draw the mean squared error by pixel, the lost share of power by frequency, and the error by
    steepness.
    """
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    pixel, frequency, steep = figure.subplots(1, 3)
    shown = pixel.imshow(sites.by_pixel, cmap="viridis", interpolation="nearest")
    bar = figure.colorbar(shown, ax=pixel, shrink=0.75, pad=0.03)
    bar.ax.tick_params(labelsize=7)
    bar.ax.ticklabel_format(axis="y", scilimits=(-3, 3))
    bar.ax.yaxis.offsetText.set_fontsize(7)
    pixel.set_xticks([])
    pixel.set_yticks([])
    pixel.set_title("by pixel: MSE", fontsize=9)

    middles = sites.frequencies - sites.frequencies[0] / 2
    width = sites.frequencies[0] * 0.85
    frequency.bar(middles, sites.lost * 100, width, color=BLUE)
    frequency.set_xlabel("cycles a pixel", fontsize=8)
    frequency.set_title("by frequency: lost, %", fontsize=9)
    steep.bar(np.arange(1, len(sites.by_steepness) + 1), sites.by_steepness, 0.85, color=ORANGE)
    steep.set_xlabel("tenths of the pixels, flat to steep", fontsize=8)
    steep.set_title("by steepness: MSE", fontsize=9)
    steep.ticklabel_format(axis="y", scilimits=(-3, 3))
    steep.yaxis.offsetText.set_fontsize(7)
    for axes in (frequency, steep):
        axes.tick_params(labelsize=7.5, colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
    return Drawing(figure=figure, caption=_caption(sites), alt=_alt(sites))


def _caption(sites: ErrorSites) -> str:
    return (
        f"Where the error of {sites.n:,} test images sits. Left: mean squared error by pixel."
        " Middle: the share of the images' own power that is lost in each band of frequency (100%"
        " would be a flat image of the mean color). Right: mean squared error of the tenths of all"
        " pixels by the steepness of the luminance."
    )


def _alt(sites: ErrorSites) -> str:
    lost = ", ".join(f"up to {end:.3g}: {significant(share * 100, 2)}%"
                     for end, share in zip(sites.frequencies, sites.lost, strict=True))  # fmt: skip
    tenths = ", ".join(significant(value, 2) for value in sites.by_steepness)
    return (
        f"A heat map by pixel and two bar charts. Lost by cycles a pixel: {lost}. MSE from flat to"
        f" steep: {tenths}."
    )
