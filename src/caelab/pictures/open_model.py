"""Open a model for pictures with PyTorch or onnxruntime, and check what it was trained to undo."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Literal

from caelab.degrade.degradation import Degradation
from caelab.errors import InputError, printable
from caelab.pictures.backends.base import PictureModel
from caelab.pictures.model_files import find_model, photograph_settings

Runtime = Literal["torch", "onnx"]
Device = Literal["auto", "cpu", "cuda", "mps"]

ONNX = ".onnx"
"""Suffix of ONNX files."""


def open_model(
    name_or_path: str | Path,
    *,
    runtime: Runtime | None = None,
    threads: int | None = None,
    device: Device = "auto",
) -> PictureModel:
    """Open a model for pictures; with onnxruntime, PyTorch is not imported.

    Args:
        name_or_path: Name or path, as for :func:`caelab.pictures.model_files.find_model`.
        runtime: Library that computes the network. By default it is the library that the file was
            made for, or ``"onnx"`` if PyTorch is not installed. For a weights file, ``"onnx"`` uses
            the ONNX file next to it.
        threads: Number of threads that compute; by default the number in ``OMP_NUM_THREADS``, or
            one per core.
        device: Device of PyTorch; onnxruntime always computes on the CPU.

    Raises:
        InputError: There is no such model, it is damaged, or it has no file for this runtime.

    >>> open_model("denoise", device="cpu").channels
    3
    """
    file, name = find_model(name_or_path), printable(name_or_path)
    if runtime is None and importlib.util.find_spec("torch") is None:
        runtime = "onnx"
    if runtime == "onnx" and file.suffix != ONNX:
        if not file.with_suffix(ONNX).is_file():
            raise InputError(
                f"{name} has no ONNX file next to its weights. Make one by `caelab export {name}"
                " FILE.onnx`, and name that file."
            )
        file = file.with_suffix(ONNX)
    if file.suffix == ONNX:
        if runtime == "torch":
            raise InputError(
                f"{name} is an ONNX file, which PyTorch does not run. Choose the `runtime` onnx."
            )
        from caelab.pictures.backends.onnx import load_onnx

        model = load_onnx(file, threads=threads)
        return replace(model, **photograph_settings(file))
    # Imported here, because a model in ONNX format needs no PyTorch.
    from caelab.device import choose_device, set_threads
    from caelab.models.weights_file import load_model
    from caelab.pictures.backends.torch import torch_picture_model

    set_threads(threads)
    where = choose_device(device)
    model = torch_picture_model(*load_model(file, where), where)
    return replace(model, **photograph_settings(file))


def require_task(
    model: PictureModel, task: str, *, name: str, undoing: Degradation | None = None
) -> None:
    """Check that a model suits a picture command and undoes the degradation of the pictures.

    Args:
        model: The model.
        task: Name of the command, such as ``"colorize"``.
        name: Name or path of the model, for messages.
        undoing: Degradation of the pictures; ``None`` if it is not known.

    Raises:
        InputError: The model undoes another degradation, or suits another command, which the
            message names.
    """
    undoes = model.degradation
    if undoing is not None and undoing != undoes:
        raise InputError(f"the model {name} undoes {undoes}, not {undoing}. Name another model.")
    suited = command_for(undoes)
    # The command `restore` also accepts models that denoise.
    if suited != task and (task, suited) != ("restore", "denoise"):
        raise InputError(
            f"the model {name} cannot {task} pictures: it was trained with the"
            f" degradation {undoes}. Use it with `caelab {suited}`, or name another model."
        )


def command_for(degradation: Degradation) -> str:
    """Return the picture command that undoes a degradation.

    >>> from caelab.degrade.degradation import parse_degradation
    >>> command_for(parse_degradation("gray+noise0.1"))
    'colorize'
    """
    steps = {step.name for step in degradation.steps}
    if "gray" in steps:
        return "colorize"
    if not steps:
        return "reconstruct"
    return "denoise" if steps == {"noise"} else "restore"
