"""From what is given to an image: the network between a normalisation and a prediction.

given (N, C', H, W) ──► normalise ──► network ──► prediction ──► image (N, C, H, W) in [0, 1]
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from caelab.training.affine import affine
from caelab.training.predictions import Prediction


class ImageModel(nn.Module):
    """An image-to-image model.

    What is given is normalised as ``(x − mean) / std`` by channel; ``mean`` 0 and ``std`` 1 leave its range.

    Attributes:
        network: The module that the text describes.
        prediction: What its output means.
        average_flips: Whether :meth:`restore` averages the answers for the image and for its mirror image.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        prediction: Prediction,
        average_flips: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.prediction = prediction
        self.average_flips = average_flips
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)
        self._identity = not any(mean) and all(value == 1 for value in std)

    def forward(self, given: Tensor) -> Tensor:
        """Return what the loss compares, the prediction's output, ``float32 (N, C', H, W)``."""
        raw: Tensor = self.network(self.inputs(given)).float()
        return self.prediction.output(raw)

    def inputs(self, given: Tensor) -> Tensor:
        """Return what the network is given, normalised: the same shape."""
        return given if self._identity else affine(given, 1 / self.std, -self.mean / self.std)

    def restore(self, given: Tensor) -> Tensor:
        """Return the image in [0, 1], ``float32 (N, C, H, W)``, for what is given."""
        output = self(given)
        if self.average_flips:
            output = (output + self(given.flip(3)).flip(3)) / 2
        return self.prediction.image(output, given)
