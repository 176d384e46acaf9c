"""Networks: text ↔ description ↔ ``torch.nn.Module``.

Everything here but ``build`` does without torch; import that from ``caelab.networks.build``.
"""

from caelab.networks.adapt import adapt
from caelab.networks.describe import describe, require_enlargeable, require_image_output
from caelab.networks.description import Description, LayerRow, Representation
from caelab.networks.presets import PRESETS, resolve
from caelab.networks.printer import Network, NetworkError, format_network, parse

__all__ = [
    "PRESETS",
    "Description",
    "LayerRow",
    "Network",
    "NetworkError",
    "Representation",
    "adapt",
    "describe",
    "format_network",
    "parse",
    "require_enlargeable",
    "require_image_output",
    "resolve",
]
