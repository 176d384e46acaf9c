"""A trained model in one file: weights, and beside them the text that says what network they belong to."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from caelab.errors import InputError
from caelab.files import replacing
from caelab.networks.build import build
from caelab.training.compose import ImageModel

FORMAT = "caelab-1"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What must be known to use weights.

    Attributes:
        network: The network text, in full.
        channels: Of the images.
        size: Height and width in pixels of the training images.
        mean: Subtracted from [0, 1] pixels, by channel.
        std: Divided by, by channel.
        logits: Whether the network's output are logits.
        data: The name of the images it was trained on.
    """

    network: str
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    logits: bool
    data: str


def save_model(file: Path, model: ImageModel, card: ModelCard) -> None:
    """Write a model, atomically, as safetensors with the card in its metadata."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.network.state_dict().items()}
    with replacing(file) as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT, "card": json.dumps(asdict(card))})


def load_model(file: Path, device: torch.device) -> tuple[ImageModel, ModelCard]:
    """Read a model in evaluation mode.

    Raises:
        InputError: The file is missing, damaged, not caelab's, not this network's, or holds numbers not finite.
    """
    try:
        with safe_open(file, framework="pt") as content:
            metadata = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read weights from {file}: {error}") from error
    if metadata.get("format") != FORMAT:
        raise InputError(f"{file} holds no caelab model: its metadata does not say format {FORMAT}.")
    try:
        told = json.loads(metadata["card"])
        card = ModelCard(**{**told, "mean": tuple(told["mean"]), "std": tuple(told["std"])})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: the description in its metadata is damaged ({error}).") from error
    network = build(card.network, channels=card.channels, size=card.size, generator=torch.Generator())
    model = ImageModel(network, mean=card.mean, std=card.std, logits=card.logits)
    try:
        model.network.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{file}: the weights are not those of '{card.network}'. {error}") from error
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise InputError(f"{file}: some weights are not finite numbers; the file is damaged or its training diverged.")
    return model.to(device).eval(), card
