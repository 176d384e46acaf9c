"""Names of version 0.1 and their new names, and functions that read files of version 0.1.

Run directories of version 0.1 are read with :func:`migrate_config` and :func:`migrate_result`. An
old name in a recipe, a study or a command-line option is refused with a message that states the new
name. Weights of version 0.1 are read by :mod:`caelab.models.card`.
"""

from collections.abc import Hashable, Mapping
from typing import Any

from caelab.errors import InputError

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
"""Path of each parameter now, by the name that the parameter had in version 0.1."""

OLD_VALUES: Mapping[str, Mapping[Any, str]] = {
    "data.normalize": {"range": "none", "standard": "standardize"},
    "init": {"data": "lsuv"},
}
"""New names of renamed values by their old names, for each parameter's path."""

RENAMED_RESULTS: Mapping[str, str] = {
    "impair": "degradation",
    "predict": "target",
    "normalisation": "normalization",
}
"""New keys of ``result.json`` and of the cards of shipped models, by the old keys."""


def is_flat(config: Mapping[str, Any]) -> bool:
    """Return whether a stored configuration is one of version 0.1, which had no tables."""
    # In version 0.1, `data` was a text, the source of the data; now it is a table.
    return not isinstance(config.get("data", {}), Mapping)


def migrate_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored configuration with the nested tables and the names of this version.

    A configuration that has tables already is returned unchanged.

    >>> migrate_config({"data": "photos", "batch": 64, "initialisation": "data"})
    {'data': {'source': 'photos'}, 'batch_size': 64, 'init': 'lsuv'}
    """
    if not is_flat(config):
        return dict(config)
    paths = {RENAMED.get(name, name): value for name, value in config.items()}
    for path, values in OLD_VALUES.items():
        # A damaged file may have a list or a table here, which no old value was.
        if isinstance(value := paths.get(path), Hashable) and value in values:
            paths[path] = values[value]
    return nest_paths(paths)


def nest_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values by dotted path into nested tables.

    Raises:
        InputError: A name has a value and is a table, too.

    >>> nest_paths({"data.source": "photos", "epochs": 3})
    {'data': {'source': 'photos'}, 'epochs': 3}
    """
    nested: dict[str, Any] = {}
    for path, value in values.items():
        table, _, name = path.rpartition(".")
        inner = nested.setdefault(table, {}) if table else nested
        if not isinstance(inner, dict):
            raise InputError(f"the configuration has both `{table}` and `{path}`. Remove one.")
        inner[name] = value
    return nested


def migrate_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a ``result.json``, with old keys replaced by those of this version.

    >>> migrate_result({"impair": "gray", "epochs": 3})
    {'degradation': 'gray', 'epochs': 3}
    """
    return {RENAMED_RESULTS.get(name, name): value for name, value in result.items()}
