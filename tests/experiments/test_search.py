from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from caelab.commands.search import command
from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.run_directory import RunDirectory
from caelab.experiments.search import Range, read_search, run_search

pytest.importorskip("optuna", reason="Optuna is not installed (the extra: search)")

TEXT = """
[search]
name = "tiny"
trials = 3

[base]
network = "conv{width} pool conv2 | up conv3"
data = { source = "DATA", size = 16 }
batch_size = 16
epochs = 1

[space]
width = [2, 4]
optimizer.learning_rate = {low = 1e-3, high = 1e-2}
"""


@pytest.fixture
def recipe(tmp_path: Path, pictures: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(TEXT.replace("DATA", str(pictures)))
    return file


def test_placeholders_and_options_make_a_run(recipe: Path) -> None:
    search = read_search(recipe, options={"seed": 3})
    assert search.space == {"width": [2, 4], "learning_rate": Range(low=1e-3, high=1e-2)}
    config = search.config({"width": 4, "learning_rate": 0.005})
    assert (config.network.text, config.optimizer.learning_rate, config.seed) == (
        "conv4 pool conv2 | up conv3",
        0.005,
        3,
    )


def test_a_search_goes_on_where_it_was(recipe: Path, tmp_path: Path) -> None:
    memory = tmp_path / "search.db"
    first = list(
        run_search(read_search(recipe, options={}, trials=2), runs=tmp_path / "runs", file=memory)
    )
    more = list(run_search(read_search(recipe, options={}), runs=tmp_path / "runs", file=memory))
    assert more[:2] == first
    assert [trial.number for trial in more] == [0, 1, 2]
    assert all(trial.error is not None and 0 < trial.error < 1 for trial in more)
    assert all((tmp_path / "runs" / trial.run / "result.json").is_file() for trial in more)


def test_a_trial_that_was_cut_off_is_tried_again_and_does_not_count(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, places = (
        read_search(recipe, options={}),
        {"runs": tmp_path / "runs", "file": tmp_path / "search.db"},
    )
    whole = [
        dict(trial.values)
        for trial in run_search(search, runs=places["runs"], file=tmp_path / "whole.db")
    ]
    assert next(run_search(search, **places)).values == whole[0]
    for _ in range(2):
        monkeypatch.setattr("caelab.experiments.run.run", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(run_search(search, **places))
        monkeypatch.undo()
    again = list(run_search(search, **places))
    assert [trial.values for trial in again] == whole
    assert len({repr(values) for values in whole}) == 3
    assert all(trial.error is not None for trial in again)


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_trial_that_does_badly_is_pruned(recipe: Path, tmp_path: Path) -> None:
    text = (
        recipe.read_text().replace("epochs = 1", "epochs = 3").replace("trials = 3", "trials = 5")
    )
    recipe.write_text(text.replace("{low = 1e-3, high = 1e-2}", "[1e-8, 1e-2]"))
    search = read_search(recipe, options={}, pruner="halving")
    places = {"runs": tmp_path / "runs", "file": tmp_path / "search.db"}
    found = list(run_search(search, **places))
    good = [trial for trial in found if trial.values["learning_rate"] == 1e-2]
    pruned = [trial for trial in found if trial.pruned_after is not None]
    assert good
    assert pruned
    whole = [trial for trial in found if trial.pruned_after is None]
    assert min(found, key=lambda trial: trial.error or 1.0) in whole
    for trial in pruned:
        rows = RunDirectory(places["runs"] / trial.run).read_epochs()
        assert len(rows) == trial.pruned_after < 3
        assert not RunDirectory(places["runs"] / trial.run).finished
    # Pruned trials count as done.
    assert list(run_search(search, **places)) == found


def test_another_search_is_refused(recipe: Path, tmp_path: Path) -> None:
    memory = tmp_path / "search.db"
    next(run_search(read_search(recipe, options={}, trials=1), runs=tmp_path / "runs", file=memory))
    recipe.write_text(recipe.read_text().replace("[2, 4]", "[2, 5]"))
    with pytest.raises(InputError, match="holds another search"):
        next(run_search(read_search(recipe, options={}), runs=tmp_path / "runs", file=memory))


def test_an_impossible_trial_fails_and_the_others_go_on(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(
        recipe.read_text().replace("conv3", "conv{width}").replace("[2, 4]", "[3, 4]")
    )
    search = read_search(recipe, options={}, trials=6)
    first = list(run_search(search, runs=tmp_path / "runs", file=tmp_path / "search.db"))
    errors = {trial.values["width"]: trial.error for trial in first}
    assert errors[4] is None
    assert errors[3] is not None
    again = run_search(search, runs=tmp_path / "runs", file=tmp_path / "search.db")
    assert [trial.error is None for trial in again] == [
        trial.values["width"] == 4 for trial in first
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[space]", "[places]"), "expected the tables"),
        (("trials = 3", "trials = 0"), "trials: should be at least 1"),
        (("trials = 3", "pruner = 'mean'"), "pruner: should be none, median or halving"),
        (("trials = 3", "trails = 3"), "trails: Extra inputs are not permitted"),
        (("width = [2, 4]", ""), "lacks width"),
        (("width = [2, 4]", "width = [2, 2]"), "each value only once"),
        (("low = 1e-3", "low = 1"), "expected low < high"),
        (("low = 1e-3", "low = 0"), "above 0 unless linear"),
        (
            ("width = [2, 4]", "width = [2, 4]\noptimizer.learning_rat = [1]"),
            "optimizer.learning_rat: neither a placeholder .* did you mean optimizer.learning_rate",
        ),
        (("network = ", "net = "), "expected network"),
        (("[search]", "[search"), "cannot read the search"),
        (("epochs = 1", "epochs = -1"), "`epochs` -1"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(
    recipe: Path, change: tuple[str, str], said: str
) -> None:
    recipe.write_text(recipe.read_text().replace(*change, 1))
    with pytest.raises(InputError, match=said):
        read_search(recipe, options={})


def test_the_command_prints_the_best_first(
    recipe: Path, tmp_path: Path, small: Callable[..., RunConfig]
) -> None:
    answer = CliRunner().invoke(
        command, [str(recipe), "--runs", str(tmp_path / "runs")], catch_exceptions=False
    )
    errors = [float(line.split()[1]) for line in answer.stdout.splitlines()]
    assert errors == sorted(errors)
    assert len(errors) == 3
