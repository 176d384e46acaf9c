"""The lab end to end on the built-in photos, with a budget of seconds; and its report."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.engines.base import SerialEngine
from caelab.lab import studies
from caelab.lab.budgets import Budget
from caelab.lab.runner import LabProgress, plan_lab, run_lab
from caelab.report.report import write_report

TINY = Budget(
    name="tiny",
    minutes=1,
    epochs=1,
    limit=256,
    seeds=(0, 1),
    study_seeds=(0,),
    networks=("base", "small"),
    color_epochs=1,
    color_seeds=(0,),
    ideas=("best network, RGB", "best network, chroma"),
)

RECIPE = """
[study]
question = "Which is better?"
[base]
network = "reference"
[networks]
small = "conv4 pool conv2 | up conv3"
large = "8*conv64 pool conv2 | up conv3"
"""

MOST_BYTES = 8_000_000


@dataclass(frozen=True)
class Lab:
    runs: Path
    out: Path
    ends: list[tuple[float, float]]

    @property
    def results(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.out / "results.json").read_text())
        return content

    @property
    def page(self) -> str:
        return (self.out / "report.html").read_text()


def conducted(folder: Path) -> list[LabProgress]:
    progress = plan_lab(
        RunConfig().replace(data="photos", size=16),
        TINY,
        engine=SerialEngine(),
        runs=folder / "runs",
    )
    return list(run_lab(progress, out=folder / "lab", command="caelab lab --budget tiny"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studies, "recipe_file", lambda _: recipe)
        ends = [progress.seconds() for progress in conducted(folder)]
        write_report([folder / "lab"], out=folder / "lab")
        yield Lab(folder / "runs", folder / "lab", ends)


def test_every_exercise_is_trained_within_the_budget(lab: Lab) -> None:
    labels = {
        name: [row["label"] for row in told["rows"]]
        for name, told in lab.results["studies"].items()
    }
    assert labels == {
        "exercise-1": ["base", "base"],
        "exercise-2": ["base", "base", "small"],  # the large one is not in the budget
        "exercise-3": ["best network, RGB", "best network, chroma"],
    }
    assert len(lab.results["runs"]) == 5  # the base of exercise 2 is that of exercise 1
    trained = [run["result"]["images"]["train"] for run in lab.results["runs"].values()]
    assert trained == [256] * 5


def test_exercise_3_takes_the_best_network_by_validation(lab: Lab) -> None:
    rows = lab.results["studies"]["exercise-2"]["rows"]
    best = min(rows, key=lambda row: row["validation_mse"])
    rgb = lab.results["runs"][lab.results["studies"]["exercise-3"]["rows"][0]["run"]]
    assert rgb["config"]["network"] == best["network"]


def test_the_estimate_ends_where_everything_is_done(lab: Lab) -> None:
    total, done = lab.ends[-1]
    assert done == pytest.approx(total)
    assert all(done <= total for total, done in lab.ends)


def test_numbers_are_those_of_the_run_directories(lab: Lab) -> None:
    for name, told in lab.results["runs"].items():
        folder = lab.runs / name
        assert told["result"] == json.loads((folder / "result.json").read_text())
        with np.load(folder / "per_image.npz") as measures:
            assert told["result"]["test"]["mse"] == pytest.approx(measures["mse"].mean())
    for study in lab.results["studies"].values():
        for row in study["rows"]:
            assert row["test_mse"] == lab.results["runs"][row["run"]]["result"]["test"]["mse"]
    table = next(table for table in lab.results["tables"] if table["name"] == "errors")
    errors = [row["test_mse"] for row in lab.results["studies"]["exercise-1"]["rows"]]
    assert table["rows"][0][table["columns"].index("test MSE")] == pytest.approx(np.mean(errors))
    answers = lab.results["answers"]
    assert answers["reconstruction"]["mse"]["estimate"] == pytest.approx(np.mean(errors))
    assert answers["studies"]["exercise-2"]["base"] == "base"
    (target,) = answers["colors"]["targets"]
    assert (target["rgb"], target["chroma"]) == ("best network, RGB", "best network, chroma")


def test_it_says_what_data_these_are_and_what_was_cut(lab: Lab) -> None:
    text = " ".join((lab.out / "report.md").read_text().split())
    assert "This is not CIFAR-10. The images are crops of the photographs" in text
    assert "Networks are trained on 256 images at most." in text
    assert "caelab lab --budget tiny" in lab.page
    assert lab.results["problems"] == []


def test_again_nothing_is_trained_and_the_report_is_the_same(lab: Lab) -> None:
    before = {path: path.stat().st_mtime_ns for path in lab.runs.glob("*/result.json")}
    report = (lab.out / "results.json").read_bytes(), (lab.out / "report.html").read_bytes()
    conducted(lab.out.parent)
    write_report([lab.out], out=lab.out)
    assert {path: path.stat().st_mtime_ns for path in lab.runs.glob("*/result.json")} == before
    assert (
        (lab.out / "results.json").read_bytes(),
        (lab.out / "report.html").read_bytes(),
    ) == report


def test_the_page_is_valid_small_and_needs_nothing(lab: Lab) -> None:
    html5lib.HTMLParser(strict=True).parse(lab.page)
    assert len(lab.page.encode()) < MOST_BYTES
    assert all(
        told.startswith(("data:", "#")) for told in re.findall(r'(?:src|href)="([^"]*)"', lab.page)
    )
    markdown = (lab.out / "report.md").read_text()
    pictures = re.findall(r"\]\((figures/[^)]+)\)", markdown)
    assert pictures
    assert all((lab.out / picture).is_file() for picture in pictures)


def test_what_is_missing_or_damaged_is_said_and_left_out(lab: Lab, tmp_path: Path) -> None:
    shutil.copytree(lab.runs, tmp_path / "runs")
    rows = [row for study in lab.results["studies"].values() for row in study["rows"]]
    gone, damaged = rows[1]["run"], rows[4]["run"]
    shutil.rmtree(tmp_path / "runs" / gone)
    (tmp_path / "runs" / damaged / "result.json").write_text('{"test": {}}')
    write_report([lab.out], out=tmp_path / "report", runs=tmp_path / "runs", data="photos")
    told = json.loads((tmp_path / "report" / "results.json").read_text())
    assert set(told["runs"]) == set(lab.results["runs"]) - {gone, damaged}
    assert any(gone in problem and "there is no run" in problem for problem in told["problems"])
    assert any(
        damaged in problem and "is missing or wrong" in problem for problem in told["problems"]
    )
    assert [len(study["rows"]) for study in told["studies"].values()] == [1, 1, 2]
    page = (tmp_path / "report" / "report.md").read_text()
    assert "exercise-1: 1 of 2 runs are finished and whole" in page
    assert "one seed, so no interval" in page


def test_a_report_of_runs_alone(lab: Lab, tmp_path: Path) -> None:
    run = lab.runs / lab.results["studies"]["exercise-1"]["rows"][0]["run"]
    write_report([run, tmp_path / "nothing"], out=tmp_path, command="caelab report …")
    page = (tmp_path / "report.md").read_text()
    assert "nothing is not a folder" in page
    assert "caelab report …" in page
    assert "Colors for gray images" not in page
    with pytest.raises(InputError, match="no finished run was found"):
        write_report([tmp_path], out=tmp_path / "none")


def test_without_images_there_is_no_bitmap(lab: Lab, tmp_path: Path) -> None:
    write_report([lab.out], out=tmp_path, runs=lab.runs, data="photos", bitmaps=False)
    page = (tmp_path / "report.html").read_text()
    assert 'src="data:image/png' in (lab.out / "report.html").read_text()
    assert 'src="data:image/png' not in page  # what is left are figures' own maps, inside drawings
    assert (tmp_path / "report.md").read_text().count("may not be passed on") == 1
    assert not list((tmp_path / "figures").glob("*.png"))
    assert json.loads((tmp_path / "results.json").read_text())["runs"] == lab.results["runs"]
