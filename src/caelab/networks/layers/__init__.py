"""The layers of the network language, one class a kind. No torch until a module is made."""

from caelab.networks.layers import (  # noqa: F401 - registers them
    convolutions,
    global_layers,
    normalization,
    resampling,
)
