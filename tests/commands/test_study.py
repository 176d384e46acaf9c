import functools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from caelab.experiments.study_results import read_rows

Write = Callable[..., Path]
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def write(pictures: Path, tmp_path: Path) -> Write:
    def write(factors: str = "", *, epochs: int = 1) -> Path:
        base = (
            f'network = "conv4 pool conv2 | up conv3"\ndata.source = "{pictures}"\ndata.size = 16\n'
            f"batch_size = 16\nepochs = {epochs}"
        )
        file = tmp_path / "tiny.toml"
        file.write_text(f"[base]\n{base}\n[factors]\n{factors}\n", encoding="utf-8")
        return file

    return write


def test_a_dry_run_prints_the_plan_and_trains_nothing(
    caelab: Call, write: Write, tmp_path: Path
) -> None:
    file = write("kernel = [1, 5]")
    answer = caelab("study", file, "--runs", tmp_path / "runs", "--dry-run", "--seeds", "0,7")
    assert answer.returncode == 0
    assert (
        "kernel 5   128        128      659   2.8  conv4k5 pool conv2k5 | up conv3k5"
        in answer.stdout
    )
    assert "3 networks × seeds 0, 7 = 6 runs" in answer.stdout
    rows = json.loads(caelab("study", file, "--dry-run", "--json").stdout)
    assert [(row["label"], row["code_size"], row["weights"]) for row in rows] == [
        ("base", 128, 243),
        ("kernel 1", 128, 35),
        ("kernel 5", 128, 659),
    ]
    assert not (tmp_path / "runs").exists()


def test_a_study_from_the_command_line(caelab: Call, write: Write, tmp_path: Path) -> None:
    words = (
        "study",
        write('optimizer.kind = ["adamw"]'),
        "--runs",
        tmp_path / "runs",
        "--threads",
        1,
    )
    answer = caelab(*words)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stderr.splitlines()
    assert lines[0].startswith("0 done, 0 running, 2 left; about ")
    assert "(1 done, 0 running, 1 left; about " in lines[1]
    # The run that takes longest is the first, and these two take about as long.
    assert {line.split(": validation ")[0] for line in lines[1:]} == {
        "base, seed 0",
        "optimizer adamw, seed 0",
    }
    assert len(lines) == 3
    table = answer.stdout.splitlines()
    assert table[0].split() == ["code", "weights", "s/epoch", "test", "MSE", "PSNR,", "dB", "seeds"]
    assert [line[:20].split("  ")[0] for line in table[1:3]] == ["base", "optimizer adamw"]
    assert table[3] == f"results: {tmp_path / 'runs' / 'study-tiny' / 'results.csv'}"

    again = caelab(*words, "--json")
    assert (
        again.stderr
        == "2 done (2 from before), 0 running, 0 left; best "
        + lines[2].split("best ")[1].removesuffix(")")
        + "\n"
    )
    rows = read_rows(tmp_path / "runs" / "study-tiny" / "results.csv")
    told = json.loads(again.stdout)
    assert [(row["label"], row["test_mse"]) for row in told] == [
        (row.label, row.test_mse) for row in rows
    ]
    assert told[0]["code_shape"] == [2, 8, 8]


def test_a_failed_run_ends_with_exit_code_1_and_the_rest_is_there(
    caelab: Call, write: Write, tmp_path: Path
) -> None:
    answer = caelab(
        "study",
        write("optimizer.learning_rate = [1e30]"),
        "--runs",
        tmp_path,
        "--optimizer",
        "adam",
        "--json",
    )
    assert answer.returncode == 1
    assert [row["label"] for row in json.loads(answer.stdout)] == ["base"]
    assert answer.stderr.splitlines()[-1].startswith(
        "failed: learning rate 1e+30, seed 0: the loss is not a finite"
    )
    assert "Traceback" not in answer.stderr
    assert (tmp_path / "study-tiny" / "failed.csv").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seeds", "1.5"), "seeds '1.5': expected different whole numbers from 0 on"),
        (
            ("--engine", "serial", "--workers", "2"),
            "--workers needs --engine processes, not serial",
        ),
        (("--engine", "this"), "this is now called --engine serial"),
        (("--address", "auto"), "--address needs --engine ray"),
        (("--epochs", "0"), "--epochs 0: should be at least 1"),
        (("--data", "/nowhere"), "there is no file or folder /nowhere"),
    ],
)
def test_wrong_input_is_said(
    caelab: Call, write: Write, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    answer = caelab("study", write(), "--runs", tmp_path / "runs", *words)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("engine", [("--engine", "serial"), ("--workers", "1")])
def test_control_c_saves_the_state(write: Write, tmp_path: Path, engine: tuple[str, ...]) -> None:
    command = [
        sys.executable,
        "-m",
        "caelab",
        "study",
        str(write(epochs=500)),
        "--runs",
        str(tmp_path),
        *engine,
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a shell hand on that they ignore Ctrl-C.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 60
        while not (checkpoints := list(tmp_path.glob("*/checkpoint.pt"))):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        checkpoints[0].unlink()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert "run the same command again" in stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    assert checkpoints[0].is_file()
