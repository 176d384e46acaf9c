"""caelab, the convolutional-autoencoder workbench.

An image passes the packages in this order: ``data`` → ``degrade`` → ``networks`` → ``models`` →
``training`` → ``metrics`` → ``experiments`` → ``report``; ``pictures`` uses what was trained.
Importing this module imports none of them: public names are imported at their first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caelab.degrade.kinds import DegradationKind as DegradationKind
    from caelab.errors import InputError as InputError
    from caelab.models.targets.base import PredictionTarget as PredictionTarget
    from caelab.networks.layers.base import LayerKind as LayerKind
    from caelab.pictures.load import load as load
    from caelab.registry import register as register
    from caelab.training.losses import Loss as Loss
    from caelab.training.optimizers import OptimizerKind as OptimizerKind

__version__ = "0.2.0"

_PUBLIC = {
    "DegradationKind": "caelab.degrade.kinds",
    "InputError": "caelab.errors",
    "LayerKind": "caelab.networks.layers.base",
    "Loss": "caelab.training.losses",
    "OptimizerKind": "caelab.training.optimizers",
    "PredictionTarget": "caelab.models.targets.base",
    "load": "caelab.pictures.load",
    "register": "caelab.registry",
}


def __getattr__(name: str) -> Any:
    # `import caelab` alone must not cost the seconds that PyTorch takes.
    if name not in _PUBLIC:
        raise AttributeError(f"module 'caelab' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
