"""Scale and shift of channels, for normalization and its inverse."""

from collections.abc import Sequence

import torch
from torch import Tensor, addcmul, nn


class ChannelAffine(nn.Module):
    """Multiplies each channel of images ``(N, C, H, W)`` by ``scale``, and adds ``shift``.

    Args:
        scale: Factor of each channel, ``(C,)``.
        shift: Number added to each channel, ``(C,)``.

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
        # If nothing changes, `forward` saves a pass through memory.
        self._identity = bool((scale == 1).all() and (shift == 0).all())

    @classmethod
    def normalization(cls, mean: Sequence[float], std: Sequence[float]) -> "ChannelAffine":
        """Return the module that computes ``(x − mean) / std`` for each channel."""
        mean_, std_ = torch.tensor(mean), torch.tensor(std)
        return cls(1 / std_, -mean_ / std_)

    @property
    def coefficients(self) -> tuple[Tensor, Tensor] | None:
        """``(scale, shift)``, each ``(C,)``; ``None`` if the map is the identity."""
        return None if self._identity else (self.scale, self.shift)

    def forward(self, images: Tensor) -> Tensor:
        """Return the changed images ``(N, C, H, W)``; the identity returns ``images`` itself."""
        if self._identity:
            return images
        # The channels are last in memory, and whole rows of W·C numbers are computed: an inner loop
        # over three channels would be too short for vector instructions.
        count, channels, height, width = images.shape
        rows = images.permute(0, 2, 3, 1).reshape(count * height, width * channels)
        mapped = addcmul(self.shift.repeat(width), rows, self.scale.repeat(width))
        return mapped.view(count, height, width, channels).permute(0, 3, 1, 2)
