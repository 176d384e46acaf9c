"""Tasks and options of the view "Restore", and the models for each task."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from caelab.app.fields import read_number
from caelab.app.found_runs import find_runs
from caelab.degrade.degradation import Degradation, parse_degradation
from caelab.errors import InputError, printable
from caelab.pictures.backends.base import PictureModel
from caelab.pictures.batch import Process
from caelab.pictures.colorize import colorize
from caelab.pictures.fill import Mask, fill
from caelab.pictures.model_files import shipped_models
from caelab.pictures.open_model import command_for
from caelab.pictures.restore import Strength, restore
from caelab.processors import default_threads

TASKS = {
    "colorize": "Color gray pictures",
    "denoise": "Remove noise",
    "restore": "Undo blur, reduction or compression",
    "fill": "Fill holes",
    "reconstruct": "Show what an autoencoder keeps",
}
"""Titles of the tasks by name. The names are those of commands, except ``fill``, which means
``caelab restore`` with a model for missing pixels."""

TRAINABLE = {"restore": "blur1.5", "fill": "mask0.25"}
"""Degradation that the page suggests to train for, if there is no model for a task."""

MAX_RESULTS = 8
"""Largest number of colorings of a picture, and of strengths of the colors."""

MEASURED_TASKS = ("colorize", "reconstruct")
"""Tasks whose results can be compared with the truth, which is the picture itself."""


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """Choices of a user in the form.

    Attributes:
        task: Name of the task.
        model: Name or path of the model.
        saturations: Factors of the colors; each gives a result. ``None`` is the model's own factor.
        scales: Shorter sides, in pixels, at which a colorizer sees a picture; ``None`` for the
            model's own.
        variants: Number of colorings of each picture; 0 for the most likely coloring only.
        compared: True measures errors against the picture itself.
        strength: Share of the model's change in the result, in [0, 1]; ``"auto"`` measures the
            noise of each picture and chooses the share.
        mask: Pixels to fill, ``bool (H, W)``; ``None`` fills transparent pixels.
    """

    task: str
    model: str
    saturations: tuple[float | None, ...] = (None,)
    scales: tuple[int, ...] | None = None
    variants: int = 0
    compared: bool = False
    strength: Strength = 1.0
    mask: Mask | None = None

    @property
    def results(self) -> int:
        """Number of results for each picture."""
        return len(self.saturations) * max(1, self.variants)

    def processes(self, model: PictureModel) -> list[tuple[str, Process]]:
        """Return the title of each result of a picture, and the function that computes it.

        Args:
            model: Model that the user has chosen.

        Raises:
            InputError: The user wants several colorings, but the model has only one.
        """
        models = [model]
        if self.variants:
            models = [model.variant(number, 0) for number in range(self.variants)]
        return [
            (
                "Coloring"
                + f" {number}" * (len(models) > 1)
                + f", strength {factor}" * bool(factor),
                self._process(each, factor),
            )
            for number, each in enumerate(models, 1)
            for factor in self.saturations
        ]

    def _process(self, model: PictureModel, saturation: float | None) -> Process:
        if self.task == "colorize":
            return partial(
                colorize,
                model,
                scales=self.scales,
                saturation=saturation,
                threads=default_threads(),
            )
        if self.mask is not None:
            return partial(fill, model, mask=self.mask)
        return partial(restore, model, strength=self.strength)


def task_of(degradation: Degradation) -> str:
    """Return the task for which a model is, from the degradation that it undoes.

    >>> task_of(parse_degradation("mask0.25")), task_of(parse_degradation("blur1.5"))
    ('fill', 'restore')
    """
    command = command_for(degradation)
    return "fill" if command == "restore" and degradation.marks_missing else command


def models_for(task: str, runs: Path) -> dict[str, bool]:
    """Return the models for a task.

    Args:
        task: Name of the task.
        runs: Folder of runs.

    Returns:
        Names of shipped models and paths of runs. The value is true if the model can give several
        plausible results for a picture.
    """
    known = {
        name: (str(model.card["degradation"]), model.card["target"])
        for name, model in shipped_models().items()
    }
    for run in find_runs(runs):
        if run.state == "finished" and run.config is not None:
            path = str(run.directory.path)
            known[path] = (str(run.config.degradation), run.config.target.kind)
    return {
        name: target == "bins"
        for name, (degradation, target) in known.items()
        if task_of(parse_degradation(degradation)) == task
    }


def require_known(task: str) -> None:
    """Raise unless there is a task with this name.

    Raises:
        InputError: There is no such task.
    """
    if task not in TASKS:
        raise InputError(f"there is no task {printable(task)!r}. Choose one from the list.")


def read_options(form: Mapping[str, Any], runs: Path) -> Restoration:
    """Read the fields of the form, except the mask, which is a file.

    Args:
        form: Texts of the fields by their names.
        runs: Folder of runs.

    Raises:
        InputError: A value is wrong; the message names the field.
    """
    task = str(form.get("task") or "colorize")
    require_known(task)
    models = models_for(task, runs)
    model = str(form.get("model") or (task if task in models else next(iter(models), "")))
    if model not in models:
        raise InputError(f"there is no model {printable(model)!r} for this task.")
    scales = str(form.get("scales") or "")
    found = tuple(int(part) for part in re.findall(r"\d{1,4}", scales))
    if scales and not (found and all(1 <= scale <= 1024 for scale in found)):
        raise InputError("Scales: give numbers of pixels from 1 to 1024, such as 32 or 32,64.")
    strength = read_number(form, "strength", 0, 1)
    saturations = re.split(r"[,;\s]+", str(form.get("saturation") or "").strip())
    if len(saturations) > MAX_RESULTS:
        raise InputError(f"Saturation: give at most {MAX_RESULTS} numbers.")
    variants = int(read_number(form, "variants", 0, MAX_RESULTS) or 0) if task == "colorize" else 0
    if variants and not models[model]:
        raise InputError(
            f"the model {printable(model)} gives only one coloring. Choose another model."
        )
    return Restoration(
        task=task,
        model=model,
        saturations=tuple(
            read_number({"saturation": each}, "saturation", 0, 10) for each in saturations
        ),
        scales=found or None,
        variants=variants,
        compared=bool(form.get("compared")) and task in MEASURED_TASKS,
        strength=_strength(task, strength, measured=bool(form.get("auto"))),
    )


def _strength(task: str, strength: float | None, *, measured: bool) -> Strength:
    if task not in ("denoise", "restore"):
        return 1.0
    return "auto" if measured and task == "denoise" else 1.0 if strength is None else strength
