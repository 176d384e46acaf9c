"""Scale and shift of channels, for normalization and its inverse."""

from collections.abc import Sequence

import torch
from torch import Tensor, addcmul, nn


class ChannelAffine(nn.Module):
    """Multiply each channel by ``scale`` and add ``shift``, ``(N, C, H, W)`` to the same shape.

    Args:
        scale: Factors, one per channel.
        shift: Summands, one per channel.

    >>> normalize = ChannelAffine.normalization(mean=[0.5], std=[0.25])
    >>> normalize(torch.full((1, 1, 2, 2), 0.75)).unique().item()
    1.0
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        # Found once, so that without normalization no pass through memory is needed.
        self._identity = bool((scale == 1).all() and (shift == 0).all())

    @classmethod
    def normalization(cls, mean: Sequence[float], std: Sequence[float]) -> "ChannelAffine":
        """Return the map ``(x − mean) / std``."""
        mean_, std_ = torch.tensor(mean), torch.tensor(std)
        return cls(1 / std_, -mean_ / std_)

    @property
    def coefficients(self) -> tuple[Tensor, Tensor] | None:
        """``(scale, shift)``, each ``(C,)``; ``None`` if the map is the identity."""
        return None if self._identity else (self.scale, self.shift)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)``; the identity returns them as they are."""
        if self._identity:
            return images
        # One pass over memory that has the channels last, in rows of W·C numbers: an inner loop
        # over three channels would be too short for vector instructions.
        count, channels, height, width = images.shape
        rows = images.permute(0, 2, 3, 1).reshape(count * height, width * channels)
        mapped = addcmul(self.shift.repeat(width), rows, self.scale.repeat(width))
        return mapped.view(count, height, width, channels).permute(0, 3, 1, 2)
