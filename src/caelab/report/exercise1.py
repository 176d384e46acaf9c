"""Exercise 1 from its runs: the network, its training, its error, and where that error sits."""

import itertools
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from caelab.errors import InputError
from caelab.metrics.statistics import mean_interval
from caelab.networks.description import LayerRow
from caelab.networks.layers.base import format_shape
from caelab.report.document import Cell, Drawing, Part, Picture
from caelab.report.error_sites import find_error_sites
from caelab.report.figures.training_and_error_sites import draw_curves, draw_error_sites
from caelab.report.network_drawing import draw_network
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun, over_seeds


def reconstruction_part(groups: Sequence[Sequence[FinishedRun]], images: RunImages) -> Part:
    """Return the part about the first group's network, with all groups in one table.

    Args:
        groups: Reconstruction runs, those of a group differing in their seed alone; at least one.
        images: Gives the test images.
    """
    group = groups[0]
    first = group[0]
    description = first.description
    baselines = {
        f"PCA, {int(name[4:]):,} numbers" if name.startswith("pca-") else name: values
        for name, values in first.result["baselines"].items()
    }
    mse = over_seeds(group)
    curves = partial(
        draw_curves,
        {run.config.seed: run.epochs for run in group},
        test={run.config.seed: run.mse for run in group},
        baselines={name: values["mse"] for name, values in baselines.items() if values["mse"]},
    )
    return Part(
        "exercise1",
        {
            "network": description,
            "drawing": Drawing(
                "network",
                partial(draw_network, description),
                alt=", ".join(f"{row.text} {format_shape(row.shape)}" for row in description.rows),
            ),
            "layers": [*map(_layer, itertools.count(1), description.rows)],
            "curves": Drawing("training-curves", curves),
            "epochs": max(len(run.epochs) for run in group),
            "last_change": _mean(
                run.epochs[-1]["validation_mse"] / run.epochs[-2]["validation_mse"] - 1
                for run in group
                if len(run.epochs) > 1
            ),
            "end_ratio": _mean(
                run.epochs[-1]["validation_mse"] / run.epochs[-1]["train_mse"] for run in group
            ),
            "images": first.result["test"]["n"],
            "mse": mse,
            "psnr": _psnr(group),
            "errors": [
                *map(_errors, groups),
                *(
                    (name, None, None, values["mse"], None, None, values["psnr"], None)
                    for name, values in baselines.items()
                ),
            ],
            "linear_codes": [
                (name, mse.estimate / values["mse"] if values["mse"] else float("inf"))
                for name, values in baselines.items()
            ],
            "samples": _samples(first),
            "seed": first.config.seed,
            "run": first.name,
            **_sites(first, images),
        },
    )


def _layer(number: int, row: LayerRow) -> tuple[Cell, ...]:
    return (
        number,
        row.text,
        format_shape(row.shape),
        row.size,
        row.weights,
        row.multiply_accumulates,
        "whole image" if row.receptive_field is None else row.receptive_field,
    )


def _mean(values: Iterable[float]) -> float:
    """Return a mean; NaN without values."""
    return mean_interval(values).estimate


def _psnr(group: Sequence[FinishedRun]) -> float:
    return _mean(run.result["test"]["psnr"] for run in group)


def _errors(group: Sequence[FinishedRun]) -> tuple[Cell, ...]:
    mse = over_seeds(group)
    return (
        group[0].description.text,
        max(len(run.epochs) for run in group),
        len(group),
        mse.estimate,
        mse.low,
        mse.high,
        _psnr(group),
        min(run.result["seconds_per_epoch"] for run in group),
    )


def _samples(run: FinishedRun) -> Picture | None:
    try:
        data = run.directory.samples.read_bytes()
    except OSError:
        return None
    return Picture(
        name="reconstructions",
        data=data,
        format="png",
        alt="Rows of small test images, each above its reconstruction.",
    )


def _sites(run: FinishedRun, images: RunImages) -> dict[str, Any]:
    try:
        sites = find_error_sites(images.restored(run))
    except InputError as error:
        return {"sites": str(error)}
    starts = [0.0, *sites.frequencies[:-1]]
    shares = sites.error_power / sites.error_power.sum()
    columns = (starts, sites.frequencies, sites.image_power, sites.error_power, sites.lost, shares)
    return {
        "sites": sites,
        "sites_figure": Drawing("error-sites", partial(draw_error_sites, sites)),
        "bands": [tuple(map(float, row)) for row in zip(*columns, strict=True)],
    }
