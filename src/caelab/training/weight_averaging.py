"""The running mean of a network's weights, which is often better than the weights themselves."""

from collections.abc import Callable

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...] | list[Tensor]


def running_mean(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return an update for ``torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=…)``.

    After t steps, mean ← d · mean + (1 − d) · weights with d = min(``decay``, (1 + t) / (10 + t)):
    the mean reaches back over a ninth of the training at most, so that a short one does not end
    with what the weights were when they still moved fast (TensorFlow's
    ``ExponentialMovingAverage(num_updates=t)``).

    Args:
        decay: In (0, 1).
    """

    @torch.no_grad()
    def update(means: Tensors, weights: Tensors, count: Tensor | int) -> None:
        kept = torch.as_tensor((1 + count) / (10 + count)).clamp(
            max=decay
        )  # on the device: nothing waits for it
        change = torch._foreach_sub(weights, means)
        torch._foreach_mul_(change, 1 - kept)
        torch._foreach_add_(means, change)

    return update
