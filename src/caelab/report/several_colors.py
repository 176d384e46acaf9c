"""Several plausible colors for one gray image: how much they differ, and how good the best is."""

from dataclasses import dataclass

import torch

from caelab.data.device_images import DeviceImages
from caelab.data.image_set import evenly_spaced
from caelab.degrade.degradation import Degradation
from caelab.metrics.diversity import measure_variants
from caelab.metrics.image_metrics import colorfulness
from caelab.models.image_model import VARIANT_TEMPERATURE, ImageModel
from caelab.progress import progress
from caelab.report.document import Cell, ImageRows, Part
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun

VARIANTS = 4
"""Number of variants drawn for each image."""

IMAGES = 500
"""Number of test images that are measured, evenly spaced."""

SHOWN = 10
"""Number of test images in the strip."""

TEMPERATURES = (0.3, VARIANT_TEMPERATURE, 1.0)
"""Rising temperatures; 1 is the model's own distribution."""


@dataclass(frozen=True, kw_only=True)
class SeveralColors:
    """Quality of a model's variants: means over test images.

    Attributes:
        images: Number of images.
        by_temperature: Metrics of ``measure_variants`` by name, for each temperature.
        true_colorfulness: Colorfulness of the true images.
        nearer: Share of the images for which the best variant at the usual temperature is nearer to
            the truth than the model's single answer.
    """

    images: int
    by_temperature: dict[float, dict[str, float]]
    true_colorfulness: float
    nearer: float


def measure_several_colors(
    model: ImageModel, pixels: DeviceImages, degradation: Degradation
) -> SeveralColors:
    """Draw variants of every image at each temperature, and measure them.

    Args:
        model: Network whose prediction is a distribution.
        pixels: The true images.
        degradation: Degradation that makes the model's input.

    Raises:
        InputError: The model's prediction is no distribution.
    """
    measured = {}
    with progress("several plausible colors", len(TEMPERATURES), unit="temperatures") as bar:
        for temperature in TEMPERATURES:
            measured[temperature] = measure_variants(
                model,
                pixels,
                degradation,
                count=VARIANTS,
                temperature=temperature,
            )
            bar()
    usual = measured[VARIANT_TEMPERATURE]
    truth = [colorfulness(pixels.batch(chosen)) for chosen in pixels.batches(512)]
    return SeveralColors(
        images=len(pixels),
        by_temperature={
            temperature: {name: float(values.mean()) for name, values in each.items()}
            for temperature, each in measured.items()
        },
        true_colorfulness=float(torch.cat(truth).mean()),
        nearer=float((usual[f"best_of_{VARIANTS}_mse"] < usual["mse"]).mean()),
    )


def several_colors_part(run: FinishedRun, images: RunImages, label: str) -> Part:
    """Return the part about one run whose network predicts a distribution over colors.

    Args:
        run: The run.
        images: Gives the test images and the network.
        label: Name of the run in the report.

    Raises:
        InputError: The images cannot be had, or the weights are damaged.
    """
    pixels = images.part(run)
    model = images.model(run)
    some = pixels.at(evenly_spaced(IMAGES, len(pixels)))
    found = measure_several_colors(model, some, run.config.degradation)
    return Part(
        "several_colors",
        {
            "label": label,
            "images": found.images,
            "nearer": found.nearer,
            "count": VARIANTS,
            "temperature": VARIANT_TEMPERATURE,
            "usual": found.by_temperature[VARIANT_TEMPERATURE],
            "best_mse": found.by_temperature[VARIANT_TEMPERATURE][f"best_of_{VARIANTS}_mse"],
            "own": found.by_temperature[1.0],
            "temperatures": _rows(found),
            "strip": _strip(model, run, images),
        },
        level=2,
    )


def _rows(found: SeveralColors) -> list[tuple[Cell, ...]]:
    best = [f"best_of_{count}_mse" for count in range(1, VARIANTS + 1)]
    names = [*best, "mean_mse", "diversity", "colorfulness"]
    rest: list[Cell] = [None] * (len(names) - 1)
    answer = found.by_temperature[VARIANT_TEMPERATURE]["mse"]
    rows: list[tuple[Cell, ...]] = [
        (f"{temperature:g}", *map(each.get, names))
        for temperature, each in found.by_temperature.items()
    ]
    return [
        *rows,
        ("single answer", answer, *rest),
        ("truth", *rest, found.true_colorfulness),
    ]


def _strip(model: ImageModel, run: FinishedRun, images: RunImages) -> ImageRows:
    pixels = images.part(run)
    positions = evenly_spaced(SHOWN, len(pixels))
    pictures = images.pictures(run, positions)
    gray = torch.from_numpy(pictures["degraded"][:, :1])
    drawn = model.variants(gray, VARIANTS, rows=pixels.rows[positions]).clamp(0, 1).numpy()
    rows = {"gray": pictures["degraded"], "single answer": pictures["estimate"]}
    rows |= {f"variant {number + 1}": drawn[:, number] for number in range(VARIANTS)}
    return ImageRows("several-colors", {**rows, "truth": pictures["target"]})
