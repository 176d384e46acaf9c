"""The targets ``rgb`` and ``logits``, with which a network predicts an image."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from caelab.models.card import ModelCard
from caelab.models.channel_affine import ChannelAffine
from caelab.models.targets.base import PredictionTarget
from caelab.registry import register


@register
class RgbTarget(PredictionTarget):
    """The image x; the network's output is the normalized image ``(x − mean) / std``.

    Args:
        mean: Means of the clean images' channels, for pixels in [0, 1].
        std: Standard deviations of the clean images' channels.
    """

    name = "rgb"
    summary = "the image"
    losses = ("values", "logits")

    def __init__(self, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.channels = len(mean)
        self.denormalize = ChannelAffine(torch.tensor(std), torch.tensor(mean))

    @classmethod
    def from_card(cls, card: ModelCard) -> Self:
        """Return the target with the card's normalization."""
        return cls(mean=card.output_mean, std=card.output_std)

    @classmethod
    def name_with(cls, loss: str) -> str:
        """Return ``"logits"`` if the loss takes logits, otherwise ``"rgb"``."""
        return "logits" if loss == "logits" else cls.name

    @property
    def affine(self) -> tuple[Tensor, Tensor] | None:
        """Scale and shift, ``(C,)`` each, that undo the normalization; ``None`` for no change."""
        return self.denormalize.coefficients

    def output(self, raw: Tensor) -> Tensor:
        """Undo the normalization of images ``(N, C, H, W)``, without clipping."""
        image: Tensor = self.denormalize(raw)
        return image

    def answer(self, output: Tensor) -> Tensor:
        """Clip images ``(N, C, H, W)`` to [0, 1]."""
        return output.clamp(0, 1)


@register
class LogitsTarget(PredictionTarget):
    """Logits of the pixel values; a pixel value in [0, 1] is treated as a probability."""

    name = "logits"
    summary = "logits of the image's pixel values"
    losses = ("logits",)

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.channels = channels

    @classmethod
    def from_card(cls, card: ModelCard) -> Self:
        """Return the target for images with the number of channels in the card."""
        return cls(channels=card.channels)

    def answer(self, output: Tensor) -> Tensor:
        """Return the logistic function of logits ``(N, C, H, W)``, the pixel values."""
        return output.sigmoid()
