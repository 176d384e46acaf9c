"""From pixels to the network and back: the network between a normalisation and its inverse."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ImageModel(nn.Module):
    """An image-to-image model: ``images [0, 1] → normalise → network → undo → images``.

    The normalisation ``(x − mean) / std`` is by channel; ``mean`` 0 and ``std`` 1 leave the range [0, 1].
    With ``logits`` the network's output are logits of the pixel values (for binary cross-entropy), which the
    logistic function turns into an image; the output normalisation does not apply then.

    Attributes:
        network: The module that the text describes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, mean: Sequence[float], std: Sequence[float], logits: bool) -> None:
        super().__init__()
        self.network = network
        self.logits = logits
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)
        self._identity = not any(mean) and all(value == 1 for value in std)

    def forward(self, images: Tensor) -> Tensor:
        """Return what the loss compares: an image estimate (not clipped), or logits; ``float32 (N, C, H, W)``."""
        output: Tensor = self.network(self.inputs(images)).float()
        return output if self._identity or self.logits else _affine(output, self.std, self.mean)

    def inputs(self, images: Tensor) -> Tensor:
        """Return what the network is given for ``images`` in [0, 1]: the same shape, normalised."""
        return images if self._identity else _affine(images, 1 / self.std, -self.mean / self.std)

    def image(self, output: Tensor) -> Tensor:
        """Turn what :meth:`forward` returned into an image clipped to [0, 1]."""
        return output.sigmoid() if self.logits else output.clamp(0, 1)


def _affine(images: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return ``images · scale + shift`` by channel, in one pass over memory that has the channels last.

    Row by row of pixels, as an inner loop over three channels alone would be too short to vectorise.
    """
    count, channels, height, width = images.shape
    rows = images.permute(0, 2, 3, 1).reshape(count * height, width * channels)
    mapped = torch.addcmul(shift.repeat(width), rows, scale.repeat(width))
    return mapped.view(count, height, width, channels).permute(0, 3, 1, 2)
