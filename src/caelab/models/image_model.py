"""An image-to-image model: the network between a normalization and a prediction target.

degraded (N, C', H, W) ──► normalize ──► network ──► target ──► image (N, C, H, W) in [0, 1]
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from caelab.errors import InputError
from caelab.kernels.simd import SimdProgram
from caelab.models.card import ModelCard
from caelab.models.channel_affine import ChannelAffine
from caelab.models.targets import BinsTarget, PredictionTarget
from caelab.models.tta import TTA
from caelab.networks.network_module import NetworkModule, Output, Part
from caelab.networks.simd_network import make_simd_program
from caelab.randomness import image_keys

VARIANT_TEMPERATURE = 0.6
"""Default temperature of variants. Training spreads each color over neighboring bins, and a
temperature below 1 narrows the distribution again."""


class ImageModel(nn.Module):
    """An image-to-image model.

    Args:
        network: The module that the text describes.
        mean: Means of the input's channels on [0, 1]; the network sees ``(x − mean) / std``.
        std: Standard deviations of the input's channels.
        target: What the network's output means.
        tta: Test-time augmentation of :meth:`restore` and :meth:`answer`.

    >>> from caelab.models.targets import ChromaTarget
    >>> colorizer = nn.Conv2d(1, 2, 3, padding=1)
    >>> model = ImageModel(colorizer, mean=[0.5], std=[0.2], target=ChromaTarget("lab"))
    >>> gray = torch.rand(4, 1, 32, 32)
    >>> model.answer(gray).shape, model.restore(gray).shape
    (torch.Size([4, 2, 32, 32]), torch.Size([4, 3, 32, 32]))
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        target: PredictionTarget,
        tta: TTA | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.normalize = ChannelAffine.normalization(mean, std)
        self.target = target
        self.tta = tta or TTA()

    @classmethod
    def from_card(cls, network: nn.Module, card: ModelCard) -> "ImageModel":
        """Put a network between the normalization and the target of its card.

        Raises:
            InputError: The target is unknown, or the card lacks what it needs.
        """
        if (kind := PredictionTarget.registry.get(card.target)) is None:
            known = ", ".join(PredictionTarget.registry)
            raise InputError(
                f"the prediction target '{card.target}' is unknown: it is none of {known}. Load"
                " the plug-in that defines it."
            )
        target = kind.from_card(card)
        return cls(network, mean=card.mean, std=card.std, target=target, tta=card.tta)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return what the loss compares, the target's output.

        Args:
            degraded: The input in [0, 1], ``(N, C', H, W)``.

        Returns:
            ``float32 (N, C'', H, W)``.
        """
        # Under autocast the network may answer in bfloat16; targets and losses compute in float32.
        raw: Tensor = self.network(self.normalize(degraded)).float()
        return self.target.output(raw)

    def forward_with_logits(self, degraded: Tensor) -> Output:
        """Return what :meth:`forward` does, and the logits of the network's ``classify`` layers.

        Args:
            degraded: The input in [0, 1], ``(N, C', H, W)``.
        """
        # Any module can be the network, but only a `NetworkModule` has such layers.
        if not isinstance(self.network, NetworkModule):
            return Output(self(degraded))
        image, logits = self.network.forward_with_logits(self.normalize(degraded))
        return Output(self.target.output(image.float()), logits)

    def compiled(self, shape: tuple[int, int, int], part: Part = "whole") -> SimdProgram | None:
        """Return a faster program of :meth:`forward` and its gradient, or ``None``.

        Args:
            shape: ``(C', H, W)`` of the input.
            part: Part of the network to compute.
        """
        network = self.network
        # The kernel does not know the layers of a user's own module.
        if not isinstance(network, NetworkModule):
            return None
        return make_simd_program(
            network.layers_of(part),
            shape,
            input_affine=None if part == "decoder" else self.normalize.coefficients,
            output_affine=None if part == "encoder" else self.target.affine,
        )

    def answer(self, degraded: Tensor) -> Tensor:
        """Return the image in [0, 1], or a colorizer's chroma in the unit of its color space.

        Args:
            degraded: The input in [0, 1], ``(N, C', H, W)``.

        Returns:
            ``float32 (N, C, H, W)``, or chroma ``(N, 2, H, W)`` where ``target.color_space`` is
            set.
        """
        return self.target.answer(self.tta.average(self, degraded))

    def restore(self, degraded: Tensor) -> Tensor:
        """Return the image in [0, 1], ``(N, C, H, W)``, of an input ``(N, C', H, W)``."""
        return self.target.image(self.tta.average(self, degraded), degraded)

    @torch.no_grad()
    def variants(
        self,
        degraded: Tensor,
        count: int,
        *,
        seed: int = 0,
        temperature: float = VARIANT_TEMPERATURE,
        rows: np.ndarray | None = None,
    ) -> Tensor:
        """Return several plausible images in [0, 1] for each input.

        The same seed gives the same variants, and a larger count begins with the same variants.

        Args:
            degraded: The input in [0, 1], ``(N, C', H, W)``.
            count: Number of variants of each image.
            seed: Seed of the draws, not negative.
            temperature: Above 0. 1 draws from the model's own distribution, and less than 1 makes
                improbable colors rarer.
            rows: Numbers ``int64 (N,)`` that distinguish the images' draws; their indices in the
                batch by default.

        Returns:
            ``float32 (N, count, C, H, W)``.

        Raises:
            InputError: The target is no distribution, or the temperature is not above 0.
        """
        target, output = self.distribution, self.tta.average(self, degraded)
        if not temperature > 0:
            raise InputError(
                f"a temperature of {temperature:g} leaves nothing to draw from: it must be above 0."
            )
        # Draws depend on the row, not on the batch, so that any batch size gives the same variants.
        rows = np.arange(len(degraded)) if rows is None else rows
        keys = [image_keys(rows, seed, each).to(degraded.device) for each in range(count)]
        drawn = [target.draw(output, degraded, each, temperature=temperature) for each in keys]
        return torch.stack([target.merged(chroma, degraded) for chroma in drawn], dim=1)

    @property
    def distribution(self) -> BinsTarget:
        """The target of a model that can give several answers.

        Raises:
            InputError: The model gives one answer.
        """
        if not isinstance(self.target, BinsTarget):
            raise InputError(
                "this model has one answer to an image: variants need a model with the target bins."
            )
        return self.target
