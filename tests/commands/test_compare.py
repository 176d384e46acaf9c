import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from caelab.cli import caelab
from caelab.errors import InputError


def call(*words: object) -> Result:
    arguments = list(map(str, words))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["caelab", *arguments])
        return CliRunner().invoke(caelab, arguments)


@pytest.fixture(scope="module")
def study(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study's file, its two runs and its report."""
    home = tmp_path_factory.mktemp("compare")
    base = (
        f'network = "conv4 pool conv2 | up conv3"\ndata.source = "{pictures}"\ndata.size = 16\n'
        "batch_size = 16\nepochs = 1"
    )
    (home / "tiny.toml").write_text(f"[base]\n{base}\n[factors]\nkernel = [1]\n", encoding="utf-8")
    answer = call("study", home / "tiny.toml", "--runs", home / "runs", "--report")
    assert answer.exit_code == 0, answer.output
    report = home / "runs" / "study-tiny" / "report.html"
    assert answer.stderr.splitlines()[-1] == f"report: {report}"
    assert "report:" not in answer.stdout
    assert "<html" in report.read_text(encoding="utf-8")
    return home


def test_two_runs(study: Path) -> None:
    first, second = sorted(path.parent for path in study.glob("runs/*/result.json"))
    answer = call("compare", first, second, "--picture", study / "differ.png")
    assert answer.exit_code == 0, answer.output
    lines = answer.stdout.splitlines()
    means = [
        json.loads((run / "result.json").read_text())["test"]["mse"] for run in (first, second)
    ]
    assert lines[0].endswith("(12 test images, lower is better)")
    assert lines[1].split()[:3] == ["#1", first.name, f"{means[0]:.6f}"]
    assert f"{means[0] - means[1]:+.6f}" in lines[5]
    assert lines[-1] == f"picture: {study / 'differ.png'}"
    assert (study / "differ.png").read_bytes().startswith(b"\x89PNG")
    assert answer.stderr.startswith("note: the intervals and p-values")


def test_as_json(study: Path) -> None:
    runs = sorted(path.parent for path in study.glob("runs/*/result.json"))
    told = json.loads(call("compare", *runs, "--metric", "psnr", "--json").stdout)
    assert told["better"] == "higher"
    assert list(told["runs"]) == [run.name for run in runs]
    assert told["pairs"][0]["difference"]["n"] == 12


def test_wrong_input_is_said(study: Path) -> None:
    run = next(study.glob("runs/*/result.json")).parent
    for words, said in [
        ((), "takes two runs or more"),
        ((run, run.with_name("none")), "there is no run"),
        (
            (run, run, "--metric", "beauty"),
            "there is no metric beauty. The metrics are mse, psnr",
        ),
    ]:
        answer = call("compare", *words)
        assert isinstance(answer.exception, InputError)
        assert said in str(answer.exception)
        assert answer.stdout == ""


def test_a_report_without_training(study: Path) -> None:
    report = study / "runs" / "study-tiny" / "report.md"
    report.unlink()
    answer = call(
        "study", study / "tiny.toml", "--runs", study / "runs", "--report-only", "--seeds", 2
    )
    assert answer.exit_code == 0, answer.output
    assert "--report --seeds 2" in report.read_text(encoding="utf-8")
    assert len(list(study.glob("runs/*/result.json"))) == 2
    assert answer.stdout == ""
    refused = call("study", study / "tiny.toml", "--runs", study / "elsewhere", "--report-only")
    assert isinstance(refused.exception, InputError)
    assert "no finished run" in str(refused.exception)
