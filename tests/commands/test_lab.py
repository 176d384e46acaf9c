"""``caelab lab`` and ``caelab report`` from the command line."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from caelab.cli import caelab
from caelab.commands.lab_view import live_lab_view, plan_text
from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.engines import timing
from caelab.experiments.engines.base import SerialEngine
from caelab.lab import studies
from caelab.lab.budgets import Budget
from caelab.lab.runner import plan_lab, run_lab

RECIPE = '[base]\nnetwork = "conv4 pool conv2 | up conv3"\n[networks]\nother = "conv4 conv3"\n'


def test_a_dry_run_says_what_and_how_long_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The networks of the budget full take a minute to time.
    monkeypatch.setattr(timing, "time_steps", lambda *_: 0.01)
    monkeypatch.setattr(timing, "_time_together", lambda *_: 0.01)
    words = [
        "lab",
        "--data",
        "photos",
        "--dry-run",
        "--runs",
        str(tmp_path / "runs"),
        "--out",
        str(tmp_path / "lab"),
    ]
    answer = CliRunner().invoke(caelab, words, catch_exceptions=False)
    assert answer.exit_code == 0
    assert "images: photos" in answer.stdout
    assert "budget: quick" in answer.stdout  # as these are not CIFAR-10
    assert re.search(r"about \d+:\d\d to go", answer.stdout)
    assert "no such classes" not in answer.stdout
    full = CliRunner().invoke(caelab, [*words, "--budget", "full"], catch_exceptions=False)
    assert (
        "Left out, as the images have no such classes: U-Net, class labels as a second task"
        in full.stdout
    )
    assert not list(tmp_path.iterdir())


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds neither a run, nor a study, nor a lab"):
        CliRunner().invoke(
            caelab,
            ["report", str(tmp_path), "--out", str(tmp_path / "out")],
            standalone_mode=False,
            catch_exceptions=False,
        )
    assert not (tmp_path / "out").exists()


def test_a_line_a_run_and_the_plan_knows_what_is_there(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    monkeypatch.setattr(studies, "recipe_file", lambda _: recipe)
    budget = Budget(
        name="tiny",
        minutes=1,
        epochs=1,
        seeds=(0,),
        study_seeds=(0,),
        color_epochs=1,
        color_seeds=(0,),
        ideas=("best network, RGB",),
    )
    base = RunConfig().replace(
        network="conv4 pool conv2 | up conv3", data=str(pictures), size=16, batch_size=16
    )
    progress = plan_lab(base, budget, engine=SerialEngine(), runs=tmp_path / "runs")
    assert "exercise-2: 2 networks, 2 runs" in plan_text(progress)
    with live_lab_view(progress) as watch:
        for state in run_lab(progress, out=tmp_path / "lab"):
            watch(state)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in said if "test MSE" in line] == [
        "base, seed 0",
        "other, seed 0",
        "best network, RGB, seed 0",
    ]
    assert said[-1].endswith("(about 0:00 left)")
    again = plan_lab(base, budget, engine=SerialEngine(), runs=tmp_path / "runs")
    assert "as 3 runs of these are there already" in plan_text(again)
    assert json.loads((tmp_path / "lab" / "lab.json").read_text())["budget"] == "tiny"
