"""Layers that combine all positions: ``context``, ``excite``, ``attend`` and ``classify``."""

from typing import TYPE_CHECKING, ClassVar

from caelab.networks.layers.base import (
    LayerKind,
    MisfitError,
    Number,
    ReceptiveField,
    Shape,
    require_multiple,
    size_of,
)
from caelab.registry import register

if TYPE_CHECKING:
    from torch import nn

MAX_ATTENTION_WEIGHTS = 2**24
"""Largest number of attention weights (heads · positions²) of one ``attend`` on one image. One head
reaches it at 64×64 positions."""


class _ChannelLayer(LayerKind):
    """A layer whose module is made from its channels, and from ``number`` if it takes one."""

    module_name: ClassVar[str]

    def module(self, shape: Shape) -> "nn.Module":
        """Return the module of ``caelab.networks.modules``."""
        from caelab.networks import modules

        arguments = (shape[0], self.number) if self.takes else (shape[0],)
        module: nn.Module = getattr(modules, self.module_name)(*arguments)
        return module


class _GlobalLayer(_ChannelLayer):
    """Layer in which every output number depends on the whole image."""

    def receptive_field(self, field: ReceptiveField) -> None:
        """Return ``None``: the whole image."""


@register
class Context(_GlobalLayer):
    """A linear map of the channels' means, added at every position."""

    name = "context"
    module_name = "GlobalContext"
    help = "adds a linear map of the channels' means at every position"

    def weights(self, shape: Shape) -> int:
        """Return C·(C + 1)."""
        return shape[0] * (shape[0] + 1)

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return C²."""
        return shape[0] ** 2


@register
class Excite(_GlobalLayer):
    """Squeeze-and-excitation: a gate for every channel, computed from the channels' means."""

    name = "excite"
    module_name = "SqueezeExcitation"
    help = "squeeze-and-excitation: scales each channel by a gate, from C / r hidden units"
    takes = Number(meaning="reduction")

    def input_channels(self, outputs: int) -> int:
        """Return the same number, a multiple of the reduction."""
        require_multiple(outputs, self.number, f"the reduction {self.number}")
        return outputs

    def weights(self, shape: Shape) -> int:
        """Return those of the two linear maps."""
        channels, hidden = shape[0], shape[0] // self.number
        return hidden * (channels + 1) + channels * (hidden + 1)

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return 2·C·C / r."""
        return 2 * shape[0] * (shape[0] // self.number)


@register
class Attend(_GlobalLayer):
    """Self-attention over the positions, to be put in a residual: ``(norm attend4)``."""

    name = "attend"
    module_name = "SelfAttention"
    help = "self-attention over the positions, 1 head; put it in a residual: (norm attend4)"
    takes = Number(meaning="heads", default=1, optional=True)

    def shape(self, shape: Shape) -> Shape:
        """Return the same shape."""
        _, height, width = super().shape(shape)
        # Attention compares each position with all others: an image with four times the pixels
        # needs sixteen times the memory.
        pairs = self.number * (height * width) ** 2
        if pairs > MAX_ATTENTION_WEIGHTS:
            raise MisfitError(
                f"{height}×{width} positions have {pairs:,} attention weights; the limit is"
                f" {MAX_ATTENTION_WEIGHTS:,}"
            )
        return shape

    def input_channels(self, outputs: int) -> int:
        """Return the same number, a multiple of the heads."""
        require_multiple(outputs, self.number, f"{self.number} heads")
        return outputs

    def weights(self, shape: Shape) -> int:
        """Return those of queries, keys, values and the output: 4·C·(C + 1)."""
        return 4 * shape[0] * (shape[0] + 1)

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return 4·C²·H·W for the linear maps and 2·C·(H·W)² for attention's products."""
        channels, height, width = shape
        return 4 * channels * size_of(shape) + 2 * channels * (height * width) ** 2


@register
class Classify(_ChannelLayer):
    """Return the input; in training, also compute class logits from the channels' means.

    A trained model skips this layer, so its multiply-accumulates count as 0.
    """

    name = "classify"
    module_name = "Classifier"
    help = "returns its input; in training, also predicts the image's class: a second task"
    takes = Number(meaning="classes", min=2)

    def weights(self, shape: Shape) -> int:
        """Return classes·(C + 1)."""
        return self.number * (shape[0] + 1)
