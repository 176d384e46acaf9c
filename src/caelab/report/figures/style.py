"""How all figures look.

On a white card, so that they can be read on dark pages and in print; with a marker or a line style
for every color; and with text that stays text.
"""

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from caelab.plotting import BLUE, GREEN, ORANGE
from caelab.report.document import Picture

INK, GRID = "#222222", "#dddddd"

MARKS: Sequence[tuple[str, str]] = (
    (BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"), (INK, "X"),
    (BLUE, "<"), (ORANGE, ">"), (GREEN, "h"),
)  # fmt: skip
"""Color and marker of each kind of thing, in order (Okabe and Ito)."""

WIDTH = 7.2
"""Of a figure, in inches: that of a page's text."""

_FONTS = (
    "DejaVu Sans",
    "Verdana",
    "Arial",
)  # text is laid out with the first, and the others are no wider
_SETTINGS = {"svg.fonttype": "none", "font.sans-serif": [*_FONTS], "figure.facecolor": "white"}


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure with its words.

    Attributes:
        figure: To be rendered.
        caption: What it shows, in sentences computed from the data.
        alt: What is to be seen, for those who cannot see it.
    """

    figure: Figure
    caption: str
    alt: str

    def picture(self, name: str, format: Literal["svg", "png"] = "svg") -> Picture:  # noqa: A002 - matplotlib's word
        """Return it as a picture; pictures of different names can stand in one HTML document."""
        return Picture(
            name=name,
            data=render(self.figure, name, format),
            format=format,
            caption=self.caption,
            alt=self.alt,
        )


def new_axes(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Return a figure of that size, in inches, with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def logarithmic(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    """Make axes logarithmic, with plain numbers on round places: as many as the range needs."""
    for wanted, axis, scale in ((x, axes.xaxis, axes.set_xscale), (y, axes.yaxis, axes.set_yscale)):
        if not wanted:
            continue
        low, high = (float(bound) for bound in axis.get_view_interval())
        if low <= 0 or high <= low:
            continue
        scale("log")
        few = 30 if axis is axes.xaxis else 3000  # labels of an x axis stand beside each other
        marks: Sequence[float] = (1, 2, 5) if high / low > 8 else (1, 1.5, 2, 3, 4, 5, 7)
        if high / low > few:
            marks = (1, 3) if high / low < 10 * few else (1,)
        axis.set_major_locator(LogLocator(base=10, subs=marks, numticks=30))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: plain(value))
    axes.grid(color=GRID, linewidth=0.6)


def margin(axes: Axes, x: Iterable[float], y: Iterable[float], *, share: float = 0.06) -> None:
    """Set the limits of logarithmic axes around positive values, with a share of their range to
    spare.
    """
    for values, limit in ((list(x), axes.set_xlim), (list(y), axes.set_ylim)):
        low, high = min(values), max(values)
        spare = max((high / low) ** share, 1.05)
        limit(low / spare, high * spare)


def render(figure: Figure, name: str, format: Literal["svg", "png"]) -> bytes:  # noqa: A002 - matplotlib's word
    """Return the bytes of the figure's file; figures drawn alike, of one name, have the same
    bytes.
    """
    file = io.BytesIO()
    settings: Any = {**_SETTINGS, "svg.hashsalt": name}
    metadata = (
        dict.fromkeys(("Date", "Creator", "Format", "Type"), None)
        if format == "svg"
        else {"Software": None}
    )
    with matplotlib.rc_context(settings):
        figure.savefig(file, format=format, dpi=150, metadata=metadata, facecolor="white")
    return file.getvalue() if format == "png" else _plain_svg(file.getvalue().decode()).encode()


def plain(value: float) -> str:
    """Return a round number without an exponent or needless zeros."""
    return f"{value:,.0f}" if value >= 10 else f"{Decimal(f'{value:.2g}').normalize():f}"


def _plain_svg(text: str) -> str:
    """Keep of matplotlib's SVG what a browser draws: it can be put into HTML, and asks for fonts
    that are anywhere.
    """
    text = re.sub(r"^.*?(?=<svg)", "", text, flags=re.DOTALL)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(
        r'<g id="[^"]*"', "<g", text
    )  # the same in every figure, and nothing refers to them
    return re.sub(r"'DejaVu Sans'[^;\"]*", "'DejaVu Sans', Verdana, Arial, sans-serif", text)
