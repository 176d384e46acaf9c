"""What the report's interactive corner shows: test images through each network, and the points of a
study.

Everything is computed beforehand; the page only chooses what to show.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from caelab.errors import InputError
from caelab.report.architectures import Analysis
from caelab.report.run_reader import FinishedRun
from caelab.report.test_images import RunImages

MOST_IMAGES, MOST_NETWORKS = 12, 10

MOST_BYTES = 3_000_000
"""Of all pixels that are embedded, before they are compressed."""


def choose_networks(
    named: Mapping[str, FinishedRun], *, keep: Sequence[str] = ()
) -> dict[str, FinishedRun]:
    """Return at most ``MOST_NETWORKS`` of the runs: those to keep, the best, the worst, and some
    evenly between.
    """
    ordered = sorted(named, key=lambda name: named[name].mse)
    if len(ordered) > MOST_NETWORKS:
        kept = [name for name in keep if name in named][:MOST_NETWORKS]
        others = [name for name in ordered if name not in kept]
        places = np.linspace(0, len(others) - 1, MOST_NETWORKS - len(kept)).round().astype(int)
        chosen = {*kept, *(others[place] for place in places)}
        ordered = [name for name in ordered if name in chosen]
    return {name: named[name] for name in ordered}


def choose_images(run: FinishedRun, count: int) -> np.ndarray:
    """Return positions of test images, evenly from the smallest to the largest error of the run.

    Raises:
        InputError: The run's errors by image are missing or damaged.
    """
    order = np.argsort(run.measures["mse"], kind="stable")
    places = np.linspace(0.02, 0.98, count) * (len(order) - 1)
    chosen: np.ndarray = order[np.unique(places.round().astype(int))]
    return chosen


def picture_tasks(
    reconstruction: Mapping[str, FinishedRun],
    colorization: Mapping[str, FinishedRun],
    images: RunImages,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the pictures of both tasks as plain values, and what could not be shown.

    A task has ``title``, ``side``, ``labels``, the sprites ``truth`` and ``given`` (PNG data URIs,
    the images side by side), and ``networks`` with ``name``, ``text``, ``mse`` of each image,
    ``test`` and ``sprite``.
    """
    tasks: list[dict[str, Any]] = []
    problems: list[str] = []
    for title, runs in (
        ("Reconstruction", reconstruction),
        ("Colors for gray images", colorization),
    ):
        if not runs:
            continue
        try:
            tasks.append(
                _task(title, runs, images, problems, share=len(reconstruction) + len(colorization))
            )
        except InputError as error:
            problems.append(f"{title}, interactive pictures: {error}")
    return tasks, problems


def _task(
    title: str,
    runs: Mapping[str, FinishedRun],
    images: RunImages,
    problems: list[str],
    *,
    share: int,
) -> dict[str, Any]:
    first = next(iter(runs.values()))
    pixels = 3 * first.config.data.size**2
    positions = choose_images(first, max(3, min(MOST_IMAGES, MOST_BYTES // (pixels * (share + 2)))))
    test = images.test(first)
    shown: list[dict[str, Any]] = []
    originals: dict[str, np.ndarray] = {}
    for name, run in runs.items():
        try:
            if run.images != first.images:
                raise InputError(f"{run.name} was measured on other test images than {first.name}.")
            pictures = images.pictures(run, positions)
            mse = run.measures["mse"][positions]
        except InputError as error:
            problems.append(f"{title}, interactive pictures: {error}")
            continue
        originals = originals or pictures
        shown.append(
            {
                "name": name,
                "text": run.description.text,
                "mse": [float(value) for value in mse],
                "test": run.mse,
                "sprite": sprite(pictures["estimate"]),
            }
        )
    if not shown:
        raise InputError("none of the networks can be shown.")
    labels = (
        [""] * len(positions)
        if test.labels is None
        else [test.classes[test.labels[each]] for each in positions]
    )
    return {
        "title": title,
        "side": first.config.data.size,
        "labels": labels,
        "truth": sprite(originals["target"]),
        "given": sprite(originals["degraded"]) if first.degradation == "gray" else None,
        "networks": shown,
    }


def sprite(images: np.ndarray) -> str:
    """Return images ``float32 (K, 3, H, W)`` in [0, 1] side by side as the data URI of a PNG."""
    pixels = np.concatenate(list(images.transpose(0, 2, 3, 1)), axis=1)
    file = io.BytesIO()
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def study_points(analysis: Analysis) -> list[dict[str, Any]]:
    """Return the networks of a study as plain values, for the plot whose points tell their text."""
    return [
        {
            "label": each.label,
            "network": each.network,
            "code_size": each.code_size,
            "narrowest": each.narrowest,
            "weights": each.weights,
            "multiply_accumulates": each.multiply_accumulates,
            "seconds_per_epoch": each.seconds_per_epoch,
            "mse": each.mse.estimate,
            "seeds": each.mse.n,
        }
        for each in analysis.architectures
        if each.errors
    ]
