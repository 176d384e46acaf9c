"""The same test images through several networks."""

from collections.abc import Mapping, Sequence

import numpy as np

from caelab.plotting import draw_image_rows
from caelab.report.figures.style import Drawing
from caelab.report.sentences import significant


def draw_reconstructions(
    originals: np.ndarray,
    estimates: Mapping[str, np.ndarray],
    errors: Mapping[str, float],
    *,
    chosen: str,
) -> Drawing:
    """Draw test images above what networks made of them; to be rendered as PNG.

    Args:
        originals: Images ``float32 (K, 3, H, W)`` in [0, 1].
        estimates: Output of each network, of the same shape, by its label.
        errors: Test MSE over all test images, by label.
        chosen: How these images were chosen, in words that follow "images".
    """
    rows = {"original": originals}
    for label, images in estimates.items():
        rows[f"{label}\ntest MSE {significant(errors[label])}"] = images
    return Drawing(
        figure=draw_image_rows(rows),
        caption=_caption(len(originals), errors, list(estimates), chosen),
        alt=_alt(len(originals), estimates),
    )


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
