"""Losses: ``(output, target) → {name: scalar}``; their sum is what the loop minimises."""

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor

from caelab.kernels.sparse_cross_entropy import sparse_cross_entropy

Terms = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Terms]

CHARBONNIER_WIDTH = 1e-3
"""Differences below this are squared by Charbonnier's loss, in the unit of what is compared."""


def mean_squared_error(output: Tensor, target: Tensor) -> Terms:
    """Mean over all pixels and channels of the squared difference, in the unit of what is
    compared.
    """
    return {"mse": F.mse_loss(output, target)}


def mean_absolute_error(output: Tensor, target: Tensor) -> Terms:
    """Mean of the absolute difference: its minimiser is the median, not the mean."""
    return {"l1": F.l1_loss(output, target)}


def huber(output: Tensor, target: Tensor, *, delta: float = 1.0) -> Terms:
    """Mean of half the square of the difference, but linear beyond ``delta`` (Huber 1964)."""
    return {"huber": F.huber_loss(output, target, delta=delta)}


def charbonnier(output: Tensor, target: Tensor) -> Terms:
    """Mean of √(d² + ε²), a smooth absolute difference (Charbonnier et al. 1994)."""
    return {"charbonnier": ((output - target).square() + CHARBONNIER_WIDTH**2).sqrt().mean()}


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Terms:
    """Mean cross-entropy in nats between pixel values in [0, 1], taken as probabilities, and
    logits.

    Its minimum is not zero but the entropy of the pixel values.
    """
    return {"bce": F.binary_cross_entropy_with_logits(logits, target)}


def cross_entropy(logits: Tensor, target: Tensor) -> Terms:
    """Mean over pixels of the cross-entropy in nats between a few classes' shares and logits ``(N,
    Q, H, W)``.

    Args:
        logits: Of Q classes.
        target: ``(N, 2K, H, W)``: the numbers of K classes, and then what each of them counts. The
            shares of a pixel need not add up to 1; their sum is the pixel's weight.
    """
    classes, shares = target.chunk(2, dim=1)
    return {"cross_entropy": sparse_cross_entropy(logits, classes.long(), shares)}


LOSSES: Mapping[str, Loss] = {
    "mse": mean_squared_error,
    "l1": mean_absolute_error,
    "huber": huber,
    "charbonnier": charbonnier,
    "bce": binary_cross_entropy,
    "cross_entropy": cross_entropy,
}
"""Every loss by the name it has in a run's configuration."""

LOGIT_LOSSES = frozenset({"bce"})
"""The losses for which the network's output are logits."""

CLASS_LOSSES = frozenset({"cross_entropy"})
"""The losses for which the network's output are logits of classes, pixel by pixel."""
