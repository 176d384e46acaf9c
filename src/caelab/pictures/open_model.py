"""Open a model for pictures, on PyTorch or onnxruntime, and check what it was trained to undo."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from caelab.degrade.degradation import Degradation
from caelab.errors import InputError
from caelab.pictures.backends.base import PictureModel
from caelab.pictures.model_files import find_model
from caelab.pictures.picture import printable

Runtime = Literal["torch", "onnx"]
Device = Literal["auto", "cpu", "cuda", "mps"]

ONNX = ".onnx"


@dataclass(frozen=True, kw_only=True)
class OpenedModel:
    """A model that is ready for pictures.

    Attributes:
        name: Name or path by which it was opened.
        model: The model as a function of arrays.
        variant: Returns the function with one of the model's plausible answers, by its index and a
            seed; raises ``InputError`` where the model has one answer.
    """

    name: str
    model: PictureModel
    variant: Callable[[int, int], PictureModel]


def open_model(
    name_or_path: str | Path,
    *,
    runtime: Runtime | None = None,
    threads: int | None = None,
    device: Device = "auto",
) -> OpenedModel:
    """Open a model. On onnxruntime, torch is not imported.

    Args:
        name_or_path: Name or path, as for :func:`caelab.pictures.model_files.find_model`.
        runtime: Library that computes; by default the one that the file is for. ``"onnx"`` takes
            the ONNX file next to weights.
        threads: Threads of the library; by default one per core.
        device: Device of PyTorch; onnxruntime computes on the CPU.

    Raises:
        InputError: There is no such model, or it is damaged, or not for this runtime.

    >>> open_model("denoise", device="cpu").model.channels
    3
    """
    file, name = find_model(name_or_path), printable(str(name_or_path))
    if runtime == "onnx" and file.suffix != ONNX:
        if not file.with_suffix(ONNX).is_file():
            raise InputError(
                f"{name} has no ONNX file next to its weights. Make one, `caelab export {name}"
                " FILE.onnx`, and name it."
            )
        file = file.with_suffix(ONNX)
    if file.suffix != ONNX:
        return _open_weights(file, name, threads=threads, device=device)
    if runtime == "torch":
        raise InputError(
            f"{name} is an ONNX file, which PyTorch does not run. Choose the `runtime` onnx."
        )
    return _open_onnx(file, name, threads=threads)


def require_task(opened: OpenedModel, task: str, *, undoing: Degradation | None = None) -> None:
    """Check that a model is for a picture command, and undoes what is to be undone.

    Args:
        opened: The model.
        task: Name of the command.
        undoing: The degradation to undo, if it is known.

    Raises:
        InputError: It is for another command, which the message names.
    """
    undoes = opened.model.degradation
    if undoing is not None and undoing != undoes:
        raise InputError(
            f"the model {opened.name} undoes {undoes}, not {undoing}. Name another model."
        )
    suited = command_for(undoes)
    if suited != task and (task, suited) != ("restore", "denoise"):
        raise InputError(
            f"the model {opened.name} is not one to {task} pictures with: it was trained with the"
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
    return {frozenset(): "reconstruct", frozenset({"noise"}): "denoise"}.get(
        frozenset(steps), "restore"
    )


def _open_weights(file: Path, name: str, *, threads: int | None, device: Device) -> OpenedModel:
    # Imported here, because a model in ONNX format needs no torch.
    import torch

    from caelab.device import choose_device
    from caelab.models.weights_file import load_model
    from caelab.pictures.backends.torch import torch_picture_model

    if threads is not None:
        torch.set_num_threads(threads)
    where = choose_device(device)
    model, card = load_model(file, where)

    def variant(number: int, seed: int) -> PictureModel:
        return torch_picture_model(model, card, where, variant=(number, seed))

    return OpenedModel(name=name, model=torch_picture_model(model, card, where), variant=variant)


def _open_onnx(file: Path, name: str, *, threads: int | None) -> OpenedModel:
    from caelab.pictures.backends.onnx import load_onnx

    model, _ = load_onnx(file, threads=threads or 0)

    def variant(number: int, seed: int) -> PictureModel:  # noqa: ARG001
        raise InputError(
            f"{name} is an ONNX file, which gives one answer to a picture: variants need the"
            " weights."
        )

    return OpenedModel(name=name, model=model, variant=variant)
