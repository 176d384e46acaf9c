import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from caelab.baselines.code_cost import FLOAT_BITS
from caelab.errors import InputError
from caelab.experiments.study_results import read_rows, write_rows
from caelab.report.document import Code, Note, Paragraph, Picture, Section, Table
from caelab.report.inputs import gather
from caelab.report.run_reader import read_run
from caelab.report.study_baselines import WHOLE, measure_beside
from caelab.report.study_report import study_sections, write_study_report
from caelab.report.test_images import RunImages


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
    assert "6 of 6 runs are finished: 3 networks, seeds 0, 1, 1 epochs each." in markdown
    assert "caelab study tiny.toml --report" in markdown
    assert "Left out: 1 network (skip), as it has a bracket around the code" in markdown
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


def test_what_stands_beside_is_measured_once(
    folder: Path, small_study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = json.loads((folder / "beside.json").read_text())
    run = read_run(small_study.run("base"))
    monkeypatch.setattr(RunImages, "load", lambda *_: pytest.fail("the images are read again"))
    file = folder / "beside.json"
    beside = measure_beside(file, run=run, sizes=[128], coded=[run], images=RunImages())
    assert beside.linear[WHOLE][64] == kept["linear"][WHOLE]["64"]
    sizes = list(beside.linear[WHOLE])
    assert sizes == sorted(sizes)
    errors = list(beside.linear[WHOLE].values())
    assert errors == sorted(errors, reverse=True)
    whole, eight, *_ = beside.codes[run.name]
    assert (whole.bits, whole.bytes, eight.bits, eight.bytes) == (FLOAT_BITS, 512, 8, 128)
    assert whole.mse == pytest.approx(run.mse, rel=1e-5)


def test_a_damaged_file_of_what_stands_beside_is_made_anew(
    folder: Path, small_study: Any, tmp_path: Path
) -> None:
    file = tmp_path / "beside.json"
    content = json.loads((folder / "beside.json").read_text())
    file.write_text(json.dumps({**content, "files": [{"format": "JPEG"}]}))
    run = read_run(small_study.run("base"))
    measured = measure_beside(file, run=run, sizes=[128], coded=[], images=RunImages())
    assert measured.linear[WHOLE][128] == pytest.approx(content["linear"][WHOLE]["128"])
    assert len(measured.files) == len(content["files"])


def blocks(sections: list[Section], kind: type) -> list[Any]:
    return [block for section in sections for block in section.blocks if isinstance(block, kind)]


def test_of_a_partial_study_it_is_said_what_is_missing(
    small_study: Any, folder: Path, tmp_path: Path
) -> None:
    partial = tmp_path / "study-tiny"
    shutil.copytree(folder, partial)
    rows = [
        row for row in read_rows(folder / "results.csv") if row.seed == 0 and row.label != "skip"
    ]
    write_rows(partial / "results.csv", rows)
    material = gather([partial], runs=small_study.runs)
    sections = study_sections(material.studies[0], RunImages("photos"))
    notes = [note.text for note in blocks(sections, Note)]
    assert any("base (seed 1); kernel 1 (seed 1); skip (seeds 0, 1)." in note for note in notes)
    assert any("There is one seed" in note for note in notes)
    assert any(
        note.startswith("There are no pictures: the images at") for note in notes
    )  # they are other images
    assert blocks(sections, Code) == []
    said = " ".join(paragraph.text for paragraph in blocks(sections, Paragraph))
    assert "2 of 6 runs are finished: 2 networks, seed 0, 1 epochs each." in said
    table = blocks(sections, Table)[0]
    assert [row[0] for row in table.rows] == ["base", "kernel 1"]
    low = [column.name for column in table.columns].index("low")
    assert all(row[low] is None for row in table.rows)
    assert {picture.format for picture in blocks(sections, Picture)} == {"svg"}


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no study yet"):
        write_study_report(tmp_path, runs=tmp_path)
