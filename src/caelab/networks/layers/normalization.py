"""Normalization and dropout layers."""

from typing import TYPE_CHECKING

from caelab.networks.layers.base import LayerKind, Number, ReceptiveField, Shape, require_multiple
from caelab.registry import register

if TYPE_CHECKING:
    from torch import nn


@register
class Norm(LayerKind):
    """Group normalization; without a number, at most 32 groups of at least 4 channels."""

    name = "norm"
    help = "group normalization; the number of groups is chosen if left out"
    takes = Number(meaning="groups", optional=True)

    def groups(self, channels: int) -> int:
        """Return the groups; by default the largest divisor of C that is at most 32 and C / 4."""
        if self.number:
            return self.number
        # 32 groups are the usual choice (Wu and He 2018, arXiv 1803.08494).
        most = max(1, min(32, channels // 4))
        return next(groups for groups in range(most, 0, -1) if channels % groups == 0)

    def input_channels(self, outputs: int) -> int:
        """Return ``outputs``, which must be a multiple of the number of groups."""
        require_multiple(outputs, self.groups(outputs), f"{self.number} groups")
        return outputs

    def weights(self, shape: Shape) -> int:
        """Return 2·C: a scale and a shift for each channel."""
        return 2 * shape[0]

    def receptive_field(self, field: ReceptiveField) -> None:
        """Return ``None``: mean and variance are computed over the whole image."""

    def module(self, shape: Shape) -> "nn.Module":
        """Return the ``GroupNorm`` of this layer for an input of ``shape``."""
        from caelab.networks.modules import GroupNorm

        return GroupNorm(self.groups(shape[0]), shape[0])


@register
class BatchNorm(LayerKind):
    """Batch normalization: mean and variance of each channel over all images of a batch."""

    name = "batchnorm"
    help = "batch normalization"

    def weights(self, shape: Shape) -> int:
        """Return 2·C: a scale and a shift for each channel."""
        return 2 * shape[0]

    def module(self, shape: Shape) -> "nn.Module":
        """Return the ``BatchNorm2d`` of this layer for an input of ``shape``."""
        from torch import nn

        return nn.BatchNorm2d(shape[0])


@register
class Dropout(LayerKind):
    """In training, sets whole channels to 0 with probability p and divides the others by 1 − p."""

    name = "dropout"
    help = "in training, whole channels become 0 with probability p"
    takes = Number(meaning="probability", decimal=True)

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002
        """Return the ``Dropout`` module of this layer."""
        from caelab.networks import modules

        return modules.Dropout(self.probability)
