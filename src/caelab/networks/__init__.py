"""Networks that are written as one line of text: parse, print, describe and adapt them.

The names below need no PyTorch. ``build``, which makes a ``torch.nn.Module`` from a network, needs
it and is imported from ``caelab.networks.build``.
"""

from caelab.networks.adapt import adapt
from caelab.networks.ast import Network, NetworkError
from caelab.networks.describe import describe, require_enlargeable, require_image_output
from caelab.networks.description import Description, LayerRow, Representation
from caelab.networks.layers.base import LayerKind
from caelab.networks.parser import parse
from caelab.networks.presets import PRESETS

__all__ = [
    "PRESETS",
    "Description",
    "LayerKind",
    "LayerRow",
    "Network",
    "NetworkError",
    "Representation",
    "adapt",
    "describe",
    "parse",
    "require_enlargeable",
    "require_image_output",
]
