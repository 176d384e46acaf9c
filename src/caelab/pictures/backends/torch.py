"""A model of PyTorch as a function of arrays."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from caelab.models.card import ModelCard
from caelab.models.image_model import VARIANT_TEMPERATURE, ImageModel
from caelab.models.inference import Inference
from caelab.networks.parser import parse
from caelab.pictures.backends.base import Function, PictureModel, geometry_of
from caelab.pictures.picture import Floats
from caelab.randomness import image_keys


def torch_picture_model(model: ImageModel, card: ModelCard, device: torch.device) -> PictureModel:
    """Return the model, in evaluation mode on ``device``, as a function of arrays.

    Its answers have the shape ``(N, C, H, W)``, chroma ``(N, 2, H, W)``. An image's answer does not
    depend on the other images in a batch.

    Args:
        model: The model.
        card: Card of the model.
        device: Device that computes.

    Raises:
        InputError: The network's output has another size than its input.
    """
    inference = Inference(model.to(device).eval())

    def variants(number: int, seed: int) -> Function:
        target = model.distribution

        def draw(degraded: Tensor) -> Tensor:
            # All images get the key of the variant, which does not depend on their index in the
            # batch.
            keys = image_keys(np.full(len(degraded), number, np.int64), seed, 0).to(device)
            output = inference.output(degraded)
            return target.draw(output, degraded, keys, temperature=VARIANT_TEMPERATURE)

        return on_arrays(draw, device)

    return PictureModel.of_card(
        card,
        on_arrays(inference.answer, device),
        geometry_of(parse(card.network), channels=len(card.mean), size=card.size, tta=card.tta),
        color_space=model.target.color_space,
        variants=variants,
    )


def on_arrays(function: Callable[[Tensor], Tensor], device: torch.device) -> Function:
    """Return a function of tensors ``(N, C, H, W)`` on a device as a function of arrays."""

    @torch.inference_mode()
    def apply(images: Floats) -> Floats:
        inputs = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        answers = function(inputs.contiguous(memory_format=torch.channels_last))
        return answers.float().cpu().contiguous().numpy()

    return apply
