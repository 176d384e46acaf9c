"""Data of the report's interactive part: outputs of networks for test images, points of plots.

The two tasks are reconstruction and colorization. Everything is computed when the report is
written, and the page only chooses what to show. A sprite is one PNG with several images side by
side.
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
"""Largest number of test images, and of networks, for each task."""

MAX_BYTES = 3_000_000
"""Bytes, before compression, that the images of both tasks may take. At least three test images are
shown for each task, even if they exceed this limit."""

MAX_CODES, MAX_CODE_BYTES = 4, 1_500_000
"""Largest number of images whose code is shown, and bytes, before compression, that the decoder's
outputs may take for all of these images. For each channel of the code, the page shows the output of
the decoder when this channel is 0."""

_POINT = (
    "network",
    "code_size",
    "narrowest",
    "weights",
    "multiply_accumulates",
    "seconds_per_epoch",
)
"""Attributes of a network that the page shows for its point in a plot."""


def choose_networks(
    named: Mapping[str, FinishedRun], *, keep: Sequence[str] = ()
) -> dict[str, FinishedRun]:
    """Return at most ``MAX_NETWORKS`` runs by rising error.

    Args:
        named: Runs by name.
        keep: Names of runs that are chosen first. The remaining places go to other runs, evenly
            spaced from the smallest error to the largest.
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
    """Return the data of the interactive part, and the reasons why some of it is missing.

    Args:
        reconstruction: Runs that reconstruct images, by name.
        colorization: Runs that color gray images, by name.
        studies: Analyses of studies by name.
        images: Loads the images and networks of the runs.
        label: Function that translates the name of a network or class into the report's language.

    Returns:
        Values for JSON under ``tasks``, ``codes`` and ``studies``. The second result has a pair for
        each missing part: its name (``reconstruction``, ``colorization`` or ``codes``), and the
        reason.
    """
    tasks: list[dict[str, Any]] = []
    codes: list[dict[str, Any]] = []
    problems: list[tuple[str, str]] = []
    # `MAX_BYTES` is shared by the outputs of each network, the true images of both tasks, and the
    # gray inputs.
    share = len(reconstruction) + len(colorization) + 3
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
    # The study's base network comes first, because readers know this network best.
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
    """Return the data that all networks of a task share, and the data of one network."""
    # The page shows outputs of several networks for the same image next to each other.
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
    """Return the number of images whose code is shown; 0 if the network has no bottleneck code."""
    code = run.description.code
    if code is None or run.description.skip_around_code:
        return 0
    # An image has an output for its whole code and one for each channel of the code, so with many
    # channels few images fit.
    return min(MAX_CODES, MAX_CODE_BYTES // (_pixel_bytes(run) * (1 + code.shape[0])))


def _code_card(run: FinishedRun, images: RunImages, count: int) -> dict[str, Any]:
    """Return test images, their codes, and the decoder's outputs for whole and changed codes.

    The sprite ``maps`` has the channels of all codes, image by image. ``decoded`` has a sprite for
    each image: first the decoder's output for the whole code, then its outputs when one channel
    after the other is set to 0.
    """
    positions = choose_images(run, count)
    inference = Inference(images.model(run))
    with restoring(inference.model):
        truth = images.part(run).at(positions).batch(slice(None))
        codes = inference.encode(truth)
        # Each row sets another channel of the code to 0.
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
    """Return the class of each test image; empty texts if the images have no classes."""
    labels, classes = images.part(run).labels, images.load(run).classes
    return ["" if labels is None else classes[labels[position]] for position in positions]


def sprite(images: np.ndarray) -> str:
    """Return images ``float32 (K, C, H, W)`` in [0, 1] side by side as the data URI of a PNG."""
    # The page cuts squares out of the PNG, so images that are not square get a white border.
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
    """Return what the page shows for a network's point in a plot, as values for JSON."""
    shown = {name: getattr(network, name) for name in _POINT} | {"label": label(network.label)}
    return {**shown, "mse": network.mse.estimate, "seeds": network.mse.n}
