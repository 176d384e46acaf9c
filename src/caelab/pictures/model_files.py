"""What people name as a model → the file that holds it: a model that ships, a run directory, a
file. No torch.
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caelab.errors import InputError
from caelab.files import read_json
from caelab.pictures.picture import printable

FOLDER = Path(__file__).parents[1] / "weights"
"""Of the models that ship: ``NAME.safetensors``, ``NAME.json`` (the card) and ``NAME.onnx`` of
each."""

RUN_WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, kw_only=True)
class ShippedModel:
    """A model that comes with the package.

    Attributes:
        name: What it is called.
        weights: The file, with the network's text and the normalisation in its metadata.
        card: What people should know: what it was trained on and how, its errors beside the
            baselines', its limits.
    """

    name: str
    weights: Path
    card: dict[str, Any]


def shipped_models() -> dict[str, ShippedModel]:
    """Return the models that ship, by name, sorted; numbers in names by their value.

    Raises:
        InputError: A card is damaged.
    """
    files = sorted(FOLDER.glob("*.safetensors"), key=_by_number)
    return {
        file.stem: ShippedModel(
            name=file.stem, weights=file, card=read_json(file.with_suffix(".json"))
        )
        for file in files
    }


def _by_number(file: Path) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", file.stem)
    ]


def find_model(name_or_path: str | Path) -> Path:
    """Return the file of a model that ships, of a run, or the file itself.

    A name goes before a folder of the same name; ``./NAME`` is the folder.

    Raises:
        InputError: There is none of that name; near names are told.
    """
    shipped = shipped_models()
    if (given := str(name_or_path)) in shipped:
        return shipped[given].weights
    path = Path(name_or_path)
    if path.is_dir():
        if not (path / RUN_WEIGHTS).is_file():
            raise InputError(
                f"{printable(given)} is no finished run: it holds no {RUN_WEIGHTS}. Train it first."
            )
        return path / RUN_WEIGHTS
    if path.is_file():
        return path
    near = difflib.get_close_matches(given, shipped, n=2)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    known = (
        f"These ship: {', '.join(shipped)}." if shipped else "None ship with this copy of caelab."
    )
    raise InputError(
        f"there is no model '{printable(given)}'.{hint} {known} "
        "A run directory, a weights file or an ONNX file is a model too."
    )
