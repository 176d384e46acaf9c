"""The training loop, a generator that yields after each step and each epoch.

Whenever it yields, the caller can show progress, save a checkpoint or stop the training.
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
from caelab.training.process_group import ALONE, ProcessGroup
from caelab.training.step import BatchGradient, Step

STEPS_BETWEEN_CHECKS = 200
"""Number of steps between two checks that the loss is finite. Each check makes the CPU wait for the
device."""

MAX_WEIGHTS_OF_ONE_THREAD = 100_000
"""Number of weights below which one thread updates the whole network. After an update by several
threads, these threads would wait actively for work, and slow down the next gradient."""


class TrainingDiverged(ExpectedError):
    """The loss is no longer a finite number."""


@dataclass(kw_only=True)
class TrainingState:
    """Everything that changes during training, so that :func:`fit` can continue from a saved state.

    Attributes:
        model: The model that is trained.
        optimizer: Optimizer of the model's parameters.
        averaged: Copy of the model with the running mean of the weights; ``None`` if no mean is
            computed.
        epoch: Number of completed epochs.
        step: Number of completed steps of the current epoch.
        seconds: Time that training has taken in the current epoch.
        sums: Sum of each term of the loss over the completed steps of the current epoch, by name,
            on the device.
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
        """The model to evaluate and save: ``averaged`` if there is one, otherwise ``model``."""
        if self.averaged is None:
            return self.model
        assert isinstance(self.averaged.module, ImageModel)
        return self.averaged.module

    def state_dict(self) -> dict[str, Any]:
        """Return the state as a dictionary of tensors and plain values."""
        return {
            name: value.state_dict() if hasattr(value, "state_dict") else value
            for name, value in vars(self).items()
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore a state from the result of :meth:`state_dict`."""
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
        seconds: Time of training in the epoch, without validation.
        learning_rate: Learning rate of the epoch's last step.
        terms: Mean of each term of the loss over the epoch's steps, by name; see ``step.Terms``.
    """

    epoch: int
    seconds: float
    learning_rate: float
    terms: dict[str, float]


def fit(
    state: TrainingState,
    images: DeviceImages,
    config: TrainingConfig,
    precision: torch.dtype,
    group: ProcessGroup = ALONE,
) -> Iterator[TrainedEpoch | None]:
    """Train ``state`` in place; yield ``None`` after each step and a result after each epoch.

    At every yield ``state`` is complete, so the caller may save it or stop. On the CPU of the same
    machine, with the same number of threads, training that continues from a saved state gives the
    same bits as training without a break: all random numbers depend only on the seed, the epoch and
    the step.

    Args:
        state: Model, optimizer and progress. Training continues after the steps and epochs that the
            state counts as completed.
        images: The training images. Each epoch leaves out the last images of its random order if
            they do not fill a batch. If there are fewer images than ``config.batch_size``, a batch
            has all of them.
        config: The run's configuration.
        precision: Number format of convolutions, ``torch.float32`` or ``torch.bfloat16``.
        group: Processes that train together, all with the same state, images and configuration.

    Raises:
        TrainingDiverged: The loss is not finite.
    """
    batch_size = min(config.batch_size, len(images))
    steps = steps_per_epoch(len(images), config)
    peak = peak_learning_rate(config.optimizer, state.model.network)
    gradient = BatchGradient(state.model, images, config, precision, group)
    few = sum(parameter.numel() for parameter in gradient.parameters) < MAX_WEIGHTS_OF_ONE_THREAD
    update_threads = 1 if few else torch.get_num_threads()
    take_step = Step(gradient, state.optimizer, config.optimizer.grad_clip, update_threads)
    state.model.train()
    while state.epoch < config.epochs:
        # The order depends only on the seed and the epoch, so checkpoints contain no generator.
        shuffle = generator_for(config.seed, "batches", state.epoch)
        order = torch.randperm(len(images), generator=shuffle).to(images.device)
        keys = image_keys(images.rows, config.seed, state.epoch).to(images.device)
        while state.step < steps:
            started = time.perf_counter()
            done = state.epoch * steps + state.step
            rate = peak * rate_factor(config.optimizer, done, steps * config.epochs)
            # The rate depends only on the step, so a checkpoint needs no state of a scheduler.
            for options in state.optimizer.param_groups:
                options["lr"] = rate

            chosen = order[state.step * batch_size : (state.step + 1) * batch_size]
            terms = take_step(chosen, keys[chosen], state.epoch, state.step)
            if state.averaged is not None:
                with threads(update_threads):
                    state.averaged.update_parameters(state.model)

            # Sums stay on the device, because reading a number would make the host wait.
            state.sums = {name: state.sums.get(name, 0) + term for name, term in terms.items()}
            state.step += 1
            if state.step % STEPS_BETWEEN_CHECKS == 0 or state.step == steps:
                # The check waits for the device, so the time of the epoch includes all work.
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
    """Return the number of full batches in ``count`` images, but at least 1."""
    return max(1, count // config.batch_size)


Tensors = tuple[Tensor, ...] | list[Tensor]


def running_mean(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return the function ``multi_avg_fn`` for ``torch.optim.swa_utils.AveragedModel``.

    After t steps, it sets mean ← d · mean + (1 − d) · weights with d = min(``decay``, (1 + t) /
    (10 + t)), as TensorFlow's ``ExponentialMovingAverage(num_updates=t)`` does. Because of the
    limit (1 + t) / (10 + t), the first half of the steps has less than 1% of the weight in the
    mean, after 30 steps or more. So even after a short training, the fast changing weights of the
    beginning hardly count.

    Args:
        decay: Largest d, in (0, 1).
    """

    @torch.no_grad()
    def update(means: Tensors, weights: Tensors, count: Tensor | int) -> None:
        # `count` is a tensor on the device, and reading its value would make the host wait.
        kept = torch.as_tensor((1 + count) / (10 + count)).clamp(max=decay)
        change = torch._foreach_sub(weights, means)
        torch._foreach_mul_(change, 1 - kept)
        torch._foreach_add_(means, change)

    return update


def _require_finite(state: TrainingState, peak: float) -> None:
    if not all(math.isfinite(float(total)) for total in state.sums.values()):
        raise TrainingDiverged(
            f"the loss is not a finite number in epoch {state.epoch + 1}, after step {state.step}."
            f" The learning rate {peak:g} is probably too high for this network: try a third of it,"
            " or set `optimizer.grad_clip` to 1."
        )
