"""A model of PyTorch as a function of arrays."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from caelab.degrade.degradation import parse_degradation
from caelab.models.card import ModelCard
from caelab.models.image_model import VARIANT_TEMPERATURE, ImageModel
from caelab.models.inference import Inference
from caelab.networks.parser import parse
from caelab.pictures.backends.base import Geometry, PictureModel, geometry_of
from caelab.pictures.picture import Floats
from caelab.randomness import image_keys


def torch_picture_model(model: ImageModel, card: ModelCard, device: torch.device) -> PictureModel:
    """Return the model, in evaluation mode on ``device``, as a function of arrays.

    Its answers have the shape ``(N, C, H, W)``, chroma ``(N, 2, H, W)``.

    Raises:
        InputError: The network's output has another size than its input.
    """
    return _picture_model(model, card, device, Inference(model).answer)


def torch_variant_model(
    model: ImageModel, card: ModelCard, device: torch.device, *, number: int, seed: int
) -> PictureModel:
    """Return the model with one of its plausible answers.

    An image's answer does not depend on the other images in a batch.

    Args:
        model: A model whose target is a distribution.
        card: Card of the model.
        device: Device that computes.
        number: Index of the variant.
        seed: Seed of the draws.

    Raises:
        InputError: The model gives one answer, or its output has another size than its input.
    """
    target, inference = model.distribution, Inference(model)

    def draw(degraded: Tensor) -> Tensor:
        # All images get the variant's key, not one of their own index in the batch.
        keys = image_keys(np.full(len(degraded), number, np.int64), seed, 0).to(degraded.device)
        output = inference.output(degraded)
        return target.draw(output, degraded, keys, temperature=VARIANT_TEMPERATURE)

    return _picture_model(model, card, device, draw)


def _picture_model(
    model: ImageModel, card: ModelCard, device: torch.device, answer: Callable[[Tensor], Tensor]
) -> PictureModel:
    degradation = parse_degradation(card.degradation)
    model.to(device).eval()

    @torch.inference_mode()
    def function(images: Floats) -> Floats:
        degraded = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        answers = answer(degraded.contiguous(memory_format=torch.channels_last))
        return answers.float().cpu().contiguous().numpy()

    return PictureModel(
        function=function,
        channels=degradation.channels(card.channels),
        geometry=geometry_of_card(card),
        size=card.size,
        degradation=degradation,
        color_space=model.target.color_space,
    )


def geometry_of_card(card: ModelCard) -> Geometry:
    """Return the sizes that a model takes, with its test-time augmentation.

    Raises:
        InputError: The network's output has another size than its input.
    """
    channels = parse_degradation(card.degradation).channels(card.channels)
    return geometry_of(
        parse(card.network),
        channels=channels,
        size=card.size,
        shift=card.tta.shift,
        scale=card.tta.scale,
    )
