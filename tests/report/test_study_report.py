import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from caelab.errors import InputError
from caelab.experiments.study_results import read_rows, write_rows
from caelab.report.inputs import gather
from caelab.report.report import write_report
from caelab.report.run_images import RunImages
from caelab.report.run_reader import read_run
from caelab.report.study_baselines import WHOLE, measure_baselines


@pytest.fixture(scope="module")
def folder(small_study: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's folder, copied, with a report in it."""
    copied = tmp_path_factory.mktemp("report") / "study-tiny"
    shutil.copytree(small_study.folder, copied)
    html, _ = write_report(
        [copied], out=copied, runs=small_study.runs, command="caelab study tiny.toml --report"
    )
    assert html == copied / "report.html"
    return copied


def test_the_files_are_there_and_hold_the_numbers(folder: Path) -> None:
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    html = (folder / "report.html").read_text(encoding="utf-8")
    rows = read_rows(folder / "results.csv")
    for label in ("base", "kernel 1", "skip"):
        errors = [row.test_mse for row in rows if row.label == label]
        mean = f"{sum(errors) / len(errors):.6f}"
        assert f"| {label} |" in markdown
        assert mean in markdown
        assert mean in html
    assert "caelab study tiny.toml --report" in markdown
    assert "Left out, as a skip connection runs around the code: “skip”." in markdown
    for picture in (
        "tiny-effects.svg",
        "tiny-code-size.svg",
        "tiny-front.svg",
        "tiny-reconstructions.png",
    ):
        assert (folder / "figures" / picture).is_file()
        assert markdown.count(f"figures/{picture}") == 1
    assert 'src="http' not in html
    assert html.count("Which is better?") == 1


def test_tables_keep_all_digits(folder: Path) -> None:
    (table,) = (
        table
        for table in json.loads((folder / "results.json").read_text())["tables"]
        if table["name"] == "architectures"
    )
    named = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    rows = read_rows(folder / "results.csv")
    assert [each["network"] for each in named] == ["base", "kernel 1", "skip"]
    for each in named:
        errors = [row.test_mse for row in rows if row.label == each["network"]]
        assert each["test MSE"] == pytest.approx(sum(errors) / 2, rel=1e-12)
        assert each["seeds"] == 2
    assert named[2]["code"] == "128*"


def test_baselines_are_measured_once(
    folder: Path, small_study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = json.loads((folder / "baselines.json").read_text())
    run = read_run(small_study.run("base"))
    monkeypatch.setattr(RunImages, "load", lambda *_: pytest.fail("the images are read again"))
    file = folder / "baselines.json"
    baselines = measure_baselines(file, run=run, sizes=[128], images=RunImages())
    assert baselines.linear[WHOLE][64] == kept["linear"][WHOLE]["64"]
    sizes = list(baselines.linear[WHOLE])
    assert sizes == sorted(sizes)
    errors = list(baselines.linear[WHOLE].values())
    assert errors == sorted(errors, reverse=True)


def test_a_damaged_file_of_baselines_is_made_anew(
    folder: Path, small_study: Any, tmp_path: Path
) -> None:
    file = tmp_path / "baselines.json"
    content = json.loads((folder / "baselines.json").read_text())
    file.write_text(json.dumps({**content, "linear": [1]}))
    run = read_run(small_study.run("base"))
    measured = measure_baselines(file, run=run, sizes=[128], images=RunImages())
    assert measured.linear[WHOLE][64] == pytest.approx(content["linear"][WHOLE]["64"])


def test_a_partial_study_names_what_is_missing(
    small_study: Any, folder: Path, tmp_path: Path
) -> None:
    partial = tmp_path / "study-tiny"
    shutil.copytree(folder, partial)
    rows = [
        row for row in read_rows(folder / "results.csv") if row.seed == 0 and row.label != "skip"
    ]
    write_rows(partial / "results.csv", rows)
    write_report([partial], out=tmp_path / "out", runs=small_study.runs, data="photos")
    text = " ".join((tmp_path / "out" / "report.md").read_text().split())
    assert "base (seed 1); kernel 1 (seed 1); skip (seed 0, 1)." in text
    assert "There is one seed for each network" in text
    assert "There are no pictures of “base”: the images at" in text  # those are others
    assert "2 of 6 runs are finished" in text
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    table = next(table for table in results["tables"] if table["name"] == "architectures")
    assert [row[0] for row in table["rows"]] == ["base", "kernel 1"]
    low = table["columns"].index("low")
    assert all(row[low] is None for row in table["rows"])
    study = results["studies"]["tiny"]
    assert (study["planned"], len(study["rows"]), len(study["unfinished"])) == (6, 2, 4)
    pictures = (tmp_path / "out" / "figures").iterdir()
    assert {picture.name for picture in pictures if picture.suffix == ".png"} == {
        "reconstructions.png"  # which the run itself drew
    }


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds neither a run, nor a study, nor a lab"):
        write_report([tmp_path], out=tmp_path)


def test_runs_that_lie_elsewhere_are_asked_for(small_study: Any, tmp_path: Path) -> None:
    alone = tmp_path / "moved" / "study-tiny"
    shutil.copytree(small_study.folder, alone)
    with pytest.raises(InputError, match="Name the folder that holds them as `runs`") as raised:
        gather([alone])
    assert str(raised.value).count("`runs`") == 1
    assert str(alone.parent) in str(raised.value)
    # Beside other runs it is a problem that the report names.
    found = gather([alone, small_study.run("base")])
    assert len(found.problems) == len(found.runs) == 1
    assert len(gather([alone], runs=small_study.runs).studies[0].rows) == 6


def test_a_folder_that_cannot_be_written_is_said(small_study: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=str(tmp_path / "file")):
        write_report([small_study.run("base")], out=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
