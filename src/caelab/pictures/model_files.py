"""Find the file of a model by its name or path, without importing PyTorch."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caelab.errors import InputError, printable, suggestion
from caelab.files import read_json

FOLDER = Path(__file__).parents[1] / "weights"
"""Folder of the shipped models. Each model has the files ``NAME.safetensors``, ``NAME.json`` (the
card) and ``NAME.onnx``."""

RUN_WEIGHTS = "weights.safetensors"
"""Name of the file with the weights in a run directory."""


@dataclass(frozen=True, kw_only=True)
class ShippedModel:
    """A model that comes with the package.

    Attributes:
        name: Name of the model.
        weights: Safetensors file with the weights; its metadata describe the network.
        card: Facts for users, such as the training data, the command that trained the model, the
            errors of the model and of baselines, and limits.
    """

    name: str
    weights: Path
    card: dict[str, Any]


def shipped_models() -> dict[str, ShippedModel]:
    """Return the shipped models by name, sorted so that ``best-64`` comes before ``best-128``.

    Raises:
        InputError: A card is damaged.

    >>> list(shipped_models())[:2]
    ['best-64', 'best-128']
    """

    def by_number(file: Path) -> list[int | str]:
        # Text and digits alternate, so that a number is never compared with a text.
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.stem)]

    return {
        file.stem: ShippedModel(
            name=file.stem, weights=file, card=read_json(file.with_suffix(".json"))
        )
        for file in sorted(FOLDER.glob("*.safetensors"), key=by_number)
    }


def find_model(name_or_path: str | Path) -> Path:
    """Return the weights file of a shipped model or of a run directory, or the named file itself.

    The name of a shipped model takes precedence over a folder with this name; ``./NAME`` means the
    folder.

    Raises:
        InputError: There is no such model; the message names similar models.

    >>> find_model("reference").name
    'reference.safetensors'
    """
    # Shipped models come first, so that a run directory with the same name in the working directory
    # does not change what a command does.
    shipped = shipped_models()
    name = str(name_or_path)
    if name in shipped:
        return shipped[name].weights
    path = Path(name_or_path)
    # For a name that is too long for a path, `os.path` returns False, and `Path` would raise an
    # error.
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
        f"The shipped models are {', '.join(shipped)}."
        if shipped
        else "No models ship with this copy of caelab."
    )
    raise InputError(
        f"there is no model '{printable(name)}'.{hint} {known} "
        "You can also name the path of a run directory, of a weights file or, for pictures, of an"
        " ONNX file."
    )


def photograph_settings(file: Path) -> dict[str, Any]:
    """Return the best settings of a shipped model for photographs, which its card states.

    Returns:
        Values of ``scales`` and ``saturation`` for a
        :class:`caelab.pictures.backends.base.PictureModel`; empty if the card has none or the model
        is not shipped.

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
