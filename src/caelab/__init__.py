"""caelab, the convolutional-autoencoder workbench.

    caelab.load_data()                  images, split into training, validation and test images
    caelab.describe("reference")        layers, sizes, weights and drawing of a network
    caelab.train("reference", data)     a run: error by epoch, test error, pictures, weights
    caelab.study({…}, data)             several networks with several seeds, and their differences
    caelab.compare(a=run, b=run)        differences of runs, image by image, with intervals
    caelab.load("colorize")             a trained model, shipped or your own: images in, images out

An image passes through the packages in this order: ``data`` → ``degrade`` → ``networks`` →
``models`` → ``training`` → ``metrics`` → ``experiments`` → ``report``. ``pictures`` applies trained
models to pictures. ``import caelab`` imports none of these packages: each public name is imported
at its first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caelab.api.comparison import compare as compare
    from caelab.api.data import load_data as load_data
    from caelab.api.describe import describe as describe
    from caelab.api.run import Run as Run
    from caelab.api.run import train as train
    from caelab.api.study import study as study
    from caelab.degrade.kinds import DegradationKind as DegradationKind
    from caelab.errors import InputError as InputError
    from caelab.models.targets.base import PredictionTarget as PredictionTarget
    from caelab.networks.layers.base import LayerKind as LayerKind
    from caelab.pictures.load import load as load
    from caelab.registry import register as register
    from caelab.training.losses import Loss as Loss
    from caelab.training.optimizers import OptimizerKind as OptimizerKind

__version__ = "0.2.0"

__all__ = [
    "DegradationKind",
    "InputError",
    "LayerKind",
    "Loss",
    "OptimizerKind",
    "PredictionTarget",
    "Run",
    "compare",
    "describe",
    "load",
    "load_data",
    "register",
    "study",
    "train",
]

_PUBLIC = {
    "DegradationKind": "caelab.degrade.kinds",
    "InputError": "caelab.errors",
    "LayerKind": "caelab.networks.layers.base",
    "Loss": "caelab.training.losses",
    "OptimizerKind": "caelab.training.optimizers",
    "PredictionTarget": "caelab.models.targets.base",
    "Run": "caelab.api.run",
    "compare": "caelab.api.comparison",
    "describe": "caelab.api.describe",
    "load": "caelab.pictures.load",
    "load_data": "caelab.api.data",
    "register": "caelab.registry",
    "study": "caelab.api.study",
    "train": "caelab.api.run",
}


# Hidden from type checkers: a module with `__getattr__` has every name for them, also wrong ones.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # `import caelab` alone must not cost the seconds that PyTorch takes.
        if name not in _PUBLIC:
            raise AttributeError(f"module 'caelab' has no attribute '{name}'")
        return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
