"""Networks that denoise, deblur, inpaint, upscale and mend JPEGs, beside the classical methods for
the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from caelab.baselines.classical import classical_methods, measured_positions
from caelab.data.pixels import evenly_spaced
from caelab.degrade.degradation import Degradation, parse_degradation
from caelab.errors import InputError
from caelab.metrics.evaluate import Restore, estimates
from caelab.metrics.statistics import Interval, mean_interval
from caelab.report.document import Block, Column, Note, Paragraph, Section, Table
from caelab.report.image_strips import draw_strips
from caelab.report.run_differences import Variant, find_variants, network_name
from caelab.report.run_reader import (
    FinishedRun,
    is_colorization,
    is_reconstruction,
    read_measures,
    read_runs,
)
from caelab.report.sentences import significant
from caelab.report.test_images import Album

GIVEN = "as given"
"""The baseline that does nothing; every other one of a restoration is a classical method."""

METRICS = {
    "psnr": Column("PSNR, dB", ".2f"),
    "ssim": Column("SSIM", ".4f"),
    "mse": Column("MSE", ".5f"),
}

IMAGES = 10
"""Test images in a strip."""


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """The best network for a degradation beside what needs no training.

    Attributes:
        degradation: What was done to the images.
        variant: The network's runs.
        called: What the network is called in tables and sentences.
        network: Its metrics by name, over seeds, on the images that the classical methods were
            measured on.
        baselines: Their metrics by name, the given images first, then by falling PSNR.
        images: How many images that are.
    """

    degradation: Degradation
    variant: Variant
    called: str
    network: dict[str, Interval]
    baselines: dict[str, dict[str, float]]
    images: int

    @property
    def best_classical(self) -> str | None:
        """The classical method with the highest PSNR; ``None`` where there is none."""
        return next((name for name in self.baselines if name != GIVEN), None)


def restoration_sections(
    runs: Sequence[Path], *, names: Mapping[str, str] | None = None, data: str | None = None
) -> list[Section]:
    """Return the sections about restorations; runs of other tasks are passed over.

    Args:
        runs: Run directories.
        names: What runs are called, by the name of their folder; others by their network.
        data: Where the images are, if not where the runs had them.
    """
    read, problems = read_runs(runs)
    restoring = [run for run in read if not is_reconstruction(run) and not is_colorization(run)]
    by_degradation: dict[str, list[FinishedRun]] = {}
    for run in restoring:
        by_degradation.setdefault(str(run.result["impair"]), []).append(run)
    album, found, pictures = Album(data), [], []
    for text, alike in by_degradation.items():
        try:
            restoration = compare(parse_degradation(text), alike, album, names)
            found.append(restoration)
            pictures.append(_strip(restoration, album))
        except InputError as error:
            problems.append(f"{text}: {error}")
    if not restoring:
        problems.append("There is no finished run that restores images.")
    blocks: list[Block] = [Note(problem, "missing") for problem in problems]
    if found:
        blocks += [*map(Paragraph, map(write_restoration, found)), _table(found), *pictures]
    return [Section(title="Networks and classical methods", blocks=blocks)]


def compare(
    degradation: Degradation,
    runs: Sequence[FinishedRun],
    album: Album,
    names: Mapping[str, str] | None = None,
) -> Restoration:
    """Put the best by validation of several runs for a degradation beside the baselines that they
    state.

    Raises:
        InputError: The runs' images or measures cannot be had.
    """
    variant = find_variants(runs).best
    baselines: dict[str, dict[str, float]] = variant.first.result["baselines"]
    pixels = album.test(variant.first).pixels
    positions = np.arange(len(pixels))
    if len(baselines) > 1:
        positions = measured_positions(pixels)
    measures = [read_measures(run) for run in variant.runs]
    return Restoration(
        degradation=degradation,
        variant=variant,
        called=(names or {}).get(variant.first.name)
        or f"the network {network_name(variant.first)}",
        network={
            metric: mean_interval(float(each[metric][positions].mean()) for each in measures)
            for metric in METRICS
            if all(metric in each for each in measures)
        },
        baselines=dict(
            sorted(baselines.items(), key=lambda each: (each[0] != GIVEN, -each[1]["psnr"]))
        ),
        images=len(positions),
    )


def write_restoration(found: Restoration) -> str:
    """Return what the numbers say of one degradation."""
    network = found.network["psnr"]
    does = "; ".join(step.kind.does for step in found.degradation.steps)
    given = found.baselines[GIVEN]["psnr"]
    said = (
        f"{found.degradation} ({does}): from {significant(given)} dB {found.called} comes to"
        f" {_decibels(network)}"
    )
    name = found.best_classical
    if name is None:
        return f"{said}. There is no classical method here to compare it with."
    classical = found.baselines[name]["psnr"]
    gain = network.estimate - classical
    verdict = f"{abs(gain):.1f} dB {'above' if gain > 0 else 'below'}"
    if not network.undetermined and not network.side(classical):
        verdict = "not to be told from"
    return f"{said}, {verdict} the best classical method ({name}), {significant(classical, 4)} dB."


def _decibels(psnr: Interval) -> str:
    seeds = f"n = {psnr.n} seed{'s' if psnr.n != 1 else ''}"
    if psnr.undetermined:
        return f"{psnr.estimate:.2f} dB ({seeds}, no interval)"
    return f"{psnr.estimate:.2f} dB (95% interval {psnr.low:.2f} to {psnr.high:.2f}; {seeds})"


def _table(found: Sequence[Restoration]) -> Table:
    return Table(
        columns=(
            Column("degradation", align="left"),
            Column("method", align="left"),
            *METRICS.values(),
            Column("images", ","),
        ),
        rows=[row for each in found for row in _rows(each)],
        caption=(
            "Means over test images; the classical methods' parameters are those with the highest"
            " PSNR on validation images. Networks are the best by validation, their numbers means"
            " over seeds and over the same images."
        ),
    )


def _rows(found: Restoration) -> Iterable[tuple[str | int | float | None, ...]]:
    name = str(found.degradation)
    network = [
        found.network[metric].estimate if metric in found.network else None for metric in METRICS
    ]
    yield (name, found.called, *network, found.images)
    for method, told in found.baselines.items():
        yield (name, method, *(told.get(metric) for metric in METRICS), int(told["n"]))


def _strip(found: Restoration, album: Album) -> Block:
    run = found.variant.first
    pixels = album.test(run).pixels
    chosen = evenly_spaced(IMAGES, len(pixels))
    pictures = album.pictures(run, chosen)
    rows = {"given": pictures["given"]}
    method = _classical(found)
    if method is not None and found.best_classical:
        made = estimates(method, pixels.at(chosen), degradation=found.degradation)
        rows[found.best_classical] = torch.cat([one.estimate for one in made]).numpy()
    rows |= {"the network": pictures["estimate"], "truth": pictures["target"]}
    return draw_strips(
        rows,
        caption=f"{found.degradation}: the same {len(chosen)} test images, evenly spaced.",
        alt=f"Rows of {len(chosen)} small pictures: {', '.join(rows)}.",
    ).picture(f"restored-{str(found.degradation).replace('+', '-').replace('.', '')}", "png")


def _classical(found: Restoration) -> Restore | None:
    """Return the best classical method with the parameter that was chosen."""
    for name, method in classical_methods(found.degradation).items():
        for value in method.grid:
            if method.label(name, value) == found.best_classical:
                return method.restore(value)
    return None
