"""How networks are written as texts, and the options that they were trained with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caelab.experiments.config import PARAMETERS
from caelab.networks.layers.base import LayerKind
from caelab.report.document import Part
from caelab.report.run_reader import FinishedRun

USUAL = (
    "epochs", "batch_size", "loss", "optimizer", "learning_rate", "warmup", "lr_schedule",
    "weight_decay", "init", "ema_decay",
)  # fmt: skip
"""Options of training that a report always lists, by short name."""

RARE = (
    "precision", "flip", "translate", "scale_jitter", "rotate", "gamma_jitter", "tta_flip",
    "tta_shift", "tta_scale", "color_loss_weight", "grad_clip", "patience", "batchnorm",
)  # fmt: skip
"""Options that a report lists only if some run changes them, by short name."""

Value = bool | int | float | str | None


@dataclass(frozen=True, kw_only=True)
class TrainingAnswer:
    """The options that networks were trained with.

    Attributes:
        tasks: Tasks that networks were trained for: ``reconstruct``, ``color`` or ``restore``.
        options: Values of each option, by its short name: for each task the different values of its
            runs, the smallest first. The learning rate is the highest one during the training.
    """

    tasks: tuple[str, ...]
    options: Mapping[str, tuple[tuple[Value, ...], ...]]


def training_part(runs: Iterable[FinishedRun]) -> tuple[TrainingAnswer, Part]:
    """Return the options of training, and the part of the report about them.

    The part also explains the layers that the texts of the networks name.

    Args:
        runs: Finished runs, at least one.
    """
    tasks: dict[str, list[FinishedRun]] = {}
    for run in runs:
        task = {"none": "reconstruct", "gray": "color"}.get(run.degradation, "restore")
        tasks.setdefault(task, []).append(run)
    values = [[_options(run) for run in group] for group in tasks.values()]
    answer = TrainingAnswer(
        tasks=tuple(tasks),
        options={
            name: tuple(_different([each[name] for each in group]) for group in values)
            for name in (*USUAL, *RARE)
            if name in USUAL
            or any(each[name] != PARAMETERS[name].default for group in values for each in group)
        },
    )
    kinds = {row.kind for group in tasks.values() for run in group for row in run.description.rows}
    # The end of a bracket has a kind, too, but is no layer and has no help.
    layers = {kind: getattr(LayerKind.registry.get(kind), "help", "") for kind in sorted(kinds)}
    return answer, Part("training", {"answer": answer, "layers": layers})


def _options(run: FinishedRun) -> dict[str, Any]:
    return {**run.config.flat(), "learning_rate": run.result["peak_learning_rate"]}


def _different(values: Sequence[Value]) -> tuple[Value, ...]:
    # Numbers are sorted; other values, which have no order, stay in the order of the runs.
    found = [*dict.fromkeys(values)]
    numbers = [each for each in found if isinstance(each, int | float)]
    return tuple(sorted(numbers) if len(numbers) == len(found) else found)
