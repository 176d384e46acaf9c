"""Data of the report's interactive part: test images through each network, points of a study.

Everything is computed beforehand; the page only chooses what to show.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from caelab.data.image_set import evenly_spaced
from caelab.errors import InputError
from caelab.report.architectures import Analysis
from caelab.report.run_images import RunImages, choose_images
from caelab.report.run_reader import FinishedRun

MAX_IMAGES, MAX_NETWORKS = 12, 10

MAX_BYTES = 3_000_000
"""Bytes of all embedded pixels before they are compressed."""

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
        ("Reconstruction", reconstruction),
        ("Colors for gray images", colorization),
    ):
        if runs:
            task, found = _task(title, runs, images, share=count)
            tasks += [task] if task["networks"] else []
            problems += [f"{title}, interactive pictures: {problem}" for problem in found]
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
            labels, classes = images.part(first).labels, images.load(first).classes
            task["labels"] = [
                "" if labels is None else classes[labels[position]] for position in positions
            ]
            task["truth"] = sprite(pictures["target"])
            task["given"] = sprite(pictures["degraded"]) if first.degradation == "gray" else None
        network = {"name": name, "text": run.description.text, "mse": mse, "test": run.mse}
        task["networks"].append({**network, "sprite": sprite(pictures["estimate"])})
    return task, [*dict.fromkeys(problems)]


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
