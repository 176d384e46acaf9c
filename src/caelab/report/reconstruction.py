"""Exercise 1: a reconstructing network, its training, its error, and where the error is."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from caelab.errors import InputError
from caelab.metrics.statistics import Interval, mean_interval
from caelab.networks.layers.base import format_shape
from caelab.report.document import Cell, Drawing, Part, Picture
from caelab.report.error_sites import ErrorSites, find_error_sites
from caelab.report.figures.reference import draw_curves, draw_error_sites, draw_network
from caelab.report.run_differences import network_name
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun, mean_over_seeds


@dataclass(frozen=True, kw_only=True)
class SitesAnswer:
    """Where the error of one seed's reconstructions is.

    Attributes:
        flat: Mean squared error if each image is replaced by its mean color.
        steep_share: Share of the squared error that is on the tenth of the pixels where the
            luminance is steepest.
        steepness: Error on the steepest tenth of the pixels as a multiple of the error on the
            flattest tenth.
        lowest: Share of the images' power that is lost in the lowest band of spatial frequency.
        highest: Share of the images' power that is lost in the highest band of spatial frequency.
        border: Error of the outermost ring of pixels as a multiple of the other pixels' error.
    """

    flat: float
    steep_share: float
    steepness: float
    lowest: float
    highest: float
    border: float


@dataclass(frozen=True, kw_only=True)
class ReconstructionAnswer:
    """Errors of a network that reconstructs images.

    Attributes:
        name: Name of the network's preset; without a preset, the beginning of its text.
        network: Text of the network.
        weights: Number of weights and biases.
        images: Number of test images.
        training: Training MSE of each epoch: the mean over the epoch and over seeds.
        validation: Validation MSE after each epoch, mean over seeds.
        end_ratio: Validation MSE after the last epoch as a multiple of the training MSE of that
            epoch, mean over seeds.
        mse: Test MSE, with its interval over seeds.
        psnr: Mean PSNR of the test images in dB, with its interval over seeds.
        linear: Test MSE of PCA by number of components. The numbers are the sizes of the network's
            code and of its narrowest representation.
        sites: Where the error is; ``None`` if the images cannot be loaded.
    """

    name: str
    network: str
    weights: int
    images: int
    training: tuple[float, ...]
    validation: tuple[float, ...]
    end_ratio: float
    mse: Interval
    psnr: Interval
    linear: dict[int, float]
    sites: SitesAnswer | None


def reconstruction_part(
    groups: Sequence[Sequence[FinishedRun]], images: RunImages, *, above: bool
) -> tuple[ReconstructionAnswer, Part]:
    """Return the answer about the first group's network, and the part of the report about it.

    Args:
        groups: Runs that reconstruct images, at least one group; the runs of a group differ only
            in their seed.
        images: Loads the test images and the network.
        above: Whether the picture of reconstructions is at the top of the page, not in this part.
    """
    group = groups[0]
    first = group[0]
    description = first.description
    missing, found = "", None
    try:
        # Only this needs the images: the other numbers are in the run directories.
        found = find_error_sites(images.restored(first))
    except InputError as error:
        missing = str(error)
    answer = _answer(group, found)
    # A linear code without error cannot be drawn on a logarithmic axis.
    curves = partial(
        draw_curves,
        {run.config.seed: run.epochs for run in group},
        test={run.config.seed: run.mse for run in group},
        baselines={f"PCA {size:,}": mse for size, mse in answer.linear.items() if mse},
    )
    context: dict[str, Any] = {
        "answer": answer,
        "above": above,
        "network": description,
        "drawing": Drawing(
            "network",
            partial(draw_network, description),
            alt=", ".join(f"{row.text} {format_shape(row.shape)}" for row in description.rows),
        ),
        "layers": [
            (
                *(number, row.text, format_shape(row.shape), row.size, row.weights),
                *(row.multiply_accumulates, row.receptive_field),
            )
            for number, row in zip(itertools.count(1), description.rows)
        ],
        "curves": Drawing("training-curves", curves),
        "epochs": [*zip(itertools.count(1), answer.training, answer.validation)],
        "errors": [
            *map(_errors, groups),
            *((f"PCA {size:,}", mse, *[None] * 6) for size, mse in answer.linear.items()),
        ],
        "samples": _samples(first),
        "run": first,
        "missing_sites": missing,
        "sites_figure": found and Drawing("error-sites", partial(draw_error_sites, found)),
    }
    return answer, Part("reconstruction", context)


def _answer(group: Sequence[FinishedRun], found: ErrorSites | None) -> ReconstructionAnswer:
    first = group[0]
    linear = {
        int(name.removeprefix("pca-")): float(values["mse"])
        for name, values in first.result["baselines"].items()
        if name.startswith("pca-")
    }
    return ReconstructionAnswer(
        name=network_name(first),
        network=first.description.text,
        weights=first.description.weights,
        images=first.result["test"]["n"],
        training=_by_epoch(group, "train_mse"),
        validation=_by_epoch(group, "validation_mse"),
        end_ratio=mean_interval(
            run.epochs[-1]["validation_mse"] / run.epochs[-1]["train_mse"] for run in group
        ).estimate,
        mse=mean_over_seeds(group),
        psnr=mean_interval(run.result["test"]["psnr"] for run in group),
        linear=linear,
        sites=_sites(found) if found else None,
    )


def _by_epoch(group: Sequence[FinishedRun], name: str) -> tuple[float, ...]:
    """Return the mean over seeds of each epoch that all seeds were trained for."""
    rows = zip(*(run.epochs for run in group), strict=False)
    return tuple(mean_interval(row[name] for row in each).estimate for each in rows)


def _errors(group: Sequence[FinishedRun]) -> tuple[Cell, ...]:
    mse, first = mean_over_seeds(group), group[0]
    psnr = mean_interval(run.result["test"]["psnr"] for run in group).estimate
    # The median, because other programs may have slowed a run down.
    seconds = float(np.median([run.result["seconds_per_epoch"] for run in group]))
    epochs = max(len(run.epochs) for run in group)
    return (
        *(first.description.text, mse.estimate, mse.low, mse.high),
        *(psnr, epochs, len(group), seconds),
    )


def _samples(run: FinishedRun) -> Picture | None:
    try:
        data = run.directory.samples.read_bytes()
    # The template then says that the picture is missing.
    except OSError:
        return None
    return Picture(name="reconstructions", data=data, format="png")


def _sites(found: ErrorSites) -> SitesAnswer:
    return SitesAnswer(
        flat=float(found.image_power.sum()),
        steep_share=found.steep_share,
        steepness=float(found.by_steepness[-1] / found.by_steepness[0]),
        lowest=float(found.lost[0]),
        highest=float(found.lost[-1]),
        border=found.border,
    )
