"""Train one run from a configuration into a run directory, and resume interrupted runs."""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from caelab import __version__
from caelab.data.device_images import DeviceImages
from caelab.data.image_set import ImageSet
from caelab.data.split import Split
from caelab.device import choose_device, choose_precision
from caelab.errors import InputError
from caelab.experiments.arithmetic import as_begun, differences
from caelab.experiments.build_run import make_card, make_state
from caelab.experiments.config import RunConfig
from caelab.experiments.environment import describe_environment
from caelab.experiments.finalize import finalize
from caelab.experiments.run_directory import BestCheckpoint, RunDirectory, run_name
from caelab.experiments.setup import (
    RunContext,
    describe_run,
    load_data,
    prepare_data,
    require_trainable,
)
from caelab.experiments.start import Start, read_start
from caelab.files import locked, require_space
from caelab.interrupt import Interrupted, stop_requests
from caelab.metrics.evaluate import squared_errors
from caelab.models.inference import restoring
from caelab.networks.description import Description
from caelab.progress import progress
from caelab.training.fit import TrainedEpoch, TrainingState, fit, steps_per_epoch
from caelab.training.process_group import ALONE, ProcessGroup

CHECKPOINT_SECONDS = 60.0
"""Longest time between checkpoints within an epoch; one more is saved after each epoch."""

LOCK_SECONDS = 10.0
"""Longest wait for a run directory that another process holds. If a study is killed and started
again at once, its old workers may still be saving their state."""

OnEpoch = Callable[[Mapping[str, float]], object]
"""Function that is called after each epoch with the new row of ``epochs.csv``."""


def run(
    config: RunConfig,
    *,
    out: Path | None = None,
    runs: Path = Path("runs"),
    images: ImageSet | None = None,
    wait: float | None = None,
    expected: str | None = None,
    watch: Callable[[RunDirectory], OnEpoch] | None = None,
    group: ProcessGroup = ALONE,
) -> RunDirectory:
    """Train a network, measure it on the test images once, and return the run directory.

    A finished run is not trained again. An interrupted run resumes from its last checkpoint. On the
    CPU of the same machine, it ends with exactly the same numbers as an uninterrupted run.

    >>> import tempfile
    >>> config = RunConfig().replace(network="conv4 pool conv2 | up conv3", data="photos")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     directory = run(config.replace(epochs=1, train_size=256), runs=Path(folder))
    ...     directory.read_result()["code_size"]
    512

    Args:
        config: Configuration of the run.
        out: Run directory; by default a folder in ``runs`` named by the network and the run's key.
        runs: Folder of run directories.
        images: Images of ``config.data`` if they are loaded already.
        wait: Seconds to wait for a run directory that another process holds; ten by default.
        expected: Name that the run must have, as :func:`run_name` returns it. If the images lead to
            another name, the run is refused.
        watch: Function that is called with the run directory before training, and that returns a
            function. The returned function is called after each epoch, when the state is saved. An
            error that it raises ends the run; the run can be resumed.
        group: Processes that train the run together. All of them call this function in the same
            way, with the same run directory. Only the first one writes.

    Raises:
        InputError: The configuration, the data or the folder is wrong.
        BusyError: Another process is training the run.
        Interrupted: Someone asked to stop; the state is saved.
        ProcessLost: Another process of the group has ended; the run can be resumed.
        TrainingDiverged: The loss is not a finite number.
    """
    # Everything that can be wrong is checked before the first file is written.
    description = describe_run(config)
    device = group.own_device(choose_device(config.device))
    precision = choose_precision(config.precision, device)
    images, split = load_data(config.data, images)
    start = read_start(config.start)
    require_trainable(config, description, start, images, split)
    fingerprint = images.source.fingerprint
    name = run_name(config, fingerprint)
    if expected not in (None, name):
        raise InputError(
            f"the images of {images.source.where} are not those of the study. Bring the study's"
            " data to this machine, and name them in `data.source` or in CAELAB_DATA."
        )
    group.require_equal({"the run": name, "PyTorch": torch.__version__, "caelab": __version__})
    _require_divisible(config, description, split, group)
    directory = RunDirectory(out if out is not None else runs / name)
    # A checkpoint holds the weights several times, because it also has the optimizer's state, and a
    # new checkpoint is written before the old one is removed.
    require_space(directory.path, 64_000_000 + 40 * description.weights)
    source = asdict(images.source)
    if (where := Path(source["where"])).exists():
        # Absolute, so that a report finds the images from any folder.
        source["where"] = str(where.absolute())
    with contextlib.ExitStack() as stack:
        if group.is_first:
            directory.claim(config, config.key(fingerprint), source)
            wait = LOCK_SECONDS if wait is None else wait
            stack.enter_context(locked(directory.lock, wait=wait))
        group.wait()
        precision = stack.enter_context(as_begun(directory, device, precision))
        # Checked only now, because another process may have finished the run during the wait.
        if directory.finished:
            return directory
        splits = prepare_data(images, split, device)
        # The device has its own copy of the parts that are used; the rest may be freed.
        del images
        card = make_card(config, description, splits.train, splits.source.name)
        context = RunContext(
            config=config,
            description=description,
            splits=splits,
            card=start.give_card(card) if start else card,
            precision=precision,
            continued_from=start.epochs if start else 0,
        )
        # A continued run takes its weights from the checkpoint, because in the weights file batch
        # normalization is already folded.
        weights = start.weights if start and start.checkpoint is None else None
        state = make_state(config, description, context.card, splits.train, weights)
        environment = {**describe_environment(device, precision), "processes": group.size}
        best = _resume(state, directory, environment, start, writes=group.is_first)
        on_epoch = watch(directory) if watch and group.is_first else None
        _train(context, state, best, directory, on_epoch, group)
        if group.is_first:
            state.model.load_state_dict(best.weights)
            finalize(directory, context, state.model, best)
        # The other processes read the result, too.
        group.wait()
    return directory


def _require_divisible(
    config: RunConfig, description: Description, split: Split, group: ProcessGroup
) -> None:
    """Raise if a batch of the run cannot be divided among the processes."""
    if group.size == 1:
        return
    if config.batchnorm or "batchnorm" in description.text:
        raise InputError(
            f"{group.size} processes cannot train a network with batch normalization, which needs"
            " the mean over the whole batch. Use group normalization (the layer `norm`), or one"
            " process."
        )
    smallest = min(config.batch_size, len(split.train), len(split.validation))
    if smallest < group.size:
        raise InputError(
            f"a batch, or the validation part of the data, has {smallest} images, fewer than the"
            f" {group.size} processes. Start fewer processes, or raise `batch_size`."
        )


def _resume(
    state: TrainingState,
    directory: RunDirectory,
    environment: dict[str, Any],
    start: Start | None,
    *,
    writes: bool,
) -> BestCheckpoint:
    """Load the checkpoint, if there is one, into ``state``; write ``environment.json`` if told to.

    A run without a checkpoint of its own that continues another run loads the checkpoint of that
    run. If the environment has changed since the run began, the changed keys are recorded, because
    the run may end with other last digits than an uninterrupted run.
    """
    saved = directory.load_checkpoint()
    if saved is None:
        if writes:
            directory.write(directory.environment, environment)
        if start is None or start.checkpoint is None:
            return BestCheckpoint()
        return _load(state, start.checkpoint, Path(start.name) / directory.checkpoint.name)
    best = _load(state, saved, directory.checkpoint)
    if not writes:
        return best
    before = directory.read(directory.environment)
    changed, earlier = differences(before, environment), before.get("resumed_with_other")
    known = earlier if isinstance(earlier, list) else []
    environment["resumed_with_other"] = sorted({*map(str, known), *changed})
    directory.write(directory.environment, {**environment, "started": before.get("started")})
    return best


def _load(state: TrainingState, saved: Mapping[str, Any], file: Path) -> BestCheckpoint:
    """Load ``saved``, the content of the checkpoint ``file``, into ``state``; return its epochs."""
    try:
        state.load_state_dict(saved["state"])
        return BestCheckpoint(**saved["best"])
    # A checkpoint that can be read may still hold anything.
    except Exception as error:
        raise InputError(
            f"{file} is not a checkpoint of this run ({type(error).__name__}). Delete it to train"
            " this run from the start."
        ) from error


def _train(
    context: RunContext,
    state: TrainingState,
    best: BestCheckpoint,
    directory: RunDirectory,
    on_epoch: OnEpoch | None,
    group: ProcessGroup,
) -> None:
    """Train until the last epoch or an early stop; validate after each epoch and save the state."""
    config, train = context.config, context.splits.train
    steps = steps_per_epoch(len(train), config)
    done = state.epoch * steps + state.step
    total = steps * config.epochs
    validation = context.splits.validation
    if group.size > 1:
        validation = validation.at(group.part(torch.arange(len(validation))).numpy())
    # Not `time.time`: somebody may set the clock back while a run trains.
    saved_at = time.monotonic()
    with (
        stop_requests() as stop,
        progress(config.network_name[:40], total, done=done, unit="steps") as bar,
    ):
        # A run that stopped early, and was interrupted before its result was written, must not
        # train another epoch.
        if _stops_early(context, best):
            return
        for epoch in fit(state, train, config, context.precision, group):
            if epoch is None:
                bar()
            else:
                errors = _validation_errors(context, state, validation, group)
                _add_epoch(epoch, context, state, best, float(errors.mean()), bar.say)
                # Written before the checkpoint, so that the file has every epoch of the checkpoint.
                if group.is_first:
                    directory.write_epochs(best.records)
            waited = time.monotonic() - saved_at
            # All processes stop after the same step; otherwise one would wait for the others.
            stopping = any(group.gather(stop.is_set()))
            due = stopping or epoch is not None or waited > CHECKPOINT_SECONDS
            if due and group.is_first:
                directory.save_checkpoint({"state": state.state_dict(), "best": vars(best)})
                saved_at = time.monotonic()
            if epoch is not None and on_epoch is not None:
                on_epoch(best.records[-1])
            if stopping:
                raise Interrupted(
                    f"stopped in epoch {state.epoch + 1}; run the same command again to resume"
                )
            if epoch is not None and _stops_early(context, best):
                return


def _validation_errors(
    context: RunContext, state: TrainingState, validation: DeviceImages, group: ProcessGroup
) -> np.ndarray:
    """Return the squared error of each validation image, ``float64 (N,)``.

    Args:
        context: The run.
        state: Its state after an epoch.
        validation: The validation images of this process.
        group: Processes that measure their images at the same time.
    """
    # The model is measured exactly as it is used later, with test-time augmentation. Otherwise, the
    # epoch with the smallest error might not be the best one for that use.
    with restoring(state.evaluated, context.precision) as restore:
        errors = squared_errors(restore, validation, degradation=context.config.degradation)
    return np.concatenate(group.gather(errors))


def _add_epoch(
    epoch: TrainedEpoch,
    context: RunContext,
    state: TrainingState,
    best: BestCheckpoint,
    error: float,
    say: Callable[[str], None],
) -> None:
    """Add an epoch with its validation error to ``best``, and show it."""
    record = {
        "epoch": float(epoch.epoch),
        "seconds": epoch.seconds,
        "learning_rate": epoch.learning_rate,
        **{f"train_{name}": value for name, value in epoch.terms.items()},
        "validation_mse": error,
    }
    best.add(record, state.evaluated)
    mark = "" if best.epochs_since else "  best"
    say(
        f"epoch {epoch.epoch:>3}/{context.config.epochs}  train {epoch.terms['mse']:.5f}"
        f"  validation {error:.5f}  {epoch.seconds:.1f} s{mark}"
    )


def _stops_early(context: RunContext, best: BestCheckpoint) -> bool:
    patience = context.config.patience
    # Only new epochs count, because a user who continues a run wants more epochs in any case.
    since = min(best.epochs_since, len(best.records) - context.continued_from)
    return patience is not None and since >= patience
