"""A trained model in one file: weights, and beside them the text that says what network they belong
to.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from caelab.degrade.degradation import parse_degradation
from caelab.errors import InputError
from caelab.files import replacing
from caelab.models.color_bins import ColorBins
from caelab.models.image_model import ImageModel
from caelab.models.prediction_heads import (
    BinsPrediction,
    ChromaPrediction,
    LogitPrediction,
    Prediction,
    RgbPrediction,
)
from caelab.networks.build import build
from caelab.networks.parser import parse

FORMAT = "caelab-2"

Predict = Literal["rgb", "logits", "chroma", "bins"]


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What must be known to use weights.

    Attributes:
        network: The network text, in full, as it is for the task.
        impair: What was done to the images that the network was given.
        predict: What its output means: ``"rgb"``, ``"logits"``, ``"chroma"`` or ``"bins"``.
        space: The color space of chroma.
        bins: Of chroma, where the output is a distribution over them.
        average_flips: Whether answers for mirror images are averaged.
        average_shift: By how many pixels an image is moved for more answers, averaged with the
            first; 0 for none.
        average_enlarged: Whether the answer for an image enlarged by a quarter is averaged with
            that for the image.
        channels: Of the clean images.
        size: Height and width in pixels of the training images.
        mean: Of what is given, by channel, subtracted from [0, 1] pixels.
        std: Of what is given, by channel, divided by.
        output_mean: Of the clean images, by channel.
        output_std: Of the clean images, by channel.
        data: The name of the images it was trained on.
    """

    network: str
    impair: str
    predict: Predict
    space: str
    average_flips: bool
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    output_mean: tuple[float, ...]
    output_std: tuple[float, ...]
    data: str
    bins: ColorBins | None = None
    average_shift: int = 0
    average_enlarged: bool = False


def make_prediction(card: ModelCard) -> Prediction:
    """Return what a network's output means, by its card."""
    match card.predict:
        case "rgb":
            return RgbPrediction(mean=card.output_mean, std=card.output_std)
        case "logits":
            return LogitPrediction(channels=card.channels)
        case "bins":
            assert card.bins is not None
            return BinsPrediction(space=card.space, bins=card.bins)
    return ChromaPrediction(space=card.space)


def compose_model(network: nn.Module, card: ModelCard) -> ImageModel:
    """Put a network between its normalisation and its prediction."""
    return ImageModel(
        network,
        mean=card.mean,
        std=card.std,
        prediction=make_prediction(card),
        average_flips=card.average_flips,
        average_shift=card.average_shift,
        average_enlarged=card.average_enlarged,
    )


def save_model(
    file: Path, model: ImageModel, card: ModelCard, *, dtype: torch.dtype = torch.float32
) -> None:
    """Write a model, atomically, as safetensors of that type with the card in its metadata."""
    tensors = {
        name: value.detach().cpu().to(dtype).contiguous()
        for name, value in model.network.state_dict().items()
    }
    with replacing(file) as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT, "card": json.dumps(asdict(card))})


def load_model(file: Path, device: torch.device) -> tuple[ImageModel, ModelCard]:
    """Read a model in evaluation mode.

    Raises:
        InputError: The file is missing, damaged, not caelab's, not this network's, or holds numbers
            not finite.
    """
    try:
        with safe_open(file, framework="pt") as content:
            metadata = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read weights from {file}: {error}") from error
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{file} holds no caelab model: its metadata does not say format {FORMAT}."
        )
    try:
        told: dict[str, Any] = json.loads(metadata["card"])
        tuples = {name: tuple(told[name]) for name in ("mean", "std", "output_mean", "output_std")}
        bins = _read_bins(told.get("bins"))
        card = ModelCard(**{**told, **tuples, "bins": bins})
        if (card.predict == "bins") != (bins is not None):
            raise ValueError("bins of chroma belong to predict 'bins', and to nothing else")
        given = parse_degradation(card.impair).channels(card.channels)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file}: the description in its metadata is damaged ({error})."
        ) from error
    model = compose_model(
        build(parse(card.network), channels=given, size=card.size, generator=torch.Generator()),
        card,
    )
    try:
        model.network.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(
            f"{file}: the weights are not those of '{card.network}'. {error}"
        ) from error
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise InputError(
            f"{file}: some weights are not finite numbers; the file is damaged or its training"
            " diverged."
        )
    return model.to(device).eval(), card


def _read_bins(told: dict[str, Any] | None) -> ColorBins | None:
    if told is None:
        return None
    cells = tuple((int(first), int(second)) for first, second in told["cells"])
    return ColorBins(
        **{**told, "cells": cells, "frequencies": tuple(map(float, told["frequencies"]))}
    )
