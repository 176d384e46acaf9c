"""Data of the report's interactive part: test images through each network, points of a study.

Everything is computed beforehand; the page only chooses what to show.
"""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from caelab.data.image_set import evenly_spaced
from caelab.errors import InputError
from caelab.experiments.study import BASE
from caelab.metrics.image_metrics import squared_error
from caelab.models.inference import Inference, restoring
from caelab.plotting import to_rgb
from caelab.report.architectures import Analysis, Architecture
from caelab.report.run_images import RunImages, choose_images
from caelab.report.run_reader import FinishedRun

MAX_IMAGES, MAX_NETWORKS = 12, 10

MAX_BYTES = 3_000_000
"""Bytes of all embedded pixels before they are compressed."""

MAX_CODES, MAX_CODE_BYTES = 4, 1_500_000
"""Images whose code is shown, and bytes of the pixels of each of them without each channel."""

_POINT = (
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
        keep: Names of runs that are always chosen; the others are evenly spaced from the best
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
    *,
    label: Callable[[str], str] = str,
) -> tuple[dict[str, list[dict[str, Any]]], list[tuple[str, str]]]:
    """Return what the page shows on demand, and what cannot be shown.

    Args:
        reconstruction: Reconstructing runs by name.
        colorization: Colorizing runs by name.
        studies: Analyses of studies by name.
        images: Images and networks of the runs.
        label: Returns the words of a language for the name of a network or of a class.

    Returns:
        Plain values for the cards ``tasks``, ``codes`` and ``studies``; and pairs of what cannot be
        shown, the title of a card or ``codes``, and the reason.
    """
    tasks: list[dict[str, Any]] = []
    codes: list[dict[str, Any]] = []
    problems: list[tuple[str, str]] = []
    # All sprites share the budget: one for each network, and two for each task (truth and input).
    share = len(reconstruction) + len(colorization) + 2
    for title, runs in (("reconstruction", reconstruction), ("colorization", colorization)):
        networks: list[dict[str, Any]] = []
        shared: dict[str, Any] = {}
        for name, run in runs.items():
            try:
                shared, network = _through_network(run, next(iter(runs.values())), images, share)
                networks.append({"name": label(name), **network})
            except InputError as error:
                problems.append((title, str(error)))
        tasks += [{"title": title, **shared, "networks": networks}] if networks else []
    # The reference network is the one that readers know best.
    for name in sorted(reconstruction, key=lambda name: name != BASE):
        if not codes and (count := _code_count(reconstruction[name])):
            try:
                card = _code_card(reconstruction[name], images, count)
                codes.append({"name": label(name), **card})
            except InputError as error:
                problems.append(("codes", str(error)))
    for card in (*tasks, *codes):
        card["labels"] = [*map(label, card["labels"])]
    shown = [
        {"name": label(name), "points": [_point(each, label) for each in analysis.measured]}
        for name, analysis in studies.items()
        if analysis.measured
    ]
    return {"tasks": tasks, "codes": codes, "studies": shown}, [*dict.fromkeys(problems)]


def _through_network(
    run: FinishedRun, first: FinishedRun, images: RunImages, share: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a task's networks have in common, and what one of them makes of its images."""
    # Networks are compared image by image.
    if run.images != first.images:
        raise InputError(f"{run.name} was measured on other test images than {first.name}.")
    positions = choose_images(
        first, max(3, min(MAX_IMAGES, MAX_BYTES // (_pixel_bytes(run) * share)))
    )
    pictures = images.pictures(run, positions)
    shared = {
        "labels": _labels(run, images, positions),
        "truth": sprite(pictures["target"]),
        "given": sprite(pictures["degraded"]) if run.degradation == "gray" else None,
    }
    return shared, {
        "text": run.description.text,
        "mse": run.measures["mse"][positions].tolist(),
        "test": run.mse,
        "sprite": sprite(pictures["estimate"]),
    }


def _pixel_bytes(run: FinishedRun) -> int:
    _, height, width = run.config.data.shape
    return 3 * height * width


def _code_count(run: FinishedRun) -> int:
    """Return the number of images whose code is shown; 0 if the code is no bottleneck."""
    code = run.description.code
    if code is None or run.description.skip_around_code:
        return 0
    # An image is decoded once for each channel of its code, so with many channels few images fit.
    return min(MAX_CODES, MAX_CODE_BYTES // (_pixel_bytes(run) * code.shape[0]))


def _code_card(run: FinishedRun, images: RunImages, count: int) -> dict[str, Any]:
    """Return a few test images, their codes, and what is decoded without each channel.

    The sprite ``maps`` has the channels of all images, image by image. ``decoded`` has a sprite for
    each image, which begins with the image that the whole code gives.
    """
    positions = choose_images(run, count)
    inference = Inference(images.model(run))
    with restoring(inference.model):
        truth = images.part(run).at(positions).batch(slice(None))
        codes = inference.encode(truth)
        # For each channel, one copy of the code without that channel.
        kept = 1 - torch.eye(codes.shape[1])[..., None, None]
        decoded = [inference.decode(torch.cat([code[None], code * kept])) for code in codes]
    # Each channel is shown from its own smallest value, black, to its own largest, white.
    low, high = (limit(codes, (0, 2, 3), keepdim=True)[0] for limit in (torch.amin, torch.amax))
    maps = ((codes - low) / (high - low).clamp_min(1e-12)).flatten(0, 1)[:, None]
    return {
        "labels": _labels(run, images, positions),
        "truth": sprite(truth.numpy()),
        "maps": sprite(maps.numpy()),
        "decoded": [sprite(each.numpy()) for each in decoded],
        "mse": [
            squared_error(each, one[None]).tolist()
            for each, one in zip(decoded, truth, strict=True)
        ],
    }


def _labels(run: FinishedRun, images: RunImages, positions: np.ndarray) -> list[str]:
    """Return the classes of test images; empty texts where they have none."""
    labels, classes = images.part(run).labels, images.load(run).classes
    return ["" if labels is None else classes[labels[position]] for position in positions]


def sprite(images: np.ndarray) -> str:
    """Return images ``float32 (K, C, H, W)`` in [0, 1] side by side as the data URI of a PNG."""
    # One picture for all images: the page cuts out the square that it shows.
    height, width = images.shape[2:]
    high, wide = (max(height, width) - side for side in (height, width))
    cells = np.pad(
        to_rgb(images),
        ((0, 0), (0, 0), (high // 2, high - high // 2), (wide // 2, wide - wide // 2)),
        constant_values=1,
    )
    pixels = np.concatenate(list(cells.transpose(0, 2, 3, 1)), axis=1)
    file = io.BytesIO()
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _point(network: Architecture, label: Callable[[str], str]) -> dict[str, Any]:
    """Return a network as plain values, for the plot with names on its points."""
    shown = {name: getattr(network, name) for name in _POINT} | {"label": label(network.label)}
    return {**shown, "mse": network.mse.estimate, "seeds": network.mse.n}
