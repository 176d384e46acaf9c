import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from caelab.baselines.code_cost import FLOAT_BITS
from caelab.errors import InputError
from caelab.experiments.study_results import read_rows, write_rows
from caelab.report.inputs import gather
from caelab.report.render_markdown import render_markdown
from caelab.report.run_images import RunImages
from caelab.report.run_reader import read_run
from caelab.report.study_baselines import WHOLE, measure_baselines
from caelab.report.study_report import study_part, write_study_report


@pytest.fixture(scope="module")
def folder(small_study: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's folder, copied, with a report in it."""
    copied = tmp_path_factory.mktemp("report") / "study-tiny"
    shutil.copytree(small_study.folder, copied)
    html = write_study_report(
        copied, runs=small_study.runs, command="caelab study tiny.toml --report"
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
    assert markdown.startswith("# Which is better?\n")
    assert "6 of 6 runs are finished: 3 networks,\nseeds 0 and 1,\n1 epoch each." in markdown
    assert "caelab study tiny.toml --report" in markdown
    assert "Left out: 1 network (skip), as a skip connection runs around" in markdown
    for picture in (
        "tiny-effects.svg",
        "tiny-code-size.svg",
        "tiny-front-weights.svg",
        "tiny-reconstructions.png",
    ):
        assert (folder / "figures" / picture).is_file()
        assert f"figures/{picture}" in markdown
    assert "<img" not in html or "http" not in html.split("<img", 1)[1].split(">")[0]


def test_the_small_table_keeps_all_digits(folder: Path) -> None:
    with (folder / "architectures.csv").open(encoding="utf-8", newline="") as file:
        table = {row["network"]: row for row in csv.DictReader(file)}
    rows = read_rows(folder / "results.csv")
    assert list(table) == ["base", "kernel 1", "skip"]
    for label, row in table.items():
        errors = [each.test_mse for each in rows if each.label == label]
        assert float(row["test MSE"]) == pytest.approx(sum(errors) / 2, rel=1e-12)
        assert row["seeds"] == "2"
    assert table["skip"]["code"] == "128*"


def test_baselines_are_measured_once(
    folder: Path, small_study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = json.loads((folder / "baselines.json").read_text())
    run = read_run(small_study.run("base"))
    monkeypatch.setattr(RunImages, "load", lambda *_: pytest.fail("the images are read again"))
    file = folder / "baselines.json"
    baselines = measure_baselines(file, run=run, sizes=[128], coded=[run], images=RunImages())
    assert baselines.linear[WHOLE][64] == kept["linear"][WHOLE]["64"]
    sizes = list(baselines.linear[WHOLE])
    assert sizes == sorted(sizes)
    errors = list(baselines.linear[WHOLE].values())
    assert errors == sorted(errors, reverse=True)
    whole, eight, *_ = baselines.codes[run.name]
    assert (whole.bits, whole.bytes, eight.bits, eight.bytes) == (FLOAT_BITS, 512, 8, 128)
    assert whole.mse == pytest.approx(run.mse, rel=1e-5)


def test_a_damaged_file_of_baselines_is_made_anew(
    folder: Path, small_study: Any, tmp_path: Path
) -> None:
    file = tmp_path / "baselines.json"
    content = json.loads((folder / "baselines.json").read_text())
    file.write_text(json.dumps({**content, "files": [{"format": "JPEG"}]}))
    run = read_run(small_study.run("base"))
    measured = measure_baselines(file, run=run, sizes=[128], coded=[], images=RunImages())
    assert measured.linear[WHOLE][64] == pytest.approx(content["linear"][WHOLE]["64"])
    assert len(measured.files) == len(content["files"])


def test_a_partial_study_names_what_is_missing(
    small_study: Any, folder: Path, tmp_path: Path
) -> None:
    partial = tmp_path / "study-tiny"
    shutil.copytree(folder, partial)
    rows = [
        row for row in read_rows(folder / "results.csv") if row.seed == 0 and row.label != "skip"
    ]
    write_rows(partial / "results.csv", rows)
    inputs = gather([partial], runs=small_study.runs)
    document = render_markdown([study_part(inputs.studies[0], RunImages("photos"), number="2.2")])
    assert document.text.startswith("### 2.2 Which is better?\n")
    notes = [line for line in document.text.splitlines() if line.startswith("> **")]
    assert any("base (seed 1); kernel 1 (seed 1); skip (seeds 0 and 1)." in note for note in notes)
    assert any("There is one seed" in note for note in notes)
    assert any("There are no pictures: the images at" in note for note in notes)  # others
    assert "```" not in document.text
    assert "2 of 6 runs are finished: 2 networks,\nseed 0,\n1 epoch each." in document.text
    table = next(table for table in document.tables if table["name"] == "architectures")
    assert [row[0] for row in table["rows"]] == ["base", "kernel 1"]
    low = table["columns"].index("low")
    assert all(row[low] is None for row in table["rows"])
    assert {picture.format for picture in document.pictures.values()} == {"svg"}


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no study yet"):
        write_study_report(tmp_path, runs=tmp_path)
