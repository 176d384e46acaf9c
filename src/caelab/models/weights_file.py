"""Write and read a trained model as one file with its weights and its card."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from caelab.errors import InputError
from caelab.files import write_bytes
from caelab.models.card import FORMAT, ModelCard, read_card_of
from caelab.models.image_model import ImageModel
from caelab.networks.build import build
from caelab.networks.describe import describe
from caelab.networks.parser import parse
from caelab.registry import PLUGIN_HINT


def save_model(
    file: Path, model: ImageModel, card: ModelCard, *, dtype: torch.dtype = torch.float32
) -> None:
    """Write a model to a safetensors file, atomically.

    Args:
        file: Path of the new file.
        model: Model whose network's weights are written.
        card: Card of the model, which is written to the metadata.
        dtype: Type in which the weights are stored.
    """
    tensors = {
        name: value.detach().cpu().to(dtype).contiguous()
        for name, value in model.network.state_dict().items()
    }
    metadata = {"format": FORMAT, "card": json.dumps(card.to_dict())}
    write_bytes(file, _with_sorted_header(save(tensors, metadata)))


def _with_sorted_header(content: bytes) -> bytes:
    """Return the bytes of a safetensors file with the names in its header sorted.

    The library writes metadata in a random order, and equal models should have equal files.
    """
    # A file starts with the length of the header, in 8 bytes. The header is JSON, padded with
    # blanks to a multiple of 8 bytes.
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[start:]


def load_model(file: Path, device: torch.device) -> tuple[ImageModel, ModelCard]:
    """Read a model and its card from a file; the model is on ``device`` and in evaluation mode.

    Raises:
        InputError: The file is missing, damaged or no caelab model; its weights do not fit the
            network that its card names; or some weights are not finite numbers.
    """
    # The card is read first, because it says which network the weights must fit.
    card = read_card_of(file)
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read weights from {file}: {error}") from error
    try:
        parsed = parse(card.network)
        # A short text can describe a network with gigabytes of weights, so the number of weights is
        # compared before the network is built.
        needed = describe(parsed, channels=len(card.mean), size=card.size).weights
        if needed > (held := sum(value.numel() for value in tensors.values())):
            raise InputError(
                f"the network '{card.network}' has {needed} weights, but the file has {held}."
            )
        network = build(
            parsed,
            channels=len(card.mean),
            size=card.size,
            generator=torch.Generator(),
        )
        model = ImageModel.from_card(network, card)
    except InputError as error:
        raise InputError(f"{file}: {error}\n{PLUGIN_HINT}") from error
    try:
        model.network.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(
            f"{file}: the weights do not fit the network '{card.network}'. {error}"
        ) from error
    # Weights that are not finite can be loaded, but give black or empty pictures without an error.
    if not all(value.isfinite().all() for value in tensors.values()):
        raise InputError(
            f"{file}: some weights are not finite numbers; the file is damaged or its training"
            " diverged."
        )
    return model.to(device).eval(), card
