"""Several plausible colors for one gray image: how much they differ, and how near the best of them
comes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from caelab.data.pixels import Pixels, evenly_spaced
from caelab.degrade.degradation import parse_degradation
from caelab.metrics.diversity import measure_variants
from caelab.metrics.image_metrics import colorfulness
from caelab.models.image_model import VARIANT_TEMPERATURE, ImageModel
from caelab.models.weights_file import load_model
from caelab.progress import progress
from caelab.report.document import Block, Column, Paragraph, Section, Table
from caelab.report.image_strips import draw_strips
from caelab.report.run_reader import FinishedRun
from caelab.report.sentences import significant
from caelab.report.shortcoming_tables import percent
from caelab.report.test_images import Album

VARIANTS = 4
"""Drawn of each image."""

IMAGES = 500
"""Test images, evenly spaced."""

SHOWN = 10
"""Of these, in the strip."""

TEMPERATURES = (0.3, VARIANT_TEMPERATURE, 1.0)
"""Rising; 1 is the model's own distribution."""


@dataclass(frozen=True, kw_only=True)
class SeveralColors:
    """Means over test images of what a model's variants are worth.

    Attributes:
        images: How many.
        by_temperature: The metrics of ``measure_variants``, by name, for each temperature.
        true_colorfulness: The truth's.
        nearer: Of the images, where the best variant at the usual temperature is nearer to the
            truth than the one answer.
    """

    images: int
    by_temperature: dict[float, dict[str, float]]
    true_colorfulness: float
    nearer: float


def measure_several_colors(model: ImageModel, pixels: Pixels, degradation: str) -> SeveralColors:
    """Draw variants of every image at each temperature, and measure them.

    Raises:
        InputError: The model's prediction is no distribution.
    """
    measured = {}
    with progress("several plausible colors", len(TEMPERATURES), unit="temperatures") as bar:
        for temperature in TEMPERATURES:
            measured[temperature] = measure_variants(
                model,
                pixels,
                parse_degradation(degradation),
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


def several_colors_section(run: FinishedRun, album: Album, label: str) -> Section:
    """Return the section about one run whose network gives a distribution.

    Raises:
        InputError: The images cannot be had, or the weights are damaged.
    """
    test = album.test(run).pixels
    model, card = load_model(run.directory.weights, torch.device("cpu"))
    found = measure_several_colors(
        model, test.at(evenly_spaced(IMAGES, len(test))), card.degradation
    )
    return Section(
        title="Several plausible colors",
        blocks=[
            *(Paragraph(sentence) for sentence in write_several_colors(found, label)),
            _table(found),
            _strip(model, run, album, label),
        ],
    )


def write_several_colors(found: SeveralColors, label: str) -> Iterable[str]:
    """Return what the numbers say."""
    usual = found.by_temperature[VARIANT_TEMPERATURE]
    one, best, single = usual["mse"], usual[f"best_of_{VARIANTS}_mse"], usual["best_of_1_mse"]
    yield (
        f"{label[0].upper()}{label[1:]} gives a distribution over colors. Its one answer, the"
        f" annealed mean, has an MSE of {significant(one)}; a single variant, drawn at temperature"
        f" {VARIANT_TEMPERATURE:g}, {significant(single)}; the best of {VARIANTS}, chosen by"
        f" someone who knows the truth, {significant(best)}. That best one is nearer to the truth"
        f" than the one answer for {percent(found.nearer)} of {found.images:,} test images."
    )
    own = found.by_temperature[1.0]
    ratio = own["diversity"] / own["best_of_1_mse"]
    sure = "surer than" if ratio < 0.95 else "less sure than" if ratio > 1.05 else "as sure as"
    yield (
        "Draws from the truth's own distribution would differ from each other as much as from the"
        f" truth. At temperature 1 two variants differ by {significant(own['diversity'])},"
        f" {percent(ratio)} of what a variant differs from the truth by: the network is {sure} it"
        " ought to be."
    )


def _table(found: SeveralColors) -> Table:
    names = [
        *(f"best_of_{count}_mse" for count in range(1, VARIANTS + 1)),
        "mean_mse",
        "diversity",
        "colorfulness",
    ]
    rows: list[Sequence[str | float | None]] = [
        (f"{temperature:g}", *(each[name] for name in names))
        for temperature, each in found.by_temperature.items()
    ]
    first = next(iter(found.by_temperature.values()))
    rows.append(("the one answer", first["mse"], *[None] * (VARIANTS + 2)))
    rows.append(("the truth", *[None] * (VARIANTS + 2), found.true_colorfulness))
    return Table(
        columns=(
            Column("temperature", align="left"),
            Column("one variant", ".5f"),
            *(Column(f"best of {count}", ".5f") for count in range(2, VARIANTS + 1)),
            Column(f"mean of {VARIANTS}", ".5f"),
            Column("between two", ".5f"),
            Column("colorfulness", ".1f"),
        ),
        rows=rows,
        caption=(
            f"MSE of variants over {found.images:,} test images; the best of some is expected over"
            f" all choices among the {VARIANTS} drawn. Between two: their mean squared difference."
        ),
    )


def _strip(model: ImageModel, run: FinishedRun, album: Album, label: str) -> Block:
    test = album.test(run).pixels
    positions = evenly_spaced(SHOWN, len(test))
    pictures = album.pictures(run, positions)
    given = torch.from_numpy(pictures["given"][:, :1])
    drawn = model.variants(given, VARIANTS, rows=test.rows[positions]).clamp(0, 1).numpy()
    rows = {"gray": pictures["given"], "the one answer": pictures["estimate"]}
    rows |= {f"variant {number + 1}": drawn[:, number] for number in range(VARIANTS)}
    rows["truth"] = pictures["target"]
    return draw_strips(
        rows,
        caption=(
            f"{VARIANTS} variants that {label} draws at temperature {VARIANT_TEMPERATURE:g}, and"
            " its one answer."
        ),
        alt=(
            f"Rows of {len(given)} small pictures: gray, one answer, {VARIANTS} variants, and the"
            " truth."
        ),
    ).picture("several-colors", "png")
