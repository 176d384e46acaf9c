"""Add the model of a finished run to the models that ship with caelab."""

import copy
import re
import shlex
from pathlib import Path
from typing import Any

import torch

from caelab.data.size import sides
from caelab.errors import InputError
from caelab.experiments.config import OPTIONS, RunConfig
from caelab.experiments.run_directory import RunDirectory, read_config
from caelab.files import read_arrays, temporary_folder, to_json, write_text
from caelab.models.card import ModelCard
from caelab.models.image_model import ImageModel
from caelab.models.weights_file import load_model, save_model
from caelab.pictures import model_files
from caelab.pictures.export import export_onnx
from caelab.pictures.model_files import ShippedModel
from caelab.pictures.open_model import command_for

MAX_BYTES = 25_000_000
"""Largest size of all shipped models together, in bytes."""

MAX_ROUNDING = 0.5 / 255
"""Largest change of a pixel in [0, 1] that weights of 16 bits may cause: half an 8-bit level."""

SAMPLE = 256
"""Number of first test images whose mean error is on the card, so that a test can check it."""

ENVIRONMENT = (
    "caelab",
    "commit",
    "python",
    "torch",
    "numpy",
    "processor",
    "threads",
    "device",
    "precision",
)
"""Keys of a run's ``environment.json`` that the card keeps."""

LIMITS = {
    "reconstruct": "Fine detail is lost: {values:,} numbers hold an image of {size} pixels.",
    "denoise": (
        "Made for {degradation}; noise of another kind or strength is removed less, or detail is"
        " removed with the noise."
    ),
    "restore": ("Made for {degradation}; other damage is repaired little, or becomes worse."),
    "colorize": (
        "Colors are plausible, not true: where many colors are possible, they tend to brown and"
        " gray, and small objects take the color of their surroundings."
    ),
}
"""Sentence of the card about the limits of a model, by the command that uses the model."""


def publish(run: Path, name: str, *, onnx: bool = True, force: bool = False) -> ShippedModel:
    """Add a run's model to the shipped models, with weights of 16 bits if that changes no image.

    The card holds the run's configuration under ``config``, as a run's ``config.json`` does, so
    that the model can be trained again from its card.

    Args:
        run: Directory of a finished run.
        name: Name of the model: lower-case letters, digits and hyphens.
        onnx: Also write an ONNX file, which refers to the weights file.
        force: Replace a shipped model of the same name.

    Raises:
        InputError: The run is not finished, the name is malformed or taken, or the shipped models
            would exceed 25 MB.
    """
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name):
        raise InputError(
            f"'{name}' cannot be the name of a model. Use lower-case letters, digits and hyphens,"
            " such as best-64."
        )
    directory = RunDirectory(run)
    directory.require_finished()
    target = model_files.FOLDER / f"{name}.safetensors"
    if target.exists() and not force:
        raise InputError(f"a model called {name} ships already; `force` replaces it.")
    model, model_card = load_model(directory.weights, torch.device("cpu"))
    model, dtype = _rounded(model, model_card)
    card = _card(directory, name)
    model_files.FOLDER.mkdir(parents=True, exist_ok=True)
    # All files are completed in a temporary folder before any file is moved, so that an error while
    # writing does not change the shipped models. The temporary folder is inside their folder, so
    # that a move is only a rename.
    with temporary_folder(model_files.FOLDER) as folder:
        weights = folder / target.name
        save_model(weights, model, model_card, dtype=dtype)
        if onnx:
            export_onnx(model, weights.with_suffix(".onnx"), card=model_card, weights=weights)
        _require_room(target, weights.parent)
        for file in weights.parent.iterdir():
            file.replace(model_files.FOLDER / file.name)
    # An ONNX file refers to the weights beside it, so an old one would not fit the new weights.
    if not onnx:
        target.with_suffix(".onnx").unlink(missing_ok=True)
    write_text(target.with_suffix(".json"), to_json(card))
    return ShippedModel(name=name, weights=target, card=card)


def _rounded(model: ImageModel, card: ModelCard) -> tuple[ImageModel, torch.dtype]:
    """Return the model with weights of 16 bits if that changes no image, and the weights' type."""
    rounded = copy.deepcopy(model)
    for parameter in rounded.parameters():
        # A model that is loaded from a file of 16 bits also computes in 32 bits.
        parameter.data = parameter.data.half().float()
    images = torch.rand(16, len(card.mean), *card.sides, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        change = float((rounded.restore(images) - model.restore(images)).abs().max())
    return (rounded, torch.float16) if change <= MAX_ROUNDING else (model, torch.float32)


def _card(directory: RunDirectory, name: str) -> dict[str, Any]:
    config, result = read_config(directory.path), directory.read_result()
    data = result["data"]
    environment = directory.read(directory.environment)
    errors = read_arrays(directory.per_image)["mse"][:SAMPLE]
    # Paths are private. Only the built-in data can be found again by name.
    published = config.without_paths(data if data in ("cifar10", "photos") else "auto")
    return {
        "config": published.model_dump(mode="json"),
        "name": name,
        "network": result["network"],
        "code_size": result["code_size"],
        "weights": result["weights"],
        "degradation": str(config.degradation),
        "target": config.target.kind,
        "trained_on": f"{result['images']['train']:,} images of {data}",
        "command": train_command(published),
        "test": result["test"],
        "baselines": result["baselines"],
        "sample": {"images": len(errors), "mse": float(errors.mean())},
        "limits": _limits(result, config),
        "license": "Apache-2.0",
        "environment": {key: environment.get(key) for key in ENVIRONMENT},
    }


def train_command(config: RunConfig) -> str:
    """Return the command that trains ``config``, with options for values that are not defaults."""
    words = ["caelab", "train", config.network_name, "--data", config.data.source]
    tta = []
    for name, value in config.changes().items():
        if name.startswith("tta_"):
            # Test-time augmentation is off by default, so a changed value switches one kind on.
            tta.append(name.removeprefix("tta_") + ("" if value is True else str(value)))
        elif name not in ("network", "data", "start_fingerprint"):
            word = OPTIONS.get(name, name).replace("_", "-")
            flag = f"--{'no-' if value is False else ''}{word}"
            words += [flag] if isinstance(value, bool) else [flag, str(value)]
    return shlex.join([*words, *(["--tta", ",".join(tta)] if tta else [])])


def _limits(result: dict[str, Any], config: RunConfig) -> str:
    of_task = LIMITS[command_for(config.degradation)].format(
        values=result["narrowest_size"],
        size="{}×{}".format(*sides(config.data.size)),
        degradation=config.degradation,
    )
    learned = (
        f"Learned from {'×'.join(map(str, config.data.shape[1:]))} images of {result['data']} alone"
    )
    classes = (
        ", photographs of ten classes of animals and vehicles"
        if result["data"] == "cifar10"
        else ""
    )
    return f"{learned}{classes}; other subjects come out less well. {of_task}"


def _require_room(target: Path, made: Path) -> None:
    """Raise if the files in ``made`` and the other shipped models together exceed ``MAX_BYTES``."""
    others = [file for file in target.parent.glob("[!.]*") if file.stem != target.stem]
    total = sum(file.stat().st_size for file in (*others, *made.iterdir()))
    if total > MAX_BYTES:
        raise InputError(
            f"with {target.stem}, all models together would take {total / 1e6:.1f} MB, and the"
            f" limit is {MAX_BYTES / 1e6:.0f} MB. Leave out its ONNX file (`onnx`), or choose a"
            " smaller network."
        )
