"""Find the file of a model by its name or path: shipped, of a run, or any other; without torch."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caelab.errors import InputError, printable, suggestion
from caelab.files import read_json

FOLDER = Path(__file__).parents[1] / "weights"
"""Folder of the shipped models: ``NAME.safetensors``, ``NAME.json`` (the card) and ``NAME.onnx`` of
each."""

RUN_WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, kw_only=True)
class ShippedModel:
    """A model that comes with the package.

    Attributes:
        name: Name of the model.
        weights: File with the weights, whose metadata describe the network.
        card: What users should know: training data and command, errors of the model and the
            baselines, limits.
    """

    name: str
    weights: Path
    card: dict[str, Any]


def shipped_models() -> dict[str, ShippedModel]:
    """Return the shipped models by name, sorted, numbers in names by their value.

    Raises:
        InputError: A card is damaged.

    >>> list(shipped_models())[:2]
    ['best-64', 'best-128']
    """

    def by_number(file: Path) -> list[int | str]:
        # Text and digits take turns, so that a number is never compared with a text.
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.stem)]

    return {
        file.stem: ShippedModel(
            name=file.stem, weights=file, card=read_json(file.with_suffix(".json"))
        )
        for file in sorted(FOLDER.glob("*.safetensors"), key=by_number)
    }


def find_model(name_or_path: str | Path) -> Path:
    """Return the file of a shipped model, of a run, or the file itself.

    A shipped model's name takes precedence over a folder of that name; ``./NAME`` is the folder.

    Raises:
        InputError: There is none; the message names similar models.

    >>> find_model("reference").name
    'reference.safetensors'
    """
    # Shipped models first, so that a run directory of that name in the working directory does not
    # change what a command does.
    shipped = shipped_models()
    name = str(name_or_path)
    if name in shipped:
        return shipped[name].weights
    path = Path(name_or_path)
    # These say no of a name that is too long for a path, where those of `Path` raise.
    if os.path.isdir(path):  # noqa: PTH112
        if not (path / RUN_WEIGHTS).is_file():
            raise InputError(
                f"{printable(name)} is no finished run: it holds no {RUN_WEIGHTS}. Train it first."
            )
        return path / RUN_WEIGHTS
    if os.path.isfile(path):  # noqa: PTH113
        return path
    hint = suggestion(name, shipped, most=2)
    known = (
        f"These ship: {', '.join(shipped)}." if shipped else "None ship with this copy of caelab."
    )
    raise InputError(
        f"there is no model '{printable(name)}'.{hint} {known} "
        "The path of a run directory or of a weights file is a model, too; commands for pictures"
        " also take an ONNX file."
    )


def photograph_settings(file: Path) -> dict[str, Any]:
    """Return how a shipped model is best used for photographs, as its card says.

    Returns:
        The ``scales`` and the ``saturation`` of a
        :class:`caelab.pictures.backends.base.PictureModel`; nothing for any other model.

    >>> photograph_settings(find_model("denoise"))
    {}
    """
    card = file.with_suffix(".json")
    if file.parent != FOLDER or not card.is_file():
        return {}
    measured = read_json(card).get("photographs")
    if not measured:
        return {}
    return {"scales": tuple(measured["scales"]), "saturation": measured["saturation"]}
