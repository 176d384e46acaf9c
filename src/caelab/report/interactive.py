"""Data of the report's interactive part: test images through each network, points of a study.

Everything is computed beforehand; the page only chooses what to show.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from caelab.baselines.code_cost import channel_ranges
from caelab.data.image_set import evenly_spaced
from caelab.errors import InputError
from caelab.experiments.study import BASE
from caelab.metrics.image_metrics import squared_error
from caelab.models.inference import Inference, restoring
from caelab.report.architectures import Analysis
from caelab.report.run_images import RunImages, choose_images
from caelab.report.run_reader import FinishedRun

MAX_IMAGES, MAX_NETWORKS = 12, 10

MAX_BYTES = 3_000_000
"""Bytes of all embedded pixels before they are compressed."""

MAX_CODES, MAX_CODE_BYTES = 4, 1_500_000
"""Images whose code is shown, and bytes of the pixels of each of them without each channel."""

_POINT = (
    "label",
    "network",
    "code_size",
    "narrowest",
    "weights",
    "multiply_accumulates",
    "seconds_per_epoch",
)
"""Attributes of an architecture that its point shows."""


def choose_networks(
    named: Mapping[str, FinishedRun], *, keep: Sequence[str] = ()
) -> dict[str, FinishedRun]:
    """Return at most ``MAX_NETWORKS`` runs by rising error.

    Args:
        named: Runs by name.
        keep: Names of runs that are chosen in any case; the others are evenly spaced from the best
            to the worst.
    """
    ordered = sorted(named, key=lambda name: named[name].mse)
    kept = [name for name in dict.fromkeys(keep) if name in named][:MAX_NETWORKS]
    others = [name for name in ordered if name not in kept]
    kept += [others[index] for index in evenly_spaced(MAX_NETWORKS - len(kept), len(others))]
    return {name: named[name] for name in ordered if name in kept}


def interactive_data(
    reconstruction: Mapping[str, FinishedRun],
    colorization: Mapping[str, FinishedRun],
    studies: Mapping[str, Analysis],
    images: RunImages,
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Return what the page shows on demand, and what cannot be shown.

    Args:
        reconstruction: Reconstructing runs by name.
        colorization: Colorizing runs by name.
        studies: Analyses of studies by name.
        images: Images and networks of the runs.

    Returns:
        Plain values, cards of ``tasks``, ``codes`` and ``studies``; and sentences.
    """
    tasks, problems = picture_tasks(reconstruction, colorization, images)
    # The reference network is the one that readers know best.
    runs = dict(sorted(reconstruction.items(), key=lambda item: item[0] != BASE))
    try:
        codes = code_maps(runs, images)
    except InputError as error:
        codes, problems = [], [*problems, f"Interactive pictures, code: {error}"]
    points = [{"name": name, "points": study_points(each)} for name, each in studies.items()]
    shown = [study for study in points if study["points"]]
    return {"tasks": tasks, "codes": codes, "studies": shown}, problems


def picture_tasks(
    reconstruction: Mapping[str, FinishedRun],
    colorization: Mapping[str, FinishedRun],
    images: RunImages,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the pictures of both tasks as plain values, and what could not be shown.

    A task has ``title``, ``side``, ``labels``, the sprites ``truth`` and ``given`` (PNG data URIs,
    the images side by side), and ``networks`` with ``name``, ``text``, ``mse`` of each image,
    ``test`` and ``sprite``.

    Args:
        reconstruction: Reconstructing runs by name.
        colorization: Colorizing runs by name.
        images: Images and networks of the runs.
    """
    tasks, problems = [], []
    count = len(reconstruction) + len(colorization)
    for title, runs in (
        ("reconstruction", reconstruction),
        ("colorization", colorization),
    ):
        if runs:
            task, found = _task(title, runs, images, share=count)
            tasks += [task] if task["networks"] else []
            problems += [f"Interactive pictures, {title}: {problem}" for problem in found]
    return tasks, problems


def _task(
    title: str, runs: Mapping[str, FinishedRun], images: RunImages, *, share: int
) -> tuple[dict[str, Any], list[str]]:
    """Return a task, with the networks that can be shown, and why others cannot."""
    first = next(iter(runs.values()))
    side = first.images[1]
    # All sprites share the budget of bytes: one a network, and two a task for truth and input.
    count = max(3, min(MAX_IMAGES, MAX_BYTES // (3 * side**2 * (share + 2))))
    task: dict[str, Any] = {"title": title, "side": side, "networks": []}
    problems = []
    for name, run in runs.items():
        try:
            if run.images != first.images:
                raise InputError(f"{run.name} was measured on other test images than {first.name}.")
            positions = choose_images(first, count)
            pictures = images.pictures(run, positions)
            mse = run.measures["mse"][positions].tolist()
        except InputError as error:
            problems.append(str(error))
            continue
        if not task["networks"]:
            task["labels"] = _labels(first, images, positions)
            task["truth"] = sprite(pictures["target"])
            task["given"] = sprite(pictures["degraded"]) if first.degradation == "gray" else None
        network = {"name": name, "text": run.description.text, "mse": mse, "test": run.mse}
        task["networks"].append({**network, "sprite": sprite(pictures["estimate"])})
    return task, [*dict.fromkeys(problems)]


def code_maps(runs: Mapping[str, FinishedRun], images: RunImages) -> list[dict[str, Any]]:
    """Return a few test images decoded without each channel of their code.

    A card has ``name``, ``side``, ``labels``, ``channels``, ``map_side``, the sprites ``truth``,
    ``estimate``, ``maps`` (the channels of one image after those of another) and ``zeroed`` (one
    for each image), and the errors ``mse`` and ``zeroed_mse``.

    Args:
        runs: Runs by name; the first whose code is a bottleneck of few channels is shown.
        images: Images and networks of the runs.

    Returns:
        One card; none where there is no such run.

    Raises:
        InputError: The images or the weights cannot be had.
    """
    for name, run in runs.items():
        code, side = run.description.code, run.images[1]
        if code is None or run.description.skip_around_code:
            continue
        channels, height, width = code.shape
        count = min(MAX_CODES, MAX_CODE_BYTES // (3 * side**2 * channels))
        if height == width and count:
            return [{"name": name, **_code_card(run, images, choose_images(run, count))}]
    return []


def _code_card(run: FinishedRun, images: RunImages, positions: np.ndarray) -> dict[str, Any]:
    pixels, inference = images.part(run).at(positions), Inference(images.model(run))
    with restoring(inference.model):
        truth = pixels.batch(slice(None))
        codes = inference.encode(truth)
        channels = codes.shape[1]
        # One copy of each code for each of its channels, without that channel.
        kept = 1 - torch.eye(channels)[..., None, None]
        decoded = [inference.decode(torch.cat([code[None], code * kept])) for code in codes]
    errors = [squared_error(each, one[None]) for each, one in zip(decoded, truth, strict=True)]
    low, high = channel_ranges(codes)
    maps = ((codes - low) / (high - low).clamp_min(1e-12)).flatten(0, 1)[:, None]
    return {
        "side": truth.shape[-1],
        "labels": _labels(run, images, positions),
        "channels": channels,
        "map_side": codes.shape[-1],
        "truth": sprite(truth.numpy()),
        "estimate": sprite(torch.stack([each[0] for each in decoded]).numpy()),
        "maps": sprite(maps.expand(-1, 3, -1, -1).numpy()),
        "zeroed": [sprite(each[1:].numpy()) for each in decoded],
        "mse": [float(each[0]) for each in errors],
        "zeroed_mse": [each[1:].tolist() for each in errors],
    }


def _labels(run: FinishedRun, images: RunImages, positions: np.ndarray) -> list[str]:
    """Return the classes of test images; empty texts where they have none."""
    labels, classes = images.part(run).labels, images.load(run).classes
    return ["" if labels is None else classes[labels[position]] for position in positions]


def sprite(images: np.ndarray) -> str:
    """Return images ``float32 (K, 3, H, W)`` in [0, 1] side by side as the data URI of a PNG."""
    pixels = np.concatenate(list(images.transpose(0, 2, 3, 1)), axis=1)
    file = io.BytesIO()
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def study_points(analysis: Analysis) -> list[dict[str, Any]]:
    """Return the networks of a study as plain values, for the plot with names on its points."""
    return [
        {
            **{name: getattr(each, name) for name in _POINT},
            "mse": each.mse.estimate,
            "seeds": each.mse.n,
        }
        for each in analysis.measured
    ]
