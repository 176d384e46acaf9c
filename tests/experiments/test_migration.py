"""Files of version 0.1: what is read, and what is refused with the new name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from caelab.commands.options import new_option
from caelab.commands.train import command
from caelab.errors import InputError
from caelab.experiments.config import PARAMETERS, RunConfig, make_config
from caelab.experiments.evaluate import evaluate
from caelab.experiments.migration import (
    OLD_VALUES,
    RENAMED,
    RENAMED_RESULTS,
    migrate_config,
)
from caelab.experiments.run import run
from caelab.experiments.run_directory import RunDirectory, read_config
from caelab.models.weights_file import load_model
from caelab.report.run_reader import read_run

Small = Callable[..., RunConfig]


def flat(config: RunConfig) -> dict[str, object]:
    """Return the configuration as version 0.1 stored it."""
    old_names = {dotted: name for name, dotted in RENAMED.items()}
    stored = config.model_dump(mode="json")
    old: dict[str, object] = {}
    for parameter in PARAMETERS.values():
        value = stored
        for part in parameter.path:
            value = value[part]
        earlier = {new: before for before, new in OLD_VALUES.get(parameter.path[-1], {}).items()}
        old[old_names.get(parameter.dotted, parameter.dotted)] = earlier.get(value, value)
    return old


def age(directory: RunDirectory) -> None:
    """Rewrite a run directory as version 0.1 left it."""
    content = json.loads(directory.config.read_text())
    content["config"] = flat(make_config(content["config"]))
    directory.config.write_text(json.dumps(content))
    if directory.finished:
        names = {new: old for old, new in RENAMED_RESULTS.items()}
        result = json.loads(directory.result.read_text())
        old = {names.get(name, name): value for name, value in result.items()}
        directory.result.write_text(json.dumps(old))
        config, tensors = (
            make_config(migrate_config(content["config"])),
            load_file(directory.weights),
        )
        card = {
            "network": result["network"], "impair": result["degradation"],
            "predict": result["target"], "space": config.target.color_space,
            "average_flips": config.test_time.flip, "average_shift": config.test_time.shift,
            "average_enlarged": config.test_time.scale, "channels": 3, "size": config.data.size,
            "data": result["data"], "bins": None,
        }  # fmt: skip
        for name in ("mean", "std"):
            values = result["normalization"][name]
            card |= {name: values, f"output_{name}": values}
        metadata = {"format": "caelab-2", "card": json.dumps(card)}
        save_file(tensors, directory.weights, metadata=metadata)


@pytest.fixture(scope="module")
def finished(small: Small, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    out = tmp_path_factory.mktemp("migration") / "run"
    return run(small(epochs=1, degradation="noise0.1", tta_flip=True), out=out)


@pytest.fixture
def old(finished: RunDirectory, tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(Path(shutil.copytree(finished.path, tmp_path / "old")))
    age(directory)
    assert "impair" in json.loads(directory.config.read_text())["config"]
    return directory


def test_an_old_run_is_read_and_evaluated_like_the_new_one(
    finished: RunDirectory, old: RunDirectory
) -> None:
    assert read_config(old.path) == read_config(finished.path)
    assert old.read_result() == finished.read_result()
    assert read_run(old.path).result["degradation"] == "noise0.1"
    again, now = (evaluate(each.path, options={}) for each in (old, finished))
    assert again["errors"] == now["errors"]
    assert again["test_time"] == {"flip": True, "shift": 0, "scale": False}
    _, card = load_model(old.weights, device="cpu")  # type: ignore[arg-type]
    assert (card.degradation, card.target) == ("noise0.1", "rgb")


@pytest.mark.parametrize("unfinished", [True, False])
def test_an_old_run_is_not_continued_and_left_alone(
    old: RunDirectory, small: Small, unfinished: bool
) -> None:
    if unfinished:
        old.result.unlink()
    before = {file.name: file.read_bytes() for file in old.path.iterdir()}
    with pytest.raises(InputError, match=r"earlier version .* not continued\. Choose another"):
        run(small(epochs=1, degradation="noise0.1", tta_flip=True), out=old.path)
    assert {file.name: file.read_bytes() for file in old.path.iterdir()} == before


def test_every_old_parameter_is_refused_with_its_new_name() -> None:
    for name, new in RENAMED.items():
        with pytest.raises(InputError) as raised:
            make_config({name: "photos"})
        assert new in str(raised.value)


def test_several_old_parameters_are_named_together() -> None:
    with pytest.raises(InputError) as raised:
        make_config({"batch": 16, "ema": 0.9, "loss": {"label_weight": 1.0}})
    assert str(raised.value) == (
        "loss.label_weight is now called loss.class_loss_weight; batch is now called batch_size;"
        " ema is now called ema_decay."
    )


def test_every_old_option_leads_to_one_that_there_is() -> None:
    flags = {flag for option in command.params for flag in option.opts}
    for name in RENAMED:
        new = new_option(f"--{name.replace('_', '-')}")
        assert new is not None
        assert new.split()[0] in flags


@pytest.mark.parametrize(
    "changed", [{"init": {"a": 1}}, {"decay": [1]}, {"target": 3, "predict": "rgb"}]
)
def test_a_damaged_configuration_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(InputError):
        make_config(migrate_config({"network": "conv3", "data": "photos", **changed}))
