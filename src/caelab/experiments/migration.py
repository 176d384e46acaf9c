"""Names of version 0.1 and their new names, and how files of that version are read.

Run directories of version 0.1 are read through :func:`migrate_config` and :func:`migrate_result`;
recipes, studies and command-line options with old names are refused with the new name. Weights of
version 0.1 are read by :mod:`caelab.models.card`.
"""

from collections.abc import Mapping
from typing import Any

RENAMED: Mapping[str, str] = {
    "data": "data.source",
    "size": "data.size",
    "split": "data.split",
    "split_seed": "data.split_seed",
    "validation": "data.val_size",
    "limit": "data.train_size",
    "normalise": "data.normalize",
    "impair": "degradation",
    "predict": "target.kind",
    "space": "target.color_space",
    "bins": "target.bins",
    "rebalance": "target.rebalance",
    "temperature": "target.temperature",
    "flip": "augmentation.flip",
    "shift": "augmentation.translate",
    "zoom": "augmentation.scale_jitter",
    "rotate": "augmentation.rotate",
    "tone": "augmentation.gamma_jitter",
    "loss": "loss.kind",
    "huber_delta": "loss.huber_delta",
    "label_weight": "loss.class_loss_weight",
    "color_weight": "loss.color_loss_weight",
    "optimizer": "optimizer.kind",
    "learning_rate": "optimizer.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "warmup": "optimizer.warmup",
    "decay": "optimizer.lr_schedule",
    "clip": "optimizer.grad_clip",
    "batch": "batch_size",
    "initialisation": "init",
    "ema": "ema_decay",
    "average_flips": "test_time.flip",
    "average_shift": "test_time.shift",
    "average_enlarged": "test_time.scale",
}
"""Parameters of the flat configuration by their old names, and their paths now."""

OLD_VALUES: Mapping[str, Mapping[Any, str]] = {
    "data.normalize": {"range": "none", "standard": "standardize"},
    "init": {"data": "lsuv"},
}
"""Values that were renamed, by the parameter's path."""

RENAMED_RESULTS: Mapping[str, str] = {
    "impair": "degradation",
    "predict": "target",
    "normalisation": "normalization",
}
"""Keys of ``result.json`` and of the cards of shipped models by their old names."""


def is_flat(config: Mapping[str, Any]) -> bool:
    """Whether a stored configuration is one of version 0.1, which had no tables."""
    # `data` was the name of the source before, and is a table now.
    return not isinstance(config.get("data", {}), Mapping)


def migrate_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored configuration in nested tables; one that is nested already stays as it is.

    >>> migrate_config({"data": "photos", "batch": 64, "initialisation": "data"})
    {'data': {'source': 'photos'}, 'batch_size': 64, 'init': 'lsuv'}
    """
    # Both versions are stored as JSON objects; only the older one has a text under `data`.
    if not is_flat(config):
        return dict(config)
    paths = {RENAMED.get(name, name): value for name, value in config.items()}
    for path, values in OLD_VALUES.items():
        if path in paths:
            paths[path] = values.get(paths[path], paths[path])
    return nest_paths(paths)


def nest_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put values by dotted path into nested tables.

    >>> nest_paths({"data.source": "photos", "epochs": 3})
    {'data': {'source': 'photos'}, 'epochs': 3}
    """
    nested: dict[str, Any] = {}
    for path, value in values.items():
        table, _, name = path.rpartition(".")
        (nested.setdefault(table, {}) if table else nested)[name] = value
    return nested


def migrate_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a ``result.json`` with the keys of this version.

    >>> migrate_result({"impair": "gray", "epochs": 3})
    {'degradation': 'gray', 'epochs': 3}
    """
    return {RENAMED_RESULTS.get(name, name): value for name, value in result.items()}
