"""The two networks as usually written in torch."""

import torch
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """An encoder and a decoder of images ``(N, 3, H, W)`` in [0, 1]."""

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct images ``(N, 3, H, W)``."""
        output: Tensor = self.decoder(self.encoder(images))
        return output


class Residual(nn.Module):
    """The residual block x + conv(gelu(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual to ``(N, C, H, W)``."""
        y: Tensor = self.second(torch.nn.functional.gelu(self.first(x)))
        return x + y


def reference() -> Autoencoder:
    """Return ``conv8 pool conv12 pool conv16 | up conv12 up conv3``: 4,911 weights."""
    encoder = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(),
    )
    decoder = nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.Conv2d(16, 12, 3, padding=1),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(12, 3, 3, padding=1),
    )
    return Autoencoder(encoder, decoder)


def residual() -> Autoencoder:
    """Return ``caelab``'s preset ``residual``.

    It has two residual blocks each way and a linear code of 12×8×8 = 768 numbers.
    """
    encoder = nn.Sequential(
        nn.PixelUnshuffle(4),
        nn.Conv2d(48, 96, 3, padding=1),
        nn.ReLU(),
        Residual(96),
        Residual(96),
        nn.Conv2d(96, 12, 1),
    )
    decoder = nn.Sequential(
        nn.Conv2d(12, 96, 3, padding=1),
        nn.ReLU(),
        Residual(96),
        Residual(96),
        nn.Conv2d(96, 48, 3, padding=1),
        nn.PixelShuffle(4),
    )
    return Autoencoder(encoder, decoder)


NETWORKS = {"reference": reference, "residual": residual}


def count_weights(module: nn.Module) -> int:
    """Return the number of all weights and biases."""
    return sum(parameter.numel() for parameter in module.parameters())
