"""Apply a PyTorch model to NumPy arrays."""

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
    """Move a model to a device, and return it as a function of NumPy arrays in evaluation mode.

    The function returns images ``(N, C, H, W)``, or a colorizer's chroma ``(N, 2, H, W)``. The
    result of an image does not depend on the other images in the batch.

    Args:
        model: The model; its device and mode are changed.
        card: Card that describes the model.
        device: Device that computes.

    Raises:
        InputError: The network's output has another size than its input.
    """
    inference = Inference(model.to(device).eval())

    def variants(number: int, seed: int) -> Function:
        target = model.distribution

        def draw(degraded: Tensor) -> Tensor:
            # All images get the same key, so that draws do not depend on an image's index in the
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
    """Make a function of NumPy arrays of a function of tensors ``(N, C, H, W)`` on a device."""

    @torch.inference_mode()
    def apply(images: Floats) -> Floats:
        inputs = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        answers = function(inputs.contiguous(memory_format=torch.channels_last))
        return answers.float().cpu().contiguous().numpy()

    return apply
