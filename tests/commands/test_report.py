import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from caelab.cli import caelab
from caelab.commands import report_output
from caelab.errors import InputError


def call(*words: object) -> Result:
    return CliRunner().invoke(caelab, list(map(str, words)))


@pytest.fixture(scope="module")
def runs(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("report")
    usual = [
        "conv4 conv3",
        "--data",
        pictures,
        "--size",
        16,
        "--batch-size",
        16,
        "--epochs",
        1,
        "--degradation",
        "gray",
    ]
    for predict in ("rgb", "chroma"):
        answer = call("train", *usual, "--target", predict, "--out", home / predict)
        assert answer.exit_code == 0, answer.output
    return {predict: home / predict for predict in ("rgb", "chroma")}


def test_runs_are_called_by_the_names_they_are_given(runs: dict[str, Path], tmp_path: Path) -> None:
    strange = tmp_path / "a=b"
    strange.symlink_to(runs["chroma"])
    answer = call("report", f"All of it={runs['rgb']}", strange, "--out", tmp_path / "report")
    assert answer.exit_code == 0, answer.output
    told = json.loads((tmp_path / "report" / "results.json").read_text())
    (comparison,) = (table for table in told["tables"] if table["name"] == "comparison")
    assert {row[0] for row in comparison["rows"]} >= {"All of it", "target chroma"}
    missing = call("report", f"All={tmp_path / 'nowhere'}", "--out", tmp_path / "none")
    assert isinstance(missing.exception, InputError)
    assert f"{tmp_path / 'nowhere'} is not a folder" in str(missing.exception)


@pytest.mark.parametrize("command", ["report", "lab"])
def test_an_unknown_language_is_refused_with_those_there_are(command: str, tmp_path: Path) -> None:
    words = [tmp_path] if command == "report" else ["--data", "photos", "--dry-run"]
    answer = call(command, *words, "--language", "xx")
    assert isinstance(answer.exception, InputError)
    assert "xx" in str(answer.exception)
    assert " en" in str(answer.exception)


def test_a_report_is_printed_where_there_is_a_browser(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["report", runs["rgb"], "--pdf", "--out", tmp_path]
    monkeypatch.setattr(report_output, "BROWSERS", ("chromium", "google-chrome"))
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        answer = call(*words)
    assert isinstance(answer.exception, InputError)
    assert "Chromium" in str(answer.exception)
    assert (tmp_path / "report.html").is_file()

    # A browser that prints, and one that fails.
    browser = tmp_path / "browser"
    browser.write_text(
        '#!/bin/sh\nfor word; do case $word in --print-to-pdf=*) echo > "${word#*=}";; esac; done\n'
    )
    browser.chmod(0o755)
    monkeypatch.setattr(report_output, "BROWSERS", ("no-such-browser", str(browser)))
    answer = call(*words)
    assert answer.exit_code == 0
    assert str(tmp_path / "report.pdf") in answer.output
    assert (tmp_path / "report.pdf").is_file()
    browser.write_text("#!/bin/sh\necho out of paper >&2\nexit 1\n")
    answer = call(*words)
    assert "out of paper" in str(answer.exception)
    assert not (tmp_path / "report.pdf").exists()
    # One that never ends is ended.
    browser.write_text("#!/bin/sh\nexec sleep 300\n")
    with pytest.raises(InputError, match="could not print"):
        report_output.print_pdf(tmp_path / "report.html", seconds=0.2)


def test_rgb_and_chroma_are_compared_by_their_metrics_titles(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    assert call("report", *runs.values(), "--out", tmp_path).exit_code == 0
    told = json.loads((tmp_path / "results.json").read_text())
    (table,) = (each for each in told["tables"] if each["name"] == "targets")
    rgb, chroma = (told["runs"][name]["result"]["test"] for name in ("rgb", "chroma"))
    rows = {row[0]: row[1:] for row in table["rows"]}
    assert rows["chroma_mse"] == [rgb["chroma_mse"], chroma["chroma_mse"]]
    assert rows["accuracy5"] == [rgb["accuracy5"], chroma["accuracy5"]]
    said = (tmp_path / "report.md").read_text(encoding="utf-8")
    better = said.split("better with chroma in ")[1].split("; RGB is better")[0].split(", ")
    assert ("chroma MSE" in better) == (chroma["chroma_mse"] < rgb["chroma_mse"])
    assert ("PSNR" in better) == (chroma["psnr"] > rgb["psnr"])
