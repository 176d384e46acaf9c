"""Choose the scales and the saturation at which the colors of photographs are nearest to the truth.

``python -m benchmarks.saturation FOLDER`` measures every choice on every second photograph of a
folder, by name, and the best one, the network's own colors and gray on the others. Photographs
that are nearly gray count in none. Half of the pixels of each side are compared where choices are
made. The result is written to ``benchmarks/results/saturation.json``.
"""

import argparse
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from skimage.color import deltaE_ciede2000

from caelab.color import gray_rgb, rgb_to_lab
from caelab.files import find_files, to_json, write_text
from caelab.metrics.statistics import mean_interval
from caelab.pictures.backends.base import PictureModel
from caelab.pictures.colorize import colorize
from caelab.pictures.comparison import without_color
from caelab.pictures.open_model import open_model
from caelab.pictures.picture import Floats, Picture, to_planes
from caelab.pictures.read import read_picture

RESULT = Path(__file__).parent / "results" / "saturation.json"
SCALES = ((32,), (48,), (64,), (96,), (32, 64), (48, 96), (32, 48, 64, 96))
SATURATIONS = (0.3, 0.4, 0.5, 0.7, 1.0)
NEARLY_GRAY = 1.0
"""Mean CIEDE2000 to its gray copy below which a photograph is none with colors."""


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    photographs = [read_picture(file) for file in find_files(folder, suffixes=(".jpg", ".png"))]
    colored = [each for each in photographs if _difference(without_color(each), each) > NEARLY_GRAY]
    model = open_model("colorize", device="cpu")
    ways = [(scales, factor) for scales in SCALES for factor in SATURATIONS]
    choosing = _measure(model, colored[::2], ways, step=2)
    best = min(choosing, key=lambda row: row["ciede2000"])
    best_way = tuple(best["scales"]), best["saturation"]
    confirming = _measure(
        model, colored[1::2], [best_way, (best_way[0], 1.0), ((48,), 1.0)], step=1
    )
    document: dict[str, Any] = {
        "benchmark": "saturation",
        "model": "colorize",
        "photographs": len(photographs),
        "nearly_gray": len(photographs) - len(colored),
        "n": {"choosing": len(colored[::2]), "confirming": len(colored[1::2])},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("caelab", "numpy", "pillow", "torch")},
        },
        "chosen": {"scales": best["scales"], "saturation": best["saturation"]},
        "choosing": choosing,
        "confirming": confirming,
    }
    write_text(RESULT, to_json(document))
    for name in ("choosing", "confirming"):
        for row in document[name]:
            print(name, *row.values())


def _measure(
    model: PictureModel,
    truths: Sequence[Picture],
    ways: Sequence[tuple[tuple[int, ...], float]],
    *,
    step: int,
) -> list[dict[str, Any]]:
    """Return the errors of every way over photographs, of which every ``step``-th pixel counts."""
    grays = [without_color(truth) for truth in truths]
    copies = [_difference(gray, truth, step) for gray, truth in zip(grays, truths, strict=True)]
    errors: dict[tuple[tuple[int, ...], float], list[float]] = {way: [] for way in ways}
    for gray, truth in zip(grays, truths, strict=True):
        remembering = _Remembering(model)
        for scales, saturation in ways:
            (result,) = colorize(
                remembering.model, [gray], scales=scales, saturation=saturation, threads=1
            )
            errors[scales, saturation].append(_difference(result, truth, step))
    return [
        {
            "scales": list(scales),
            "saturation": saturation,
            "ciede2000": float(np.mean(found)),
            "gray_ciede2000": float(np.mean(copies)),
            "mean_ratio": float(np.mean(np.divide(found, copies))),
            "nearer_than_gray": float(np.mean(np.less(found, copies))),
            "difference_to_gray": _interval(np.subtract(found, copies)),
        }
        for (scales, saturation), found in errors.items()
    ]


class _Remembering:
    """A model that answers once for each view: ways differ in what is made of the answers."""

    def __init__(self, model: PictureModel) -> None:
        self._answers: dict[tuple[int, ...], Floats] = {}
        self._function = model.function
        self.model = PictureModel(
            function=self._answer,
            channels=model.channels,
            geometry=model.geometry,
            size=model.size,
            color_space=model.color_space,
        )

    def _answer(self, images: Floats) -> Floats:
        if images.shape not in self._answers:
            self._answers[images.shape] = self._function(images)
        return self._answers[images.shape]


def _difference(result: Picture, truth: Picture, step: int = 1) -> float:
    """Return the mean CIEDE2000 over every ``step``-th pixel of both sides."""
    labs = [
        rgb_to_lab(gray_rgb(to_planes(each.pixels[::step, ::step]))) for each in (result, truth)
    ]
    return float(deltaE_ciede2000(*labs, channel_axis=0).mean())  # type: ignore[no-untyped-call]


def _interval(values: Any) -> list[float]:
    interval = mean_interval(values)
    return [interval.low, interval.high]


if __name__ == "__main__":
    main()
