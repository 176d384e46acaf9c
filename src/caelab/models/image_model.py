"""From what is given to an image: the network between a normalisation and a prediction.

given (N, C', H, W) ──► normalise ──► network ──► prediction ──► image (N, C, H, W) in [0, 1]
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caelab.errors import InputError
from caelab.models.affine import affine
from caelab.models.prediction_heads import BinsPrediction, Prediction
from caelab.networks.network_module import NetworkModule, Output
from caelab.networks.simd_network import SimdNetwork, make_simd_network
from caelab.randomness import image_keys

ENLARGED_SHARE = 1 / 3
"""What the answer for an enlarged image counts beside that for the image as it is, chosen on
validation images."""

Part = Literal["whole", "encoder", "decoder"]
"""Of a network's way from image to image."""

VARIANT_TEMPERATURE = 0.6
"""Of variants, where none is named. Training spreads each color over its neighbours; this narrows
it again."""


class ImageModel(nn.Module):
    """An image-to-image model.

    What is given is normalised as ``(x − mean) / std`` by channel; ``mean`` 0 and ``std`` 1 leave
    its range.

    Attributes:
        network: The module that the text describes.
        prediction: What its output means.
        average_flips: Whether :meth:`restore` averages the answers for the image and for its mirror
            image.
        average_shift: By how many pixels an image is moved, down and right, and up and left, for
            two more answers that :meth:`restore` averages with the first; 0 for the first alone.
        average_enlarged: Whether the answer for the image enlarged by a quarter, whose sides are to
            be multiples of 4, is averaged with that for the image as it is.
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
        average_shift: int = 0,
        average_enlarged: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.prediction = prediction
        self.average_flips = average_flips
        self.average_shift = average_shift
        self.average_enlarged = average_enlarged
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)
        self._identity = not any(mean) and all(value == 1 for value in std)

    def forward(self, given: Tensor) -> Tensor:
        """Return what the loss compares, the prediction's output, ``float32 (N, C', H, W)``."""
        raw: Tensor = self.network(self.inputs(given)).float()
        return self.prediction.output(raw)

    def forward_with_logits(self, given: Tensor) -> Output:
        """Return what :meth:`forward` does, and the logits of the network's ``classify`` layers."""
        if not isinstance(self.network, NetworkModule):
            return Output(self(given))
        image, logits = self.network.forward_with_logits(self.inputs(given))
        return Output(self.prediction.output(image.float()), logits)

    def inputs(self, given: Tensor) -> Tensor:
        """Return what the network is given, normalised: the same shape."""
        return given if self._affine is None else affine(given, *self._affine)

    @property
    def _affine(self) -> tuple[Tensor, Tensor] | None:
        """By what normalising multiplies each channel and what it adds; ``None`` if it changes
        nothing.
        """
        return None if self._identity else (1 / self.std, -self.mean / self.std)

    def compiled(self, shape: tuple[int, int, int], part: Part = "whole") -> SimdNetwork | None:
        """Return what computes :meth:`forward` and its gradient faster on a CPU, where there is
        something.

        Args:
            shape: (C'', H, W) of what is given.
            part: Of the way from what is given to the prediction's output: all, to the code, or
                from it.
        """
        network = self.network
        if not isinstance(network, NetworkModule):
            return None
        return make_simd_network(
            network if part == "whole" else network.part(part),
            shape,
            input_affine=None if part == "decoder" else self._affine,
            output_affine=None if part == "encoder" else self.prediction.affine,
        )

    def restore(
        self, given: Tensor, *, forward: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Return the image in [0, 1], ``float32 (N, C, H, W)``, for what is given.

        Args:
            given: ``(N, C', H, W)``.
            forward: What computes :meth:`forward`; by default the model does.
        """
        return self.prediction.image(self._answer(given, forward or self), given)

    @torch.no_grad()
    def variants(
        self,
        given: Tensor,
        count: int,
        *,
        seed: int = 0,
        temperature: float = VARIANT_TEMPERATURE,
        rows: np.ndarray | None = None,
    ) -> Tensor:
        """Return several plausible images in [0, 1] for each that is given, ``float32 (N, count, C,
        H, W)``.

        The same seed gives the same variants, and the first of more are those of fewer.

        Args:
            given: ``(N, C', H, W)``.
            count: Variants of each image.
            seed: Of chance, not negative.
            temperature: Above 0; 1 draws from the model's own distribution, less leaves improbable
                colors out.
            rows: A number for each image, ``int64 (N,)``, by which chance tells it from others; by
                default its place in the batch.

        Raises:
            InputError: The model's prediction is no distribution, or the temperature is not above
                0.
        """
        if not isinstance(self.prediction, BinsPrediction):
            raise InputError(
                "this model has one answer to an image: variants need one trained with --predict"
                " bins."
            )
        if not temperature > 0:
            raise InputError(
                f"a temperature of {temperature:g} leaves nothing to draw from: it must be above 0."
            )
        output = self._answer(given, self)
        rows = np.arange(len(given)) if rows is None else rows
        drawn = []
        for variant in range(count):
            keys = image_keys(rows, seed, variant).to(given.device)
            drawn.append(self.prediction.variant(output, given, keys, temperature=temperature))
        return torch.stack(drawn, dim=1)

    def _answer(self, given: Tensor, forward: Callable[[Tensor], Tensor]) -> Tensor:
        output = self._averaged(given, forward)
        if self.average_flips:
            output = (output + self._averaged(given.flip(3), forward).flip(3)) / 2
        return output

    def _averaged(self, given: Tensor, forward: Callable[[Tensor], Tensor]) -> Tensor:
        output = self._shift_averaged(given, forward)
        if self.average_enlarged:
            height, width = given.shape[2:]
            larger = F.interpolate(given, size=(height * 5 // 4, width * 5 // 4), mode="bicubic")
            reduced = F.interpolate(
                self._shift_averaged(larger, forward), size=(height, width), mode="bilinear"
            )
            output = output.lerp(reduced, ENLARGED_SHARE)
        return output

    def _shift_averaged(self, given: Tensor, forward: Callable[[Tensor], Tensor]) -> Tensor:
        """The mean over the image as it is, moved down and right, and moved up and left: pooling
        meets other squares.

        Each counts where it has the pixel.
        """
        output = forward(given)
        if not self.average_shift:
            return output
        shift, (height, width) = self.average_shift, given.shape[2:]
        before, behind = (shift, 0, shift, 0), (0, shift, 0, shift)

        def placed(part: Tensor, padding: tuple[int, ...]) -> Tensor:
            return F.pad(part, padding)[:, :, :height, :width]

        down = forward(F.pad(given, before, mode="replicate")[:, :, :height, :width])[
            :, :, shift:, shift:
        ]
        up = forward(F.pad(given, behind, mode="replicate")[:, :, shift:, shift:])[
            :, :, :-shift, :-shift
        ]
        total = output + placed(down, behind) + placed(up, before)
        ones = torch.ones_like(down[:1, :1])
        return total / (1 + placed(ones, behind) + placed(ones, before))
