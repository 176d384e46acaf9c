"""Plug-ins reach every engine, and what needs a missing one says so."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from caelab.errors import InputError
from caelab.experiments.config import RunConfig, make_config
from caelab.experiments.engines.base import Job
from caelab.experiments.engines.ray_cluster import RayEngine
from caelab.registry import PLUGINS_VARIABLE

EXAMPLES = Path(__file__).parents[2] / "examples"
NETWORK = "conv4 blurpool conv2 | up conv3"


def caelab(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != PLUGINS_VARIABLE}
    command = [sys.executable, "-m", "caelab", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_an_option_names_a_plug_in_and_workers_have_it(pictures: Path, tmp_path: Path) -> None:
    plugin, study = ("--plugin", EXAMPLES / "blurpool.py"), tmp_path / "blur.toml"
    study.write_text(f'[base]\nnetwork = "{NETWORK}"\nbatch_size = 16\nepochs = 1\n')
    words = ("study", study, "--data", pictures, "--size", 16, "--runs", tmp_path, "--workers", 1)
    trained = caelab(*plugin, *words)
    assert trained.returncode == 0, trained.stderr
    (weights,) = tmp_path.rglob("weights.safetensors")
    for target in (weights.parent, weights):
        missing = caelab("evaluate", target, "--data", pictures, "--size", 16)
        assert missing.returncode == 2
        assert "unknown layer 'blurpool'" in missing.stderr
        assert f"environment variable {PLUGINS_VARIABLE}" in missing.stderr
    evaluated = caelab(*plugin, "evaluate", weights.parent)
    assert evaluated.returncode == 0, evaluated.stderr


def test_a_plug_in_that_is_no_file_is_refused(tmp_path: Path) -> None:
    answer = caelab("--plugin", tmp_path / "nowhere.py", "describe", "reference")
    assert answer.returncode == 2
    assert "nowhere.py' does not exist" in answer.stderr


@pytest.mark.parametrize("plugins", ["", str(EXAMPLES / "blurpool.py")])
def test_nodes_of_a_cluster_are_told_the_plug_ins(
    monkeypatch: pytest.MonkeyPatch, small: Callable[..., RunConfig], tmp_path: Path, plugins: str
) -> None:
    monkeypatch.setenv(PLUGINS_VARIABLE, plugins)
    told: list[dict[str, Any]] = []

    def remote(**options: Any) -> Callable[..., Any]:
        told.append(options)
        return lambda _: SimpleNamespace(remote=lambda *_: "task")

    engine = object.__new__(RayEngine)
    engine._ray = SimpleNamespace(remote=remote)
    engine.threads, engine.gpus, engine.workers = 1, 0, 1
    events = engine.train([Job(name="one", config=small())], runs=tmp_path)
    next(events)
    engine._ray.cancel = lambda *_, **__: None
    engine._ray.wait = lambda *_, **__: None
    events.close()
    expected = {"env_vars": {PLUGINS_VARIABLE: plugins}} if plugins else None
    assert told[0]["runtime_env"] == expected


def test_a_prediction_target_of_a_plug_in_is_a_target_of_a_run() -> None:
    from caelab.models.targets import RgbTarget
    from caelab.models.targets.base import PredictionTarget

    kinds = PredictionTarget.registry._kinds
    with pytest.raises(InputError, match="should be rgb, chroma or bins"):
        make_config({"target": {"kind": "negative"}})
    kinds["negative"] = type("Negative", (RgbTarget,), {"name": "negative"})
    try:
        assert make_config({"target": {"kind": "negative"}}).target.kind == "negative"
    finally:
        del kinds["negative"]
    with pytest.raises(InputError, match="should be rgb, chroma"):
        make_config({"target": {"kind": "logits"}})
