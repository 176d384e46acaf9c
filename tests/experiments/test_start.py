import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from caelab.cli import caelab
from caelab.errors import InputError
from caelab.experiments.config import RunConfig, make_config, nest
from caelab.experiments.publish import train_command
from caelab.experiments.run import _stops_early, run
from caelab.experiments.run_directory import BestCheckpoint, RunDirectory, read_config, run_name
from caelab.experiments.setup import describe_run
from caelab.experiments.start import Start, read_start
from caelab.models.weights_file import load_model
from caelab.training.optimizers import rate_factor

Small = Callable[..., RunConfig]


def load_card(directory: RunDirectory) -> Any:
    return load_model(directory.weights, torch.device("cpu"))[1]


def errors_of(directory: RunDirectory) -> list[float]:
    return [row["validation_mse"] for row in directory.read_epochs()]


@pytest.fixture(scope="module")
def finished(small: Small, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of one epoch at a constant learning rate."""
    config = small(epochs=1, lr_schedule="constant", warmup=0.0, ema_decay=0.9)
    return run(config, out=tmp_path_factory.mktemp("start") / "short")


def start_of(config: RunConfig) -> Start:
    start = read_start(config.start)
    assert start is not None
    return start


def refused(config: RunConfig) -> str:
    """What is said of a run that cannot start as it should."""
    start = start_of(config)
    with pytest.raises(InputError) as caught:
        start.require_fits(config, describe_run(config), start.data)
    message = str(caught.value)
    assert "\n" not in message
    return message


def continuing(directory: RunDirectory, **changed: Any) -> RunConfig:
    return make_config(nest({"start_run": str(directory.path), "epochs": 3, **changed}))


# A run that continues another


def test_a_continued_run_is_the_longer_run_where_the_rate_is_the_same(
    finished: RunDirectory, tmp_path: Path
) -> None:
    longer = run(read_config(finished.path).replace(epochs=3), out=tmp_path / "long")
    continued = run(continuing(finished), out=tmp_path / "continued")
    assert errors_of(continued) == errors_of(longer)
    assert errors_of(continued)[:1] == errors_of(finished)
    weights, others = load_file(continued.weights), load_file(longer.weights)
    assert all(torch.equal(value, others[name]) for name, value in weights.items())
    assert continued.read_result()["epochs"] == 3


def test_the_rate_is_that_of_a_run_of_all_epochs(finished: RunDirectory, tmp_path: Path) -> None:
    config = continuing(finished, epochs=2, lr_schedule="linear")
    rows = run(config, out=tmp_path / "run").read_epochs()
    factor = rate_factor(config.optimizer, 11, 12)  # 96 images in batches of 16
    assert rows[1]["learning_rate"] == pytest.approx(8e-3 * factor)


@pytest.mark.parametrize(
    ("epochs", "continued_from", "stops"),
    [(5, 0, True), (5, 4, False), (6, 4, True), (2, 0, False)],
)
def test_early_stopping_counts_from_where_a_run_continues(
    small: Small, epochs: int, continued_from: int, stops: bool
) -> None:
    best = BestCheckpoint(records=[{}] * epochs, epoch=1)
    context = SimpleNamespace(config=small(patience=2), continued_from=continued_from)
    assert _stops_early(context, best) == stops  # type: ignore[arg-type]


def test_everything_but_what_is_changed_is_the_runs(finished: RunDirectory) -> None:
    config = continuing(finished, flip=True)
    before = read_config(finished.path)
    assert config.replace(start_run=None, start_fingerprint=None) == before.replace(
        epochs=3, flip=True
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"epochs": 1}, ("`epochs` 1", "1 already")),
        ({"network": "conv2 conv3"}, ("conv2 conv3", "conv4 pool conv2 | up conv3")),
        ({"optimizer": "adam"}, ("adam", "soap")),
        ({"size": 32}, ("32", "16")),
    ],
)
def test_a_run_continues_with_the_same_network_data_and_optimizer(
    finished: RunDirectory, changed: dict[str, Any], said: tuple[str, str]
) -> None:
    message = refused(continuing(finished, **changed))
    assert all(part in message for part in said)


def test_a_run_continues_on_the_same_images(finished: RunDirectory) -> None:
    config = continuing(finished)
    with pytest.raises(InputError, match="0123"):
        start_of(config).require_fits(config, describe_run(config), "0123")


def test_a_run_that_cannot_be_continued_is_said(finished: RunDirectory, tmp_path: Path) -> None:
    copy = RunDirectory(tmp_path / "copy")
    shutil.copytree(finished.path, copy.path)
    copy.checkpoint.unlink()
    with pytest.raises(InputError, match=r"checkpoint\.pt is missing"):
        continuing(copy)
    copy.result.unlink()
    with pytest.raises(InputError, match="is not finished"):
        continuing(copy)
    with pytest.raises(InputError, match="there is no run"):
        continuing(RunDirectory(tmp_path / "nowhere"))
    # A name that is too long for a path is that of nothing, too.
    with pytest.raises(InputError, match="there is no run"):
        continuing(RunDirectory(tmp_path / ("x" * 3000)))
    with pytest.raises(InputError, match="there is no model"):
        make_config(nest({"start_weights": "x" * 3000}))


# A run that starts with weights


def test_training_starts_as_the_model_whose_weights_it_gets(
    small: Small, finished: RunDirectory, tmp_path: Path
) -> None:
    tables = {"train_size": 32, "learning_rate": 1e-30, "epochs": 1, "batch_size": 16}
    source = read_config(finished.path).data.source
    config = make_config(nest({**tables, "data": source, "start_weights": str(finished.path)}))
    assert (config.network.text, config.data.size) == ("conv4 pool conv2 | up conv3", 16)
    tuned = run(config, out=tmp_path / "run")
    weights, others = load_file(tuned.weights), load_file(finished.weights)
    assert all(torch.equal(value, others[name]) for name, value in weights.items())
    # 32 images have another mean than 96; the weights were made for that of the 96.
    assert load_card(tuned).mean == load_card(finished).mean
    own = run(small(epochs=1, train_size=32), out=tmp_path / "own")
    assert load_card(own).mean != load_card(finished).mean
    assert errors_of(tuned) == pytest.approx(errors_of(finished), rel=1e-6)


def test_the_weights_decide_the_name_and_their_place_does_not(
    finished: RunDirectory, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.safetensors"
    shutil.copy(finished.weights, copy)
    one, other, shipped = (
        make_config(nest({"start_weights": str(each)}))
        for each in (finished.path, copy, "reference")
    )
    assert one.key("data") == other.key("data")
    assert one.start.fingerprint != shipped.start.fingerprint
    assert run_name(one, "data") != run_name(shipped, "data")
    again = make_config(json.loads(one.model_dump_json()))
    assert again == one
    changed = make_config(nest({**other.flat(), "start_fingerprint": "0" * 16}))
    assert "0" * 16 in refused(changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"network": "conv8 conv3"}, ("reference", "conv8 conv3", "conv8 pool conv12")),
        ({"degradation": "noise0.1"}, ("reference", "noise0.1", "none")),
        (
            {"degradation": "gray", "target": "chroma", "network": "strided"},
            ("reference", "conv16k4s2", "conv8 pool"),
        ),
        ({"batchnorm": True}, ("batchnorm",)),
        ({"init": "kaiming"}, ("init", "kaiming")),
    ],
)
def test_weights_of_another_network_or_task_are_refused(
    changed: dict[str, Any], said: tuple[str, ...]
) -> None:
    message = refused(make_config(nest({"start_weights": "reference", **changed})))
    assert all(part in message for part in said)


def test_a_task_follows_from_the_weights() -> None:
    config = make_config(nest({"start_weights": "colorize"}))
    assert (config.network_name, str(config.degradation), config.target.kind) == (
        "unet-color",
        "gray",
        "chroma",
    )
    start = start_of(config)
    start.require_fits(config, describe_run(config), "any")
    assert train_command(config).startswith(
        "caelab train unet-color --data auto --from colorize --degradation gray"
    )
    bins = dataclasses.replace(start, card=dataclasses.replace(start.card, target="bins"))
    assert bins.tables()["loss"] == {"kind": "cross_entropy"}


def test_paths_stay_on_this_machine(finished: RunDirectory) -> None:
    config = continuing(finished).without_paths("folder")
    assert str(finished.path.parent) not in config.model_dump_json()
    assert config.start.fingerprint == continuing(finished).start.fingerprint


def test_one_start_is_enough(finished: RunDirectory) -> None:
    with pytest.raises(InputError, match="not both"):
        continuing(finished, start_weights="reference")


# The command line


def call(*words: object) -> Any:
    return CliRunner().invoke(caelab, [str(word) for word in words])


def test_the_command_continues_a_run(finished: RunDirectory, tmp_path: Path) -> None:
    answer = call("train", "--continue", finished.path, "--epochs", 2, "--runs", tmp_path, "--json")
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["epochs"] == 2
    answer = call("train", "conv8 conv3", "--from", "reference", "--data", "photos")
    assert isinstance(answer.exception, InputError)
    assert "conv8 pool conv12" in str(answer.exception)


@pytest.mark.parametrize("start", [{"weights": 0, "run": "a"}, {"run": 1}, {"weights": ["a"]}])
def test_a_start_of_another_type_is_refused(start: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="start"):
        make_config({"start": start})
