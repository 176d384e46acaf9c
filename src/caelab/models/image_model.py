"""An image-to-image model: a network between a normalization and a prediction target.

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
"""Default temperature at which variants of an image are drawn. Training spreads each color over
neighboring bins, and a temperature below 1 narrows the distribution again."""


class ImageModel(nn.Module):
    """An image-to-image model: the network, its normalization, and its prediction target.

    Args:
        network: The network.
        mean: Means of the input's channels, for pixels in [0, 1]. The network gets
            ``(x − mean) / std``.
        std: Standard deviations of the input's channels.
        target: Prediction target, which says what the network's output means.
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
        """Return a model with the normalization and the target that the network's card describes.

        Raises:
            InputError: The target is unknown, or the card lacks what the target needs.
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
        """Return the network's output in the unit in which the loss compares it.

        Args:
            degraded: The input in [0, 1], ``(N, C', H, W)``.

        Returns:
            Result of ``target.output``, ``float32 (N, C'', H, W)``.
        """
        # Under autocast the network can return bfloat16; targets and losses compute in float32.
        raw: Tensor = self.network(self.normalize(degraded)).float()
        return self.target.output(raw)

    def forward_with_logits(self, degraded: Tensor) -> Output:
        """Return the result of :meth:`forward`, and the logits of all ``classify`` layers.

        Args:
            degraded: The input in [0, 1], ``(N, C', H, W)``.
        """
        # Any module can be the network, but only a `NetworkModule` has `classify` layers.
        if not isinstance(self.network, NetworkModule):
            return Output(self(degraded))
        image, logits = self.network.forward_with_logits(self.normalize(degraded))
        return Output(self.target.output(image.float()), logits)

    def compiled(self, shape: tuple[int, int, int], part: Part = "whole") -> SimdProgram | None:
        """Return a C program that computes :meth:`forward` and its gradient.

        The result is ``None`` if the C kernel cannot compute the part, or if PyTorch is faster.

        Args:
            shape: Shape of the part's input without the batch, ``(C, H, W)``.
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
            The image, ``float32 (N, C, H, W)``; if ``target.color_space`` is set, chroma
            ``(N, 2, H, W)``.
        """
        return self.target.answer(self.tta.average(self, degraded))

    def restore(self, degraded: Tensor) -> Tensor:
        """Return the restored image in [0, 1], ``(N, C, H, W)``, for an input ``(N, C', H, W)``."""
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

        The same seed gives the same variants. A larger ``count`` only adds variants at the end.

        Args:
            degraded: The input in [0, 1], ``(N, C', H, W)``.
            count: Number of variants of each image.
            seed: Seed of the draws, not negative.
            temperature: Temperature of the distribution, above 0. At 1, colors are drawn from the
                model's own distribution; below 1, improbable colors are drawn more rarely.
            rows: A number for each image, ``int64 (N,)``, not negative. Images with different
                numbers get different random numbers. The default is the image's index in the batch.

        Returns:
            The variants, ``float32 (N, count, C, H, W)``.

        Raises:
            InputError: The target is not ``bins``, or the temperature is not above 0.
        """
        target, output = self.distribution, self.tta.average(self, degraded)
        if not temperature > 0:
            raise InputError(
                f"variants cannot be drawn at the temperature {temperature:g}: it must be above 0."
            )
        # An image's draws depend on its row only, so every batch size gives the same variants.
        rows = np.arange(len(degraded)) if rows is None else rows
        keys = [image_keys(rows, seed, each).to(degraded.device) for each in range(count)]
        drawn = [target.draw(output, degraded, each, temperature=temperature) for each in keys]
        return torch.stack([target.merged(chroma, degraded) for chroma in drawn], dim=1)

    @property
    def distribution(self) -> BinsTarget:
        """The target ``bins`` of this model, from which several answers can be drawn.

        Raises:
            InputError: The model has another target, which gives only one answer.
        """
        if not isinstance(self.target, BinsTarget):
            raise InputError(
                "this model has only one answer for an image: variants need a model with the target"
                " bins."
            )
        return self.target
