"""caelab, the convolutional-autoencoder workbench.

The way of an image, package by package: ``images`` → ``networks`` → ``training`` → ``measuring`` →
``experiments`` → ``lab``. Importing this module does nothing but name the version; ``caelab.load``
is imported when it is asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caelab.pictures.load import load as load

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "load":
        return importlib.import_module("caelab.pictures.load").load
    raise AttributeError(f"module 'caelab' has no attribute '{name}'")
