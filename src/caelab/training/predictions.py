"""What a network's output means: the way from its numbers to an image, and what the loss compares them with.

rgb       output ──► an image                                              compared with the clean image
logits    output ──► logistic function ──► an image                        compared with the clean image
chroma    output ──► two chroma planes, merged with the given luminance    compared with the clean image's planes
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from caelab.color import SPACES, merge
from caelab.impair.apply import gray
from caelab.training.affine import affine


class Prediction(Protocol):
    """From a network's output to an image.

    Attributes:
        channels: That the network gives.
        term: What a loss of the output is called, put before its name; ``""`` where it is one of the image itself.
    """

    channels: int
    term: str

    def output(self, raw: Tensor) -> Tensor:
        """Bring what the network gave, ``float32 (N, C', H, W)``, to the unit in which it is compared."""
        ...

    def target(self, clean: Tensor) -> Tensor:
        """Return what :meth:`output` is compared with, for clean images in [0, 1] ``(N, C, H, W)``."""
        ...

    def image(self, output: Tensor, given: Tensor) -> Tensor:
        """Return the image in [0, 1] that is meant, where the network was ``given`` ``(N, C'', H, W)``."""
        ...


class RgbPrediction(nn.Module):
    """The output is the image, normalised as ``(x − mean) / std`` by channel."""

    mean: Tensor
    std: Tensor
    term = ""

    def __init__(self, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.channels = len(mean)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)
        self._identity = not any(mean) and all(value == 1 for value in std)

    def output(self, raw: Tensor) -> Tensor:
        """Undo the normalisation; the image is not clipped."""
        return raw if self._identity else affine(raw, self.std, self.mean)

    def target(self, clean: Tensor) -> Tensor:
        """Return the clean image itself."""
        return clean

    def image(self, output: Tensor, given: Tensor) -> Tensor:  # noqa: ARG002
        """Clip."""
        return output.clamp(0, 1)


class LogitPrediction(nn.Module):
    """The output are logits of the pixel values, for binary cross-entropy."""

    term = ""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def output(self, raw: Tensor) -> Tensor:
        """Return the logits."""
        return raw

    def target(self, clean: Tensor) -> Tensor:
        """Return the clean image itself."""
        return clean

    def image(self, output: Tensor, given: Tensor) -> Tensor:  # noqa: ARG002
        """Apply the logistic function."""
        return output.sigmoid()


class ChromaPrediction(nn.Module):
    """The output are two chroma planes in units of the space's usual deviation; the luma is the given one's.

    Colors outside sRGB are desaturated until the luma is kept to rounding (``color.desaturate``).
    """

    term = "chroma_"

    def __init__(self, *, space: str) -> None:
        super().__init__()
        self.channels = 2
        self.space = SPACES[space]

    def output(self, raw: Tensor) -> Tensor:
        """Return the planes as they are."""
        return raw

    def target(self, clean: Tensor) -> Tensor:
        """Return the clean image's chroma planes, ``(N, 2, H, W)``, of about unit variance."""
        return self.space.chroma(clean) / self.space.chroma_scale

    def image(self, output: Tensor, given: Tensor) -> Tensor:
        """Merge the planes with the luma of ``given``, which has one channel, or three of which the luma counts."""
        return merge(gray(given).clamp(0, 1), output * self.space.chroma_scale, self.space, gamut="desaturate")
