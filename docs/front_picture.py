"""Draw ``front.jpg``, the picture of the README: network, reconstructions, colors.

``python docs/front_picture.py`` draws it with photographs of scikit-image and the shipped models.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from skimage import data

import caelab
from caelab.networks import describe, parse

PHOTOGRAPHS = ("rocket", "astronaut", "coffee")
CROPS = (
    ("astronaut", 150, 10, 190),
    ("chelsea", 100, 40, 180),
    ("coffee", 80, 140, 240),
    ("rocket", 230, 60, 260),
    ("chelsea", 60, 80, 200),
    ("astronaut", 250, 300, 200),
    ("coffee", 300, 60, 280),
    ("astronaut", 40, 20, 200),
    ("rocket", 60, 100, 300),
)
"""Name of the photograph, and left, top and side in pixels, of each crop (reduced to 32×32)."""

LONGEST = 480


def main() -> None:
    """Write the picture."""
    mpl.use("Agg")
    figure = Figure(figsize=(9, 10.2), dpi=110, facecolor="white")
    network, *rows = figure.subplots(7, 1, height_ratios=(1.3, 0.9, 0.9, 0.9, 1.8, 1.8, 1.8))
    _draw_network(network)
    crops = np.stack([_crop(*each) for each in CROPS])  # (N, 3, 32, 32)
    blocks = {
        "as given": crops,
        "nine layers,\n1,024 numbers": _restored("reference", crops),
        "best-768,\n768 numbers": _restored("best-768", crops),
    }
    photographs = [_photograph(name) for name in PHOTOGRAPHS]
    grays = [each.convert("L").convert("RGB") for each in photographs]
    colorizer = caelab.load("colorize")
    predicted = [colorizer.restore(each, scales=[48], saturation=1.0) for each in grays]
    shown = {
        **{name: [each.transpose(1, 2, 0) for each in images] for name, images in blocks.items()},
        "gray": grays,
        "predicted": predicted,
        "true": photographs,
    }
    for axes, (label, images) in zip(rows, shown.items(), strict=True):
        _draw_row(axes, label, [np.asarray(each) for each in images])
    figure.subplots_adjust(left=0.12, right=0.99, top=0.99, bottom=0.01, hspace=0.06)
    figure.savefig(Path(__file__).with_name("front.jpg"), pil_kwargs={"quality": 88})


def _draw_network(axes: Axes) -> None:
    described = describe(parse("reference"))
    steps = [("image", described.input), *((row.text, row.shape) for row in described.rows)]
    x = 0.0
    for name, (channels, height, _) in steps:
        width, side = channels / 10, height / 32
        is_code = name == "conv16"
        color = "#d97706" if is_code else "#0d9488" if name.startswith("conv") else "#94a3b8"
        axes.add_patch(Rectangle((x, -side / 2), width, side, color=color))
        axes.text(x + width / 2, -0.62, name, ha="center", va="top", fontsize=9)
        shape = f"{channels}×{height}×{height}"
        axes.text(x + width / 2, -0.86, shape, ha="center", va="top", fontsize=7, color="#475569")
        if is_code:
            axes.text(
                x + width / 2, 0.3, "code: 1,024", ha="center", va="bottom", fontsize=9, color=color
            )
        x += width + 1.1
    axes.set(xlim=(-0.6, x - 0.5), ylim=(-1.15, 0.6))
    axes.set_axis_off()


def _draw_row(axes: Axes, label: str, images: list[np.ndarray]) -> None:
    """Show images ``(H, W, 3)`` of one size side by side, with white gaps."""
    gap = np.full((images[0].shape[0], max(1, images[0].shape[1] // 32), 3), 255, np.uint8)
    joined = [part for image in images for part in (image, gap)][:-1]
    axes.imshow(np.concatenate(joined, axis=1), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9, labelpad=6)


def _photograph(name: str) -> Image.Image:
    picture = Image.fromarray(getattr(data, name)()[..., :3])
    picture.thumbnail((LONGEST, LONGEST))
    width, height = picture.size
    # The same shape for all: a row of them has one height.
    side = min(height, round(width / 1.5))
    return picture.crop((0, 0, width, side)).resize((480, 320))


def _crop(name: str, left: int, top: int, side: int) -> np.ndarray:
    picture = Image.fromarray(getattr(data, name)()[..., :3])
    small = picture.crop((left, top, left + side, top + side)).resize(
        (32, 32), Image.Resampling.LANCZOS
    )
    return np.asarray(small).transpose(2, 0, 1)


def _restored(name: str, images: np.ndarray) -> np.ndarray:
    return (caelab.load(name).restore(images) * 255).round().astype(np.uint8)


if __name__ == "__main__":
    main()
