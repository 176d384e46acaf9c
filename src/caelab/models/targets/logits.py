"""The target ``logits``: logits of pixel values, for binary cross-entropy."""

from typing import Self

from torch import Tensor

from caelab.models.card import ModelCard
from caelab.models.targets.base import PredictionTarget
from caelab.registry import register


@register
class LogitsTarget(PredictionTarget):
    """Logits of the pixel values, which are taken as probabilities."""

    name = "logits"
    summary = "logits of the image's pixel values"
    losses = ("logits",)

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.channels = channels

    @classmethod
    def from_card(cls, card: ModelCard) -> Self:
        """Return the target for images of the card's channels."""
        return cls(channels=card.channels)

    def target(self, clean: Tensor) -> Tensor:
        """Return the clean images, ``(N, C, H, W)``."""
        return clean

    def answer(self, output: Tensor) -> Tensor:
        """Apply the logistic function, ``(N, C, H, W)`` both."""
        return output.sigmoid()
