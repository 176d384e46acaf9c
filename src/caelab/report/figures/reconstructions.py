"""The same test images through several networks."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from caelab.experiments.run_figures import GRAY
from caelab.report.figures.style import Drawing
from caelab.report.sentences import significant

_SIDE = 0.62
_LEFT = 1.9


def draw_reconstructions(
    originals: np.ndarray,
    estimates: Mapping[str, np.ndarray],
    errors: Mapping[str, float],
    *,
    chosen: str,
) -> Drawing:
    """Draw test images above what networks made of them; as pixels are photographs, render it as
    PNG.

    Args:
        originals: ``float32 (K, 3, H, W)`` in [0, 1].
        estimates: What each network made of them, of the same shape, by its label.
        errors: Test MSE over all test images, by label.
        chosen: How these images were chosen, in words that follow "images".
    """
    count = len(originals)
    rows: list[tuple[str, str, np.ndarray]] = [("original", "", originals)]
    rows += [
        (label, f"test MSE {significant(errors[label])}", images)
        for label, images in estimates.items()
    ]
    figure = Figure(figsize=(_LEFT + _SIDE * count + 0.05, _SIDE * len(rows) + 0.05))
    width, height = figure.get_size_inches()
    for row, (label, note, images) in enumerate(rows):
        bottom = (height - (row + 1) * _SIDE) / height
        middle = bottom + _SIDE / height / 2
        spare = 0.09 / height if note else 0
        figure.text(
            (_LEFT - 0.08) / width, middle + spare, _cut(label), ha="right", va="center", fontsize=9
        )
        figure.text(
            (_LEFT - 0.08) / width,
            middle - spare,
            note,
            ha="right",
            va="center",
            fontsize=7.5,
            color=GRAY,
        )
        for column in range(count):
            left = (_LEFT + column * _SIDE) / width
            axes = figure.add_axes((left, bottom, 0.95 * _SIDE / width, 0.95 * _SIDE / height))
            axes.imshow(images[column].transpose(1, 2, 0), interpolation="nearest", vmin=0, vmax=1)
            axes.set_axis_off()
    return Drawing(
        figure=figure,
        caption=_caption(count, errors, list(estimates), chosen),
        alt=_alt(count, estimates),
    )


def _cut(label: str) -> str:
    return label if len(label) <= 27 else f"{label[:26]}…"


def _caption(count: int, errors: Mapping[str, float], labels: Sequence[str], chosen: str) -> str:
    least = min(labels, key=lambda label: errors[label])
    return (
        f"The same {count} test images {chosen}, and what {len(labels)}"
        f" network{'s' if len(labels) > 1 else ''} made of them; over all test images {least} has"
        f" the smallest error of these, {significant(errors[least])}."
    )


def _alt(count: int, labels: Mapping[str, np.ndarray]) -> str:
    return (
        f"A grid of small pictures: {count} originals, below them their reconstructions by"
        f" {', '.join(labels)}."
    )
