"""Reading finished runs: what is missing or damaged is said."""

import json
from pathlib import Path

import pytest

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.run import run
from caelab.report.run_reader import group_by_seed, mean_over_seeds, read_run


@pytest.fixture(scope="module")
def two_seeds(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    runs = tmp_path_factory.mktemp("runs")
    made = []
    for seed in (1, 0):
        config = RunConfig().replace(
            network="conv4 pool conv2 | up conv3",
            data=str(pictures),
            size=16,
            batch_size=16,
            epochs=1,
            seed=seed,
        )
        made.append(run(config, runs=runs).path)
    return made


def test_a_run_is_read_as_it_is(two_seeds: list[Path]) -> None:
    read = read_run(two_seeds[0])
    assert read.result == json.loads((two_seeds[0] / "result.json").read_text())
    assert read.mse == pytest.approx(read.measures["mse"].mean())
    assert read.description.code is not None
    assert read.description.code.shape == (2, 8, 8)


def test_runs_that_differ_in_the_seed_are_a_group(two_seeds: list[Path]) -> None:
    (group,) = group_by_seed(map(read_run, two_seeds))
    assert [each.config.seed for each in group] == [0, 1]
    assert mean_over_seeds(group).n == 2
    assert mean_over_seeds(group).estimate == pytest.approx((group[0].mse + group[1].mse) / 2)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("result.json", None, "is not finished"),
        ("result.json", "{", "cannot read"),
        ("result.json", '{"test": {"mse": null}}', "is missing or wrong"),
        ("weights.safetensors", None, "weights.safetensors is missing"),
        ("epochs.csv", "epoch\n", "has no rows"),
        ("config.json", "[]", "should hold a JSON object"),
    ],
)
def test_what_is_damaged_is_said(
    two_seeds: list[Path], tmp_path: Path, file: str, content: str | None, said: str
) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for each in two_seeds[0].iterdir():
        if each.suffix in (".json", ".csv", ".safetensors"):
            (copy / each.name).write_bytes(each.read_bytes())
    if content is None:
        (copy / file).unlink()
    else:
        (copy / file).write_text(content)
    with pytest.raises(InputError, match=said):
        read_run(copy)


def test_errors_by_image_that_are_cut_off_are_said(two_seeds: list[Path], tmp_path: Path) -> None:
    for each in two_seeds[0].iterdir():
        (tmp_path / each.name).write_bytes(each.read_bytes())
    measures = tmp_path / "per_image.npz"
    measures.write_bytes(measures.read_bytes()[:100])
    run = read_run(tmp_path)
    with pytest.raises(InputError, match=r"cannot read .*per_image\.npz"):
        _ = run.measures


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no run"):
        read_run(tmp_path / "nothing")
