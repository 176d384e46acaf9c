"""The training loop, a generator that yields after each step and each epoch.

At its yields the caller shows progress, saves checkpoints, and stops early or on request.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from caelab.data.device_images import DeviceImages
from caelab.device import threads
from caelab.errors import ExpectedError
from caelab.models.image_model import ImageModel
from caelab.randomness import generator_for, image_keys
from caelab.training.config import TrainingConfig
from caelab.training.optimizers import peak_learning_rate, rate_factor
from caelab.training.step import BatchGradient, Step

STEPS_BETWEEN_CHECKS = 200
"""Steps between checks that the loss is finite: each one makes the host wait for the device."""

MAX_WEIGHTS_OF_ONE_THREAD = 100_000
"""Number of weights up to which one thread updates them all. More threads would still be waiting
actively for work, and slow down the next gradient."""


class TrainingDiverged(ExpectedError):
    """The loss is no longer a finite number."""


@dataclass(kw_only=True)
class TrainingState:
    """Everything that changes while the loop runs: restored, the loop continues to the same bits.

    Attributes:
        model: The model that is trained.
        optimizer: Its optimizer.
        averaged: Running mean of the weights, if one is kept.
        epoch: Number of completed epochs.
        step: Number of completed steps of the current epoch.
        seconds: Time that the current epoch has taken.
        sums: Sum over its steps of each term of the loss, on the device.
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
        """The model to evaluate and keep: with the averaged weights if there are any."""
        if self.averaged is None:
            return self.model
        assert isinstance(self.averaged.module, ImageModel)
        return self.averaged.module

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain values."""
        return {
            name: value.state_dict() if hasattr(value, "state_dict") else value
            for name, value in vars(self).items()
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        for name, value in saved.items():
            current = getattr(self, name)
            if hasattr(current, "load_state_dict"):
                current.load_state_dict(value)
            else:
                setattr(self, name, value)


@dataclass(frozen=True, kw_only=True)
class TrainedEpoch:
    """Result of one pass through the training images.

    Attributes:
        epoch: Number of the epoch, from 1.
        seconds: Time of training, without validation.
        learning_rate: Learning rate of the last step.
        terms: Mean over the steps of each term of the loss, and of ``mse``.
    """

    epoch: int
    seconds: float
    learning_rate: float
    terms: dict[str, float]


def fit(
    state: TrainingState, images: DeviceImages, config: TrainingConfig, precision: torch.dtype
) -> Iterator[TrainedEpoch | None]:
    """Train ``state`` in place; yield ``None`` after each step and a result after each epoch.

    At every yield ``state`` is complete: it may be saved, and the loop may be left. A loop that is
    given the saved state ends with the same bits, on the same machine's CPU with the same number of
    threads, because all randomness is derived from the seed, the epoch and the step.

    Args:
        state: Model, optimizer and progress. An epoch that was begun is completed.
        images: The training images; an epoch leaves out those that fill no batch, unless they are
            too few for one.
        config: The run's configuration.
        precision: Number format of convolutions, ``torch.float32`` or ``torch.bfloat16``.

    Raises:
        TrainingDiverged: The loss is not finite.
    """
    batch_size = min(config.batch_size, len(images))
    steps = steps_per_epoch(len(images), config)
    peak = peak_learning_rate(config.optimizer, state.model.network)
    gradient = BatchGradient(state.model, images, config, precision)
    few = sum(parameter.numel() for parameter in gradient.parameters) < MAX_WEIGHTS_OF_ONE_THREAD
    update_threads = 1 if few else torch.get_num_threads()
    take_step = Step(gradient, state.optimizer, config.optimizer.grad_clip, update_threads)
    state.model.train()
    while state.epoch < config.epochs:
        # The order follows from the seed and the epoch, so that a checkpoint needs no generator.
        shuffle = generator_for(config.seed, "batches", state.epoch)
        order = torch.randperm(len(images), generator=shuffle).to(images.device)
        keys = image_keys(images.rows, config.seed, state.epoch).to(images.device)
        while state.step < steps:
            started = time.perf_counter()
            done = state.epoch * steps + state.step
            rate = peak * rate_factor(config.optimizer, done, steps * config.epochs)
            # Computed from the step, so that a resumed run needs no state of a scheduler.
            for group in state.optimizer.param_groups:
                group["lr"] = rate

            chosen = order[state.step * batch_size : (state.step + 1) * batch_size]
            terms = take_step(chosen, keys[chosen], state.epoch, state.step)
            if state.averaged is not None:
                with threads(update_threads):
                    state.averaged.update_parameters(state.model)

            # Sums stay on the device, because reading a number would make the host wait.
            state.sums = {name: state.sums.get(name, 0) + term for name, term in terms.items()}
            state.step += 1
            if state.step % STEPS_BETWEEN_CHECKS == 0 or state.step == steps:
                # The check waits for the device, so that the measured time includes all of its
                # work.
                _require_finite(state, peak)
            state.seconds += time.perf_counter() - started
            yield None

        finished = TrainedEpoch(
            epoch=state.epoch + 1,
            seconds=state.seconds,
            learning_rate=state.optimizer.param_groups[0]["lr"],
            terms={name: float(total) / steps for name, total in state.sums.items()},
        )
        state.epoch, state.step, state.seconds, state.sums = state.epoch + 1, 0, 0.0, {}
        yield finished


def steps_per_epoch(count: int, config: TrainingConfig) -> int:
    """Return the steps of an epoch over ``count`` images: one at least, with a smaller batch."""
    return max(1, count // config.batch_size)


Tensors = tuple[Tensor, ...] | list[Tensor]


def running_mean(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return an update for ``torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=…)``.

    After t steps, mean ← d · mean + (1 − d) · weights with d = min(``decay``, (1 + t) / (10 + t)):
    the mean covers at most about a ninth of the training, so that a short training does not end
    with the fast changing weights of its beginning (TensorFlow's
    ``ExponentialMovingAverage(num_updates=t)``).

    Args:
        decay: Largest d, in (0, 1).
    """

    @torch.no_grad()
    def update(means: Tensors, weights: Tensors, count: Tensor | int) -> None:
        # A tensor on the device, so that the host does not wait for its value.
        kept = torch.as_tensor((1 + count) / (10 + count)).clamp(max=decay)
        change = torch._foreach_sub(weights, means)
        torch._foreach_mul_(change, 1 - kept)
        torch._foreach_add_(means, change)

    return update


def _require_finite(state: TrainingState, peak: float) -> None:
    if not all(math.isfinite(float(total)) for total in state.sums.values()):
        raise TrainingDiverged(
            f"the loss is not a finite number in epoch {state.epoch + 1}, by step {state.step}. The"
            f" learning rate {peak:g} is probably too high for this network: try a third of it, or"
            " `optimizer.grad_clip` 1."
        )
