"""THE training loop: a generator. Progress, checkpoints, early stopping and interruption are
written around it.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from caelab.data.pixels import Pixels
from caelab.models.image_model import ImageModel
from caelab.randomness import generator_for, image_keys
from caelab.training.gradient import BatchGradient, threads
from caelab.training.losses import Loss
from caelab.training.schedule import rate_factor
from caelab.training.step import Step
from caelab.training.task import Task

FINITE_CHECK_STEPS = 200
"""How often the loss is brought to the host to see that it is finite; every step would stall a
GPU."""

FEW_WEIGHTS = 100_000
"""Fewer weights than this are updated by one thread: threads that met would outlive the update and
be in the way."""


class TrainingDiverged(RuntimeError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the loop needs to know, beside the data and the state.

    Attributes:
        epochs: Passes through the training images.
        batch: Images a step; what remains of an epoch below a full batch is left for another
            epoch's shuffle.
        task: What becomes of an image before the network is given it.
        loss: Its terms are summed and minimised.
        learning_rate: The peak of the schedule.
        warmup: Share of all steps that rise linearly to the peak.
        decay: A name in ``schedule.DECAYS``.
        clip: Largest norm of the gradient over all weights, or ``None``.
        precision: What convolutions compute in.
        seed: Of the batch order, and of what chance does to images and units.
        label_weight: What the labels count where the network has a ``classify``.
        color_weight: What the color difference CIEDE2000 counts beside the loss.
    """

    epochs: int
    batch: int
    task: Task
    loss: Loss
    learning_rate: float
    warmup: float
    decay: str
    clip: float | None
    precision: torch.dtype
    seed: int
    label_weight: float = 0.0
    color_weight: float = 0.0


@dataclass(kw_only=True)
class TrainingState:
    """Everything that changes while the loop runs; saved and restored, the loop goes on as if never
    stopped.

    Attributes:
        averaged: The running mean of the weights, where one is kept.
        epoch: Epochs completed.
        step: Steps completed in the epoch under way.
        seconds: Time that the epoch under way has taken.
        sums: Sum over the epoch's steps of each loss term, on the device.
    """

    model: ImageModel
    optimizer: torch.optim.Optimizer
    averaged: AveragedModel | None = None
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    sums: dict[str, Tensor] = field(default_factory=dict)

    @property
    def evaluated(self) -> ImageModel:
        """The model to be measured and kept: with the averaged weights where there are some."""
        if self.averaged is None:
            return self.model
        assert isinstance(self.averaged.module, ImageModel)
        return self.averaged.module

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "sums": self.sums,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.averaged is not None:
            self.averaged.load_state_dict(saved["averaged"])
        self.epoch, self.step, self.seconds = saved["epoch"], saved["step"], saved["seconds"]
        self.sums = dict(saved["sums"])


@dataclass(frozen=True, kw_only=True)
class TrainedEpoch:
    """What one pass through the training images left.

    Attributes:
        epoch: Counted from 1.
        seconds: Of training, without validation.
        learning_rate: At the epoch's last step.
        terms: Mean over the epoch's steps of each loss term, and ``mse`` in any case.
    """

    epoch: int
    seconds: float
    learning_rate: float
    terms: dict[str, float]


def fit(state: TrainingState, images: Pixels, plan: Plan) -> Iterator[TrainedEpoch | None]:
    """Train ``state`` in place; yield ``None`` after each step and a :class:`TrainedEpoch` after
    each epoch.

    At every yield ``state`` is complete: it may be saved, and the loop left for good.

    Raises:
        TrainingDiverged: The loss is not finite.
    """
    steps = len(images) // plan.batch
    warmup = round(plan.warmup * steps * plan.epochs)
    parameters = list(state.model.parameters())
    few = sum(parameter.numel() for parameter in parameters) < FEW_WEIGHTS
    serial = 1 if few else torch.get_num_threads()
    state.model.train()
    with BatchGradient(
        state.model,
        plan.loss,
        plan.task,
        images,
        batch=plan.batch,
        precision=plan.precision,
        seed=plan.seed,
        label_weight=plan.label_weight,
        color_weight=plan.color_weight,
    ) as gradient:
        take_step = Step(gradient, state.optimizer, parameters, clip=plan.clip, updating=serial)
        while state.epoch < plan.epochs:
            order = torch.randperm(
                len(images), generator=generator_for(plan.seed, "batches", state.epoch)
            )
            order = order.to(images.device)
            keys = image_keys(images.rows, plan.seed, state.epoch).to(images.device)
            while state.step < steps:
                started = time.perf_counter()
                done = state.epoch * steps + state.step
                factor = rate_factor(
                    done, steps=steps * plan.epochs, warmup=warmup, decay=plan.decay
                )
                for group in state.optimizer.param_groups:
                    group["lr"] = plan.learning_rate * factor

                chosen = order[state.step * plan.batch : (state.step + 1) * plan.batch]
                terms = take_step(chosen, keys[chosen], state.epoch, state.step)
                if state.averaged is not None:
                    with threads(serial):
                        state.averaged.update_parameters(state.model)

                state.sums = {name: state.sums.get(name, 0) + term for name, term in terms.items()}
                state.step += 1
                if state.step % FINITE_CHECK_STEPS == 0 or state.step == steps:
                    _require_finite(
                        state, plan
                    )  # waits for the device, so that the epoch's time is whole
                state.seconds += time.perf_counter() - started
                yield None

            means = {name: float(total) / steps for name, total in state.sums.items()}
            rate = state.optimizer.param_groups[0]["lr"]
            finished = TrainedEpoch(
                epoch=state.epoch + 1, seconds=state.seconds, learning_rate=rate, terms=means
            )
            state.epoch, state.step, state.seconds, state.sums = state.epoch + 1, 0, 0.0, {}
            yield finished


def _require_finite(state: TrainingState, plan: Plan) -> None:
    if not all(math.isfinite(float(total)) for total in state.sums.values()):
        raise TrainingDiverged(
            f"the loss is not a finite number in epoch {state.epoch + 1}, by step {state.step}. The"
            f" learning rate {plan.learning_rate:g} is probably too high for this network: try a"
            " third of it, or `clip` 1."
        )
