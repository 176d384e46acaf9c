"""The target ``chroma``: the two chroma channels of a color space."""

from typing import Self

from torch import Tensor

from caelab.models.card import ModelCard
from caelab.models.targets.base import ColorTarget, TargetOptions
from caelab.registry import register


@register
class ChromaTarget(ColorTarget):
    """Two chroma channels, in units of the space's typical deviation from gray.

    Args:
        color_space: Name of the color space.

    >>> import torch
    >>> from caelab.color import luminance
    >>> target = ChromaTarget("ycbcr")
    >>> clean = torch.rand(2, 3, 8, 8)
    >>> restored = target.image(target.target(clean), luminance(clean))
    >>> torch.allclose(restored, clean, atol=1e-5)
    True
    """

    name = "chroma"
    summary = "two chroma channels, merged with the input's luminance"
    losses = ("values",)
    channels = 2

    @classmethod
    def output_channels(cls, options: TargetOptions, channels: int) -> int:  # noqa: ARG003
        """Return 2."""
        return 2

    @classmethod
    def from_card(cls, card: ModelCard) -> Self:
        """Return the target in the card's color space."""
        return cls(card.color_space)

    def target(self, clean: Tensor) -> Tensor:
        """Return the clean image's chroma ``(N, 2, H, W)``, of about unit variance."""
        return self.space.chroma(clean) / self.space.chroma_scale

    def answer(self, output: Tensor) -> Tensor:
        """Return the chroma ``(N, 2, H, W)`` in the space's unit."""
        return output * self.space.chroma_scale
