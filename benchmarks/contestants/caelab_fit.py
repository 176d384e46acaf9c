"""caelab's own loop with its own settings; the task's ``options`` are parameters by short name."""

import json

import torch

from benchmarks.contestants.data import images_and_split
from benchmarks.contestants.record import Record
from benchmarks.tasks import Task
from caelab.device import choose_device, choose_precision
from caelab.experiments.build_run import make_card, make_state
from caelab.experiments.config import RunConfig, make_config, nest
from caelab.experiments.setup import DeviceSplits, describe_run, prepare_data
from caelab.metrics.evaluate import squared_errors
from caelab.models.inference import restoring
from caelab.training.fit import TrainingState, fit


def main() -> None:
    """Train as the task says and print what was measured."""
    task = Task.from_arguments()
    if task.threads:
        torch.set_num_threads(task.threads)
    config = configuration(task)
    device = choose_device(config.device)
    images, split = images_and_split(task)
    splits = prepare_data(images, split, device)
    description = describe_run(config)
    record = Record(task, weights=description.weights, data=images.source.name)
    card = make_card(config, description, splits.train, images.source.name)
    state = make_state(config, description, card, splits.train)
    precision = choose_precision(config.precision, device)
    if config.precision == "bfloat16" and precision != torch.bfloat16:
        print(json.dumps({"missing": "instructions for bfloat16"}))
        return
    train(state, splits, config, precision, record)
    record.tell()


def configuration(task: Task) -> RunConfig:
    """Return caelab's defaults with the task's changes."""
    options = {"network": task.network, "epochs": task.epochs, "seed": task.seed, **task.options}
    if task.batch is not None:
        options["batch_size"] = task.batch
    return make_config(nest(options))


def train(
    state: TrainingState,
    splits: DeviceSplits,
    config: RunConfig,
    precision: torch.dtype,
    record: Record,
) -> None:
    """Train until the configuration's epochs, the task's epochs or its target end it.

    With the task's ``steps``, so many steps count as an epoch, wherever the loop's own epochs end.
    """
    steps = len(splits.train) // config.batch_size
    counted = min(steps, record.task.steps or steps)
    done = 0

    def error() -> float:
        with restoring(state.model, precision) as restore:
            return float(squared_errors(restore, splits.test).mean())

    record.begin()
    for epoch in fit(state, splits.train, config, precision):
        if epoch is not None:
            record.said["train_mse"] = epoch.terms["mse"]
            continue
        done += 1
        if record.due(state.step, steps) and record.look(error):
            return
        if done % counted == 0:
            record.end(counted * config.batch_size)
            if counted < steps and len(record.epochs) == record.task.epochs:
                return
            record.begin()


if __name__ == "__main__":
    main()
