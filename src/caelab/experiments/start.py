"""Start training with the weights of a model, or continue a finished run.

``start.weights`` takes the weights alone; the optimizer and the learning-rate schedule begin anew.
``start.run`` takes the last state of a finished run, its optimizer included, and trains it for more
epochs.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caelab.data.size import read_size
from caelab.errors import InputError
from caelab.experiments.config import PARAMETERS, RunConfig, StartConfig
from caelab.experiments.migration import is_flat
from caelab.experiments.run_directory import RunDirectory, read_config
from caelab.files import read_json
from caelab.models.card import ModelCard
from caelab.models.targets import PredictionTarget
from caelab.models.weights_file import load_model
from caelab.networks.ast import spell_out
from caelab.networks.description import Description
from caelab.networks.parser import parse
from caelab.pictures.model_files import find_model
from caelab.training.losses import Loss

KEPT = (
    "size",
    "channels",
    "split",
    "split_seed",
    "val_size",
    "train_size",
    "test_size",
    "normalize",
    "degradation",
    "target",
    "color_space",
    "bins",
    "rebalance",
    "loss",
    "optimizer",
    "batchnorm",
    "ema_decay",
    "init",
)
"""Short names of the parameters that must stay the same when a run is continued."""

OF_CARDS = {"bins": ("bins", "cross_entropy"), "logits": ("rgb", "bce")}
"""``target.kind`` and ``loss.kind`` by the target of a card, for targets with their own loss."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Model or run that training starts with.

    Attributes:
        name: Name or path of the model or run, as the user wrote it.
        card: Card of the model.
        weights: Weights of the model's network by name, those of its best epoch.
        checkpoint: Content of the continued run's ``checkpoint.pt``; ``None`` to start with the
            weights alone.
        config: Configuration of the continued run; ``None`` to start with the weights alone.
        data: Fingerprint of the continued run's images; empty to start with the weights alone.
    """

    name: str
    card: ModelCard
    weights: Mapping[str, Tensor]
    checkpoint: Mapping[str, Any] | None = None
    config: RunConfig | None = None
    data: str = ""

    @property
    def epochs(self) -> int:
        """Number of epochs of the continued run; 0 if training starts with the weights alone."""
        return int(self.checkpoint["state"]["epoch"]) if self.checkpoint else 0

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that identify the weights, or the continued run's state."""
        digest = hashlib.sha256()
        if self.checkpoint is None:
            _update(digest, self.weights)
        else:
            # The times of the epochs are left out, because they have no influence on training.
            best = {name: self.checkpoint["best"][name] for name in ("epoch", "error", "weights")}
            _update(digest, {"state": self.checkpoint["state"], "best": best})
        return digest.hexdigest()[:16]

    def tables(self) -> dict[str, Any]:
        """Return the nested tables of parameters that a run takes over from this model or run."""
        if self.config is not None:
            return self.config.model_dump(mode="json", exclude={"start"})
        card = self.card
        kind, loss = OF_CARDS.get(card.target, (card.target, None))
        target: dict[str, Any] = {"kind": kind, "color_space": card.color_space}
        if card.bins is not None:
            target |= {
                "bins": len(card.bins.cells),
                "rebalance": card.bins.rebalance,
                "temperature": card.bins.temperature,
            }
        return {
            "network": card.network,
            "data": {"size": read_size(card.size), "channels": card.channels},
            "degradation": card.degradation,
            "target": target,
            "loss": {} if loss is None else {"kind": loss},
        }

    def require_fits(self, config: RunConfig, description: Description, data: str) -> None:
        """Raise unless a new run can start with this model or run.

        Args:
            config: Configuration of the new run.
            description: Description of the new run's network.
            data: Fingerprint of the new run's images.

        Raises:
            InputError: The network, the task or the images are different, this model or run has
                changed, or a parameter has no effect. The message names both values.
        """
        if self.config is None:
            self._require_card(config, description)
        else:
            self._require_run(config, self.config)
            if data != self.data:
                raise InputError(
                    f"`start.run` {self.name} was trained on images with the fingerprint"
                    f" {self.data}, but these images have {data}. A run can only continue on the"
                    " same images. To start with its weights alone, use `start.weights`."
                )
        if config.start.fingerprint not in (None, self.fingerprint):
            raise InputError(
                f"{self.name} has changed since this run was configured: its fingerprint is"
                f" {self.fingerprint}, not {config.start.fingerprint}."
            )

    def _require_card(self, config: RunConfig, description: Description) -> None:
        card, kind = self.card, PredictionTarget.registry[config.target.kind]
        target = kind.name_with(Loss.registry[config.loss.kind].output)
        pairs = {
            "network": (card.network, description.text),
            "degradation": (card.degradation, str(config.degradation)),
            "target.kind": (card.target, target),
            "target.color_space": (card.color_space, config.target.color_space),
            "channels": (len(card.mean), description.input[0]),
        }
        # Two texts can mean the same network.
        if spell_out(parse(card.network)) == spell_out(description.network):
            del pairs["network"]
        if not kind.needs_luminance:
            del pairs["target.color_space"]
        for name, (theirs, ours) in pairs.items():
            if theirs != ours:
                raise InputError(
                    f"`start.weights` {self.name}: its {name} is {theirs}, but this run has {ours}."
                    " Training can only start with weights of the same network and task."
                )
        if config.batchnorm:
            raise InputError(
                f"`batchnorm` does not fit `start.weights` {self.name}: batch normalization is"
                " already folded into saved weights."
            )
        for name in ("init", "normalize"):
            parameter = PARAMETERS[name]
            if (value := parameter.value(config)) != parameter.default:
                raise InputError(
                    f"`{parameter.dotted}` {value} has no effect in a run that starts with given"
                    " weights."
                )

    def _require_run(self, config: RunConfig, before: RunConfig) -> None:
        if config.network != before.network:
            raise InputError(
                f"`start.run` {self.name}: its network is {before.network}, but this run has"
                f" {config.network}. A run can only continue with the same network."
            )
        for name in KEPT:
            parameter = PARAMETERS[name]
            theirs, ours = parameter.value(before), parameter.value(config)
            if theirs != ours:
                raise InputError(
                    f"`{parameter.dotted}` {ours}: {self.name} has {theirs}, and a run can only"
                    " continue with the same value. To start with its weights alone, use"
                    " `start.weights`."
                )
        if config.epochs <= self.epochs:
            raise InputError(
                f"`epochs` {config.epochs} counts from the beginning of {self.name}, which has"
                f" {self.epochs} already. Choose a larger number."
            )

    def give_card(self, card: ModelCard) -> ModelCard:
        """Return the card of a run that starts with this model: it keeps normalization and bins.

        The weights were trained with this normalization, so the new model begins with the same
        outputs as this model.

        Args:
            card: Card that was made from the images of the new run.
        """
        theirs, bins = self.card, self.card.bins
        if bins is not None and card.bins is not None:
            chosen = card.bins
            bins = replace(bins, rebalance=chosen.rebalance, temperature=chosen.temperature)
        return replace(
            card,
            mean=theirs.mean,
            std=theirs.std,
            output_mean=theirs.output_mean,
            output_std=theirs.output_std,
            bins=bins,
        )


def start_tables(start: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of parameters that a run takes over from what ``start`` names.

    Parameters that the user states take precedence over these tables. If ``start`` does not name
    exactly one model or run, the result is empty.

    Args:
        start: Table ``start`` of a configuration as the user stated it, not yet validated.

    Raises:
        InputError: The model or run cannot be read.
    """
    named = {name: start[name] for name in ("weights", "run") if start.get(name) is not None}
    if len(named) != 1 or not all(isinstance(value, str) for value in named.values()):
        return {}
    found = read_start(StartConfig(**named))
    assert found is not None
    return found.tables() | {"start": {"fingerprint": found.fingerprint}}


def read_start(config: StartConfig) -> Start | None:
    """Read the model or run that training starts with; return ``None`` for initial weights.

    Raises:
        InputError: There is no such model or run, it is damaged, or the run is not finished.
    """
    cpu = torch.device("cpu")
    if config.weights is not None:
        file = find_model(Path(config.weights).expanduser())
        model, card = load_model(file, cpu)
        return Start(name=config.weights, card=card, weights=model.network.state_dict())
    if config.run is None:
        return None
    directory = RunDirectory(Path(config.run).expanduser())
    if not os.path.isdir(directory.path):  # noqa: PTH112
        raise InputError(f"there is no run {config.run} to continue.")
    if not directory.finished:
        raise InputError(
            f"{config.run} is not finished: first train it to the end with the command that began"
            " it."
        )
    stored = read_json(directory.config)
    if is_flat(stored.get("config") or {}):
        raise InputError(
            f"{config.run} is of an earlier version of caelab and cannot be continued. Start with"
            " its weights: `start.weights`."
        )
    checkpoint = directory.load_checkpoint()
    if checkpoint is None:
        raise InputError(
            f"{config.run} cannot be continued: its {directory.checkpoint.name} is missing. Start"
            " with its weights: `start.weights`."
        )
    try:
        # A checkpoint that can be read may still hold anything.
        int(checkpoint["state"]["epoch"])
        dict.fromkeys(checkpoint["best"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{directory.checkpoint} is damaged. Train the run again.") from error
    model, card = load_model(directory.weights, cpu)
    return Start(
        name=config.run,
        card=card,
        weights=model.network.state_dict(),
        checkpoint=checkpoint,
        config=read_config(directory.path),
        data=str((stored.get("data") or {}).get("fingerprint", "")),
    )


def _update(digest: Any, value: Any) -> None:
    """Add nested tables of tensors and plain values to a digest, in a fixed order."""
    if isinstance(value, Tensor):
        digest.update(f"{value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, Mapping):
        for name in sorted(value, key=str):
            digest.update(f"{name}: ".encode())
            _update(digest, value[name])
    elif isinstance(value, list | tuple):
        for each in value:
            _update(digest, each)
    else:
        digest.update(f"{value!r} ".encode())
