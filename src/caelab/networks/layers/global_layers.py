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
"""Largest number of attention weights (heads · positions²) of one ``attend`` layer on one image.
With one head, an input of 64×64 positions has so many."""


class _ChannelLayer(LayerKind):
    """A layer whose module needs only the number of channels and, if there is one, ``number``.

    Attributes:
        module_name: Name of the module's class in ``caelab.networks.modules``.
    """

    module_name: ClassVar[str]

    def module(self, shape: Shape) -> "nn.Module":
        """Return the module of this layer for an input of ``shape``."""
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
    """Adds a linear map of the channels' means, the same at every position, to the input."""

    name = "context"
    module_name = "GlobalContext"
    help = "adds a linear map of the channels' means, the same at every position"

    def weights(self, shape: Shape) -> int:
        """Return C·(C + 1)."""
        return shape[0] * (shape[0] + 1)

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return C²."""
        return shape[0] ** 2


@register
class Excite(_GlobalLayer):
    """Squeeze-and-excitation: multiplies each channel by a gate that depends on all means."""

    name = "excite"
    module_name = "SqueezeExcitation"
    help = "squeeze-and-excitation: a gate for each of C channels, with C / N hidden units"
    takes = Number(meaning="reduction")

    def input_channels(self, outputs: int) -> int:
        """Return ``outputs``, which must be a multiple of the reduction."""
        require_multiple(outputs, self.number, f"the reduction {self.number}")
        return outputs

    def weights(self, shape: Shape) -> int:
        """Return the weights and biases of two linear maps: C → C / r → C with reduction r."""
        channels, hidden = shape[0], shape[0] // self.number
        return hidden * (channels + 1) + channels * (hidden + 1)

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return 2·C·(C / r), where r is the reduction."""
        return 2 * shape[0] * (shape[0] // self.number)


@register
class Attend(_GlobalLayer):
    """Self-attention over all positions, usually inside a residual block: ``(norm attend4)``."""

    name = "attend"
    module_name = "SelfAttention"
    help = "self-attention over all positions, 1 head; put it in a residual block: (norm attend4)"
    takes = Number(meaning="heads", default=1, optional=True)

    def shape(self, shape: Shape) -> Shape:
        """Return ``shape``, unless the layer would need too much memory."""
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
        """Return ``outputs``, which must be a multiple of the number of heads."""
        require_multiple(outputs, self.number, f"{self.number} heads")
        return outputs

    def weights(self, shape: Shape) -> int:
        """Return 4·C·(C + 1): linear maps to queries, keys and values, and one to the output."""
        return 4 * shape[0] * (shape[0] + 1)

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return 4·C²·H·W for the linear maps and 2·C·(H·W)² for attention's products."""
        channels, height, width = shape
        return 4 * channels * size_of(shape) + 2 * channels * (height * width) ** 2


@register
class Classify(_ChannelLayer):
    """Returns its input; in training, also computes class logits from the channels' means.

    A trained model does not compute the logits, so they add no multiply-accumulates.
    """

    name = "classify"
    module_name = "Classifier"
    help = "returns its input; in training, also predicts the image's class as a second task"
    takes = Number(meaning="classes", min=2)

    def weights(self, shape: Shape) -> int:
        """Return classes·(C + 1)."""
        return self.number * (shape[0] + 1)
