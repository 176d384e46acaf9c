"""A trained model of PyTorch as a function of arrays."""

import numpy as np
import torch

from caelab.experiments.weights import ModelCard
from caelab.impair import parse_impairment
from caelab.photos.luma import Floats
from caelab.photos.model import PictureModel, geometry_of
from caelab.training.compose import ImageModel


def torch_picture_model(model: ImageModel, card: ModelCard, device: torch.device) -> PictureModel:
    """Return the model, in evaluation mode on ``device``, for pictures.

    Raises:
        InputError: Its output has not the size of its input.
    """
    channels = parse_impairment(card.impair).channels(card.channels)
    model = model.to(device).eval()

    @torch.inference_mode()
    def function(images: Floats) -> Floats:
        given = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        restored = model.restore(given.contiguous(memory_format=torch.channels_last))
        return restored.float().cpu().contiguous().numpy()

    geometry = geometry_of(card.network, channels=channels, size=card.size)
    return PictureModel(function=function, channels=channels, geometry=geometry)
