"""Color errors of the colorizer on photographs at several scales, in CIEDE2000.

``python -m benchmarks.photographs`` prints a Markdown table over photographs of scikit-image and
scikit-learn, with the gray pictures and a sepia tint for comparison.
"""

import numpy as np
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_images

from caelab.pictures.colorize import colorize
from caelab.pictures.comparison import compare, without_color
from caelab.pictures.open_model import open_model
from caelab.pictures.picture import Picture, Values

NAMES = (
    "astronaut",
    "coffee",
    "chelsea",
    "rocket",
    "immunohistochemistry",
    "retina",
    "hubble_deep_field",
)
SCALES = ((32,), (48,), (64,), (96,), (32, 64), (48, 96))
SEPIA = (1.07, 0.98, 0.8)
LONGEST = 480
"""Longer side of a picture in pixels: colors vary slowly, and so every picture counts alike."""


def main() -> None:
    """Measure and print the table."""
    truths = {name: Picture(pixels=_reduced(pixels)) for name, pixels in _photographs().items()}
    grays = {name: without_color(picture) for name, picture in truths.items()}
    model = open_model("colorize")
    ways = {
        "gray": grays,
        "sepia": {name: Picture(pixels=_sepia(gray.pixels)) for name, gray in grays.items()},
        "caelab colorize": {name: colorize(model, [gray])[0] for name, gray in grays.items()},
        **{
            f"scale {', '.join(map(str, scales))}, saturation 1": {
                name: colorize(model, [gray], scales=scales, saturation=1.0)[0]
                for name, gray in grays.items()
            }
            for scales in SCALES
        },
    }
    print("| | " + " | ".join([*truths, "mean"]) + " |")
    print("|---" + "|---:" * (len(truths) + 1) + "|")
    for way, results in ways.items():
        found = [
            compare(grays[name], results[name], truth=truth).metrics["ciede2000"]
            for name, truth in truths.items()
        ]
        print(
            f"| {way} | "
            + " | ".join(f"{value:.1f}" for value in [*found, float(np.mean(found))])
            + " |"
        )


def _photographs() -> dict[str, Values]:
    pictures = {name: getattr(data, name)() for name in NAMES}
    china, flower = load_sample_images().images
    return {**pictures, "china": china, "flower": flower}


def _reduced(pixels: Values) -> Values:
    height, width = pixels.shape[:2]
    size = width * LONGEST // max(height, width), height * LONGEST // max(height, width)
    reduced: Values = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    return reduced


def _sepia(gray: Values) -> Values:
    tinted: Values = np.clip(gray * np.array(SEPIA), 0, 255).astype(np.uint8)
    return tinted


if __name__ == "__main__":
    main()
