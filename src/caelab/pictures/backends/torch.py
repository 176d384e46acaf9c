"""A trained model of PyTorch as a function of arrays."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from caelab.degrade.degradation import parse_degradation
from caelab.errors import InputError
from caelab.models.image_model import ImageModel
from caelab.models.inference import Inference
from caelab.models.prediction_heads import BinsPrediction
from caelab.models.weights_file import ModelCard
from caelab.networks.parser import parse
from caelab.pictures.luma import Floats
from caelab.pictures.picture_model import Geometry, PictureModel, geometry_of


def torch_picture_model(model: ImageModel, card: ModelCard, device: torch.device) -> PictureModel:
    """Return the model, in evaluation mode on ``device``, for pictures.

    Raises:
        InputError: Its output has not the size of its input.
    """
    return _picture_model(model, card, device, Inference(model).restore)


def torch_variant_model(
    model: ImageModel, card: ModelCard, device: torch.device, *, number: int, seed: int
) -> PictureModel:
    """Return the model that gives one of its plausible answers, the same for a picture whatever
    others are beside it.

    Args:
        model: With several answers.
        card: The model's.
        device: Where to compute.
        number: Of the variant, counted from 0.
        seed: Of chance.

    Raises:
        InputError: The model has one answer to an image, or its output has not the size of its
            input.
    """
    if not isinstance(model.prediction, BinsPrediction):
        raise InputError(
            "this model has one answer to a picture: variants need one trained with --predict bins."
        )

    def draw(given: Tensor) -> Tensor:
        # Chance tells images apart by their row; here it shall tell variants apart, and not a
        # batch's pictures.
        rows = np.full(len(given), number, np.int64)
        return model.variants(given, 1, seed=seed, rows=rows)[:, 0]

    return _picture_model(model, card, device, draw)


def _picture_model(
    model: ImageModel, card: ModelCard, device: torch.device, answer: Callable[[Tensor], Tensor]
) -> PictureModel:
    degradation = parse_degradation(card.impair)
    channels = degradation.channels(card.channels)
    model.to(device).eval()

    @torch.inference_mode()
    def function(images: Floats) -> Floats:
        given = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        restored = answer(given.contiguous(memory_format=torch.channels_last))
        return restored.float().cpu().contiguous().numpy()

    geometry = geometry_of_card(card)
    return PictureModel(
        function=function,
        channels=channels,
        geometry=geometry,
        size=card.size,
        degradation=degradation,
    )


def geometry_of_card(card: ModelCard) -> Geometry:
    """Return the sizes that a model takes, averaged answers included.

    Raises:
        InputError: Its network gives back no image of the size that it is given.
    """
    return geometry_of(
        parse(card.network),
        channels=parse_degradation(card.impair).channels(card.channels),
        size=card.size,
        average_shift=card.average_shift,
        average_enlarged=card.average_enlarged,
    )
