"""Losses: ``(output, target) → {name: scalar}``; their sum is what the loop minimises."""

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor

Terms = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Terms]


def mean_squared_error(output: Tensor, target: Tensor) -> Terms:
    """Mean over all pixels and channels of the squared difference, of an image estimate in [0, 1] units."""
    return {"mse": F.mse_loss(output, target)}


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Terms:
    """Mean cross-entropy in nats between pixel values in [0, 1], taken as probabilities, and logits.

    Its minimum is not zero but the entropy of the pixel values.
    """
    return {"bce": F.binary_cross_entropy_with_logits(logits, target)}


LOSSES: Mapping[str, Loss] = {"mse": mean_squared_error, "bce": binary_cross_entropy}
"""Every loss by the name it has in a run's configuration."""

LOGIT_LOSSES = frozenset({"bce"})
"""The losses for which the network's output are logits."""
