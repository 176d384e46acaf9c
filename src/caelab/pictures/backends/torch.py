"""A model of PyTorch as a function of arrays."""

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


def torch_picture_model(
    model: ImageModel,
    card: ModelCard,
    device: torch.device,
    *,
    variant: tuple[int, int] | None = None,
) -> PictureModel:
    """Return the model, in evaluation mode on ``device``, as a function of arrays.

    Its answers have the shape ``(N, C, H, W)``, chroma ``(N, 2, H, W)``. An image's answer does not
    depend on the other images in a batch.

    Args:
        model: The model; for a variant, one whose target is a distribution.
        card: Card of the model.
        device: Device that computes.
        variant: Index of one plausible answer, and the seed of the draws; by default the mean.

    Raises:
        InputError: The model gives one answer only and a variant is asked for, or the network's
            output has another size than its input.
    """
    degradation = parse_degradation(card.degradation)
    target = model.target if variant is None else model.distribution
    inference = Inference(model.to(device).eval())

    def draw(degraded: Tensor, number: int, seed: int) -> Tensor:
        # All images get the variant's key, not one of their own index in the batch.
        keys = image_keys(np.full(len(degraded), number, np.int64), seed, 0).to(device)
        output = inference.output(degraded)
        return model.distribution.draw(output, degraded, keys, temperature=VARIANT_TEMPERATURE)

    @torch.inference_mode()
    def function(images: Floats) -> Floats:
        degraded = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        degraded = degraded.contiguous(memory_format=torch.channels_last)
        answers = draw(degraded, *variant) if variant else inference.answer(degraded)
        return answers.float().cpu().contiguous().numpy()

    return PictureModel(
        function=function,
        channels=degradation.channels(card.channels),
        geometry=geometry_of_card(card),
        size=card.size,
        degradation=degradation,
        color_space=target.color_space,
    )


def geometry_of_card(card: ModelCard) -> Geometry:
    """Return the sizes that a model takes, with its test-time augmentation.

    Raises:
        InputError: The network's output has another size than its input.
    """
    return geometry_of(
        parse(card.network),
        channels=len(card.mean),
        size=card.size,
        shift=card.tta.shift,
        scale=card.tta.scale,
    )
