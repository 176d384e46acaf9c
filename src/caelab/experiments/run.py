"""One run: from a configuration to a run directory, resumable at any moment."""

import copy
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import filelock
import torch

from caelab.data import ImageSet
from caelab.device import choose_device, choose_precision
from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.environment import describe_environment
from caelab.experiments.finalize import conclude
from caelab.experiments.interrupt import Interrupted, stop_requests
from caelab.experiments.run_directory import RunDirectory, run_name
from caelab.experiments.setup import (
    Parts,
    describe_run,
    load_data,
    make_state,
    place,
    require_labels,
)
from caelab.files import require_space
from caelab.metrics.evaluate import squared_errors
from caelab.models.inference import restoring
from caelab.networks import Description
from caelab.progress import Bar, progress
from caelab.training.fit import TrainedEpoch, TrainingState, fit

CHECKPOINT_SECONDS = 60.0
"""Longest time between checkpoints inside an epoch; there is one after every epoch in any case."""

COMPARABLE = ("torch", "processor", "threads", "device", "lanes", "precision")
"""What must be equal for a resumed run to give the same bits as an uninterrupted one."""


class Memory:
    """What a run remembers beside the training state: its epochs, and the best weights by
    validation.
    """

    def __init__(self) -> None:
        self.records: list[dict[str, float]] = []
        self.best_epoch = 0
        self.best_error = math.inf
        self.best_weights: dict[str, torch.Tensor] = {}

    def add(self, record: dict[str, float], state: TrainingState) -> None:
        """Take up an epoch, and its weights if they are the best so far."""
        self.records.append(record)
        if record["validation_mse"] < self.best_error:
            self.best_epoch, self.best_error = int(record["epoch"]), record["validation_mse"]
            self.best_weights = copy.deepcopy(state.evaluated.state_dict())

    def waited(self) -> int:
        """Return the number of epochs since the best one."""
        return len(self.records) - self.best_epoch


def run(
    config: RunConfig,
    *,
    out: Path | None = None,
    runs: Path = Path("runs"),
    images: ImageSet | None = None,
) -> RunDirectory:
    """Train what ``config`` says, measure it on the test part once, and return the run directory.

    A finished run is returned as it is; one that was cut off goes on from its last checkpoint and
    ends, on the same machine's CPU, with the same bits as if it had not been.

    Args:
        config: The run.
        out: The run directory; by default a folder in ``runs`` named by the network and the run's
            key.
        runs: Where run directories are put.
        images: What the configuration names as its data, if it is loaded already.

    Raises:
        InputError: Something in the configuration, the data or the folder is wrong.
        Interrupted: Ctrl-C was pressed; the state is saved.
        TrainingDiverged: The loss is not a finite number.
    """
    description = describe_run(config)
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    images, split = load_data(config, images)
    require_labels(description, images)
    fingerprint = images.source.fingerprint
    directory = RunDirectory(out if out is not None else runs / run_name(config, fingerprint))
    require_space(directory.path, 64_000_000 + 40 * description.weights)
    directory.claim(config, config.key(fingerprint), asdict(images.source))
    try:
        with filelock.FileLock(directory.lock, timeout=0):
            if not directory.finished:
                parts = place(images, split, config, device)
                del images
                environment = describe_environment(device, precision)
                state, memory = _begin(config, description, parts, directory, environment, device)
                _train(config, precision, state, memory, parts, directory)
                state.model.load_state_dict(memory.best_weights)
                conclude(
                    directory,
                    config,
                    description,
                    state.model,
                    parts,
                    memory.records,
                    memory.best_epoch,
                    precision,
                )
    except filelock.Timeout as error:
        raise InputError(
            f"{directory.path} is being trained by another process. Wait for it, or stop it."
        ) from error
    return directory


def _begin(
    config: RunConfig,
    description: Description,
    parts: Parts,
    directory: RunDirectory,
    environment: dict[str, Any],
    device: torch.device,
) -> tuple[TrainingState, Memory]:
    """Return the state to go on from: the checkpoint's where there is one, else a fresh one."""
    state, memory = make_state(config, description, parts, device), Memory()
    saved = directory.load_checkpoint()
    if saved is None:
        directory.write(directory.environment, environment)
        return state, memory
    state.load_state_dict(saved["state"])
    vars(memory).update(saved["memory"])
    before = directory.read(directory.environment)
    changed = [name for name in COMPARABLE if before.get(name) != environment[name]]
    environment["resumed_with_other"] = sorted({*before.get("resumed_with_other", []), *changed})
    directory.write(directory.environment, {**environment, "started": before.get("started")})
    return state, memory


def _train(
    config: RunConfig,
    precision: torch.dtype,
    state: TrainingState,
    memory: Memory,
    parts: Parts,
    directory: RunDirectory,
) -> None:
    steps = len(parts.train) // config.batch_size
    done = state.epoch * steps + state.step
    saved_at = time.monotonic()

    def save() -> None:
        nonlocal saved_at
        directory.save_checkpoint({"state": state.state_dict(), "memory": vars(memory)})
        saved_at = time.monotonic()

    with (
        stop_requests() as stop,
        progress(config.network_name[:40], steps * config.epochs, done=done, unit="steps") as bar,
    ):
        if _ended_early(config, memory):
            return
        for epoch in fit(state, parts.train, config, precision):
            if epoch is None:
                bar()
            else:
                _validate(epoch, config, precision, state, memory, parts, bar)
                directory.write_epochs(memory.records)
            if (
                stop.is_set()
                or epoch is not None
                or time.monotonic() - saved_at > CHECKPOINT_SECONDS
            ):
                save()
            if stop.is_set():
                raise Interrupted(
                    f"stopped in epoch {state.epoch + 1}; run the same command again to resume"
                )
            if epoch is not None and _ended_early(config, memory):
                return


def _validate(
    epoch: TrainedEpoch,
    config: RunConfig,
    precision: torch.dtype,
    state: TrainingState,
    memory: Memory,
    parts: Parts,
    bar: Bar,
) -> None:
    with restoring(state.evaluated, precision) as restore:
        errors = squared_errors(restore, parts.validation, degradation=config.degradation)
    error = float(errors.mean())
    record = {
        "epoch": float(epoch.epoch),
        "seconds": epoch.seconds,
        "learning_rate": epoch.learning_rate,
        **{f"train_{name}": value for name, value in epoch.terms.items()},
        "validation_mse": error,
    }
    memory.add(record, state)
    mark = "  best" if memory.waited() == 0 else ""
    bar.say(
        f"epoch {epoch.epoch:>3}/{config.epochs}  train {epoch.terms['mse']:.5f}  validation"
        f" {error:.5f}  {epoch.seconds:.1f} s{mark}"
    )


def _ended_early(config: RunConfig, memory: Memory) -> bool:
    return config.patience is not None and memory.waited() >= config.patience
