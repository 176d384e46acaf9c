import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from caelab.commands.train import command
from caelab.data.load import load_images
from caelab.data.split import split_images
from caelab.errors import InputError
from caelab.experiments import run as run_module
from caelab.experiments.config import RunConfig, nest
from caelab.experiments.evaluate import evaluate
from caelab.experiments.run import run
from caelab.experiments.run_directory import RunDirectory
from caelab.interrupt import Interrupted
from caelab.kernels import simd
from caelab.kernels.compiler import without_kernels
from caelab.networks import describe, parser
from caelab.networks.parser import parse
from caelab.training.fit import TrainingDiverged

Small = Callable[..., RunConfig]

FILES = {
    "checkpoint.pt",
    "config.json",
    "environment.json",
    "epochs.csv",
    "error.png",
    "error.svg",
    "per_image.npz",
    "result.json",
    "samples.png",
    "weights.safetensors",
}


def same_weights(one: RunDirectory, other: RunDirectory) -> bool:
    first, second = load_file(one.weights), load_file(other.weights)
    return set(first) == set(second) and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def without_times(directory: RunDirectory) -> dict[str, object]:
    result = directory.read(directory.result)
    return {
        name: value
        for name, value in result.items()
        if "seconds" not in name and "memory" not in name
    }


@pytest.fixture(scope="module")
def finished(small: Small, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return run(small(), out=tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="module")
def narrow(small: Small, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with a code of 64 numbers, so many that 96 training images span a linear one."""
    folder = tmp_path_factory.mktemp("narrow") / "run"
    return run(small(network="conv4 pool conv1 | up conv3", epochs=1), out=folder)


def test_a_run_leaves_everything(finished: RunDirectory) -> None:
    assert {entry.name for entry in finished.path.iterdir()} - {".lock"} == FILES
    for name in ("error.png", "samples.png"):
        with Image.open(finished.path / name) as picture:
            picture.load()
            assert picture.width > 500


def test_the_numbers_agree_with_each_other(finished: RunDirectory, pictures: Path) -> None:
    result = finished.read(finished.result)
    with finished.epochs.open() as file:
        epochs = list(csv.DictReader(file))
    validation = [float(row["validation_mse"]) for row in epochs]
    assert len(epochs) == result["epochs"] == 3
    assert result["best_epoch"] == int(np.argmin(validation)) + 1
    assert result["validation_mse"] == pytest.approx(min(validation), rel=1e-6)
    per_image = np.load(finished.per_image)
    assert result["test"]["mse"] == pytest.approx(per_image["mse"].mean())
    assert result["test"]["n"] == 12
    split = split_images(load_images(pictures, size=16))
    assert per_image["index"].tolist() == split.test.tolist()
    assert result["images"] == {"train": 96, "validation": 12, "test": 12}
    assert result["code_size"] == 2 * 8 * 8
    assert result["peak_learning_rate"] == 8e-3
    assert result["weights"] == sum(value.numel() for value in load_file(finished.weights).values())
    assert result["baselines"] == {}  # 96 images span no linear code of 128 numbers


def test_the_saved_network_is_the_texts_alone(finished: RunDirectory) -> None:
    assert sorted(value.numel() for value in load_file(finished.weights).values()) == sorted(
        [4 * 3 * 9, 4, 2 * 4 * 9, 2, 3 * 2 * 9, 3]
    )
    assert describe(parse("conv4 pool conv2 | up conv3"), size=16).weights == 112 + 74 + 57


def test_evaluating_the_run_gives_its_result_again(finished: RunDirectory) -> None:
    again = evaluate(finished.path, options={})
    result = finished.read(finished.result)
    assert again["errors"]["mse"] == pytest.approx(result["test"]["mse"], rel=1e-5)
    everything = evaluate(
        finished.weights,
        part="all",
        options={"data": finished.read(finished.config)["config"]["data"] | {"size": 16}},
    )
    assert everything["errors"]["n"] == 120
    assert everything["baselines"] == {}


def test_baselines_are_fitted_where_it_is_said(narrow: RunDirectory, tmp_path: Path) -> None:
    """Linear codes of noise keep hardly anything of images."""
    generator = np.random.default_rng(0)
    for number in range(300):
        noise = generator.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    own, fitted = (evaluate(narrow.path, fit=fit, options={}) for fit in (None, str(tmp_path)))
    result = narrow.read(narrow.result)["baselines"]["pca-64"]
    assert own["baselines"]["pca-64"] == pytest.approx(result, rel=1e-4)
    assert fitted["errors"] == own["errors"]
    assert fitted["baselines"]["pca-64"]["n"] == own["errors"]["n"]
    assert fitted["baselines"]["pca-64"]["mse"] > 1.2 * own["baselines"]["pca-64"]["mse"]
    with pytest.raises(InputError, match="`baseline_data` needs one part"):
        evaluate(narrow.path, part="all", fit=str(tmp_path), options={})


def test_evaluating_on_images_that_do_not_fit_is_said(finished: RunDirectory) -> None:
    with pytest.raises(InputError, match="15"):
        evaluate(finished.path, options={"data": {"size": 15}})
    with pytest.raises(InputError, match="not a finished run"):
        evaluate(finished.path.parent, options={})


def test_the_same_configuration_gives_the_same_bits(
    finished: RunDirectory, config: RunConfig, tmp_path: Path
) -> None:
    other = run(config, runs=tmp_path)
    assert other.path.parent == tmp_path
    assert same_weights(finished, other)
    assert without_times(finished) == without_times(other)
    assert (finished.path / "samples.png").read_bytes() == (other.path / "samples.png").read_bytes()


def test_a_finished_run_is_not_trained_again(finished: RunDirectory, config: RunConfig) -> None:
    before = {
        entry.name: entry.stat().st_mtime_ns
        for entry in finished.path.iterdir()
        if entry.name != ".lock"
    }
    run(config, out=finished.path)
    after = {
        entry.name: entry.stat().st_mtime_ns
        for entry in finished.path.iterdir()
        if entry.name != ".lock"
    }
    assert before == after


def test_an_interrupted_run_goes_on_to_the_same_bits(
    finished: RunDirectory, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, steps = run_module.fit, 0

    def interrupting(*arguments: object) -> object:
        nonlocal steps
        for epoch in fit(*arguments):  # type: ignore[arg-type]
            steps += 1
            if steps in (4, 9):
                signal.raise_signal(signal.SIGINT)
            yield epoch

    monkeypatch.setattr(run_module, "fit", interrupting)
    for expected in ("stopped in epoch 1", "stopped in epoch 2"):
        with pytest.raises(Interrupted, match=expected):
            run(config, out=tmp_path / "run")
        assert not RunDirectory(tmp_path / "run").finished
    assert same_weights(finished, run(config, out=tmp_path / "run"))
    assert without_times(finished) == without_times(RunDirectory(tmp_path / "run"))


def test_kill_minus_nine_and_resume_gives_the_same_bits(
    finished: RunDirectory, config: RunConfig, tmp_path: Path
) -> None:
    script = (
        "import sys, time, torch\n"
        "from pathlib import Path\n"
        "from caelab.experiments import run as module\n"
        "from caelab.experiments.config import make_config\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        "inner = module.fit\n"
        "def slow(*arguments):\n"
        "    for epoch in inner(*arguments):\n"
        "        time.sleep(0.02)\n"
        "        yield epoch\n"
        "module.fit = slow\n"
        "module.CHECKPOINT_SECONDS = 0.05\n"
        "module.run(make_config(__import__('json').loads(sys.argv[1])), out=Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, config.model_dump_json(), str(tmp_path / "run")]
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    killed = 0
    for _ in range(2):
        process = subprocess.Popen(command)
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        while process.poll() is None:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns > before:
                process.send_signal(signal.SIGKILL)
                killed += process.wait() == -signal.SIGKILL
            time.sleep(0.002)
    assert killed == 2
    assert same_weights(finished, run(config, out=tmp_path / "run"))


def test_patience_stops_early(small: Small, tmp_path: Path) -> None:
    config = small(epochs=40, patience=1, learning_rate=1e-12, batchnorm=False)
    directory = run(config, out=tmp_path / "run")
    result = directory.read(directory.result)
    assert result["epochs"] == result["best_epoch"] + 1 < 40


def test_a_run_that_diverges_says_so(small: Small, tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match="try a third of it"):
        run(small(learning_rate=1e30, optimizer="adam", batchnorm=False), out=tmp_path / "run")


def test_a_run_under_way_is_left_alone(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    monkeypatch.setattr("caelab.experiments.run.LOCK_SECONDS", 0.1)
    (tmp_path / "run").mkdir()
    with (
        filelock.FileLock(RunDirectory(tmp_path / "run").lock),
        pytest.raises(InputError, match="is being trained by another process"),
    ):
        run(config, out=tmp_path / "run")


def test_a_damaged_checkpoint_is_said(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(tmp_path / "run")
    inner = run_module.finalize

    def fail(*_: object) -> None:
        raise OSError("pulled the plug")

    monkeypatch.setattr(run_module, "finalize", fail)
    with pytest.raises(OSError, match="plug"):
        run(config, out=directory.path)
    monkeypatch.setattr(run_module, "finalize", inner)
    whole = directory.checkpoint.read_bytes()
    directory.checkpoint.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"checkpoint\.pt is damaged"):
        run(config, out=directory.path)
    directory.checkpoint.write_bytes(whole)
    assert run(config, out=directory.path).finished


def test_validation_images_may_train_instead(
    finished: RunDirectory, small: Small, tmp_path: Path
) -> None:
    usual = finished.read(finished.result)["images"]
    done = run(small(epochs=1, val_size=3), out=tmp_path / "run")
    result = done.read(done.result)
    assert result["images"] == {
        "train": usual["train"] + usual["validation"] - 3,
        "validation": 3,
        "test": usual["test"],
    }
    again = evaluate(done.path, part="validation", options={})
    assert again["errors"]["n"] == 3
    assert again["errors"]["mse"] == pytest.approx(result["validation_mse"], rel=1e-5)


def test_a_model_may_be_measured_with_its_answers_averaged_otherwise(
    small: Small, tmp_path: Path
) -> None:
    averaged = {"tta_flip": True, "tta_shift": 1, "tta_scale": True}
    plain = run(small(epochs=1), out=tmp_path / "plain")
    told = run(small(epochs=1, **averaged), out=tmp_path / "averaged")
    errors = {each.path: each.read(each.result)["test"]["mse"] for each in (plain, told)}
    assert errors[plain.path] != errors[told.path]  # the same weights
    again = evaluate(plain.path, options=nest(averaged))
    assert again["errors"]["mse"] == pytest.approx(errors[told.path], rel=1e-6)
    assert again["test_time"] == {"flip": True, "shift": 1, "scale": True}
    without = evaluate(
        told.path, options={"test_time": {"flip": False, "shift": 0, "scale": False}}
    )
    assert without["errors"]["mse"] == pytest.approx(errors[plain.path], rel=1e-6)
    with pytest.raises(InputError, match=r"`test_time\.shift` -1: should be at least 0"):
        evaluate(plain.path, options={"test_time": {"shift": -1}})


def test_a_network_that_takes_one_size_cannot_average_over_another(
    small: Small, tmp_path: Path
) -> None:
    fixed = "conv2k4s4 dense4:none | dense4h4w4 up4 conv3"
    with pytest.raises(
        InputError,
        match=r"`test_time\.scale`: .* images of 20×20 pixels, the output has shape 3×16×16",
    ):
        run(small(network=fixed, tta_scale=True), out=tmp_path / "run")
    plain = run(small(network=fixed, epochs=1), out=tmp_path / "plain")
    with pytest.raises(InputError, match=r"`test_time\.scale`"):
        evaluate(plain.path, options={"test_time": {"scale": True}})


def test_a_batch_larger_than_the_data_takes_all_of_it(
    small: Small, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    all_at_once, whole = (
        run(small(batch_size=size, epochs=2), out=tmp_path / str(size)) for size in (97, 96)
    )
    assert same_weights(all_at_once, whole)
    assert [record.args for record in caplog.records] == [(97, 96)]


def test_too_little_disk_is_said_before_anything_is_written(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6)
    )
    with pytest.raises(
        InputError, match=r"too little disk space for .*: 64 MB are needed and 1 MB are free"
    ):
        run(config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_output_that_is_no_image_is_said(small: Small, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(small(network="conv4 pool conv2 | up conv3", size=15), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_binary_cross_entropy_runs_and_its_weights_remember_it(
    small: Small, tmp_path: Path
) -> None:
    directory = run(small(loss="bce"), out=tmp_path / "run")
    epochs = directory.read_epochs()
    assert {"train_bce", "train_mse"} <= set(epochs[0])
    again = evaluate(directory.path, options={})
    assert again["errors"]["mse"] == pytest.approx(
        directory.read(directory.result)["test"]["mse"], rel=1e-5
    )


def test_a_folder_that_cannot_be_written_to_is_said(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(
        *_: object, **__: object
    ) -> None:  # the superuser may write anywhere, so permissions would not do
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(InputError, match=r"cannot write .*config\.json: Permission denied"):
        run(config, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_resumed_run_met_anew_is_written_down(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(tmp_path / "run")
    inner = run_module.finalize
    monkeypatch.setattr(
        run_module, "finalize", lambda *_: (_ for _ in ()).throw(OSError("cut off"))
    )
    with pytest.raises(OSError, match="cut off"):
        run(config, out=directory.path)
    told = json.loads(directory.environment.read_text())
    directory.environment.write_text(json.dumps({**told, "torch": "0.4"}))
    monkeypatch.setattr(run_module, "finalize", inner)
    run(config, out=directory.path)
    assert directory.read(directory.environment)["resumed_with_other"] == ["torch"]


def test_training_parses_the_network_once(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command's argument to the finished run directory."""
    parsed: list[str] = []

    class Counting(parser._Parser):
        def __init__(self, text: str) -> None:
            parsed.append(text)
            super().__init__(text)

    monkeypatch.setattr(parser, "_Parser", Counting)
    words = ["conv4 pool conv2 | up conv3", "--data", str(pictures), "--size", "16"]
    words += ["--batch-size", "16", "--epochs", "1", "--out", str(tmp_path / "run")]
    answer = CliRunner().invoke(command, words, catch_exceptions=False)
    assert answer.exit_code == 0
    assert RunDirectory(tmp_path / "run").finished
    assert parsed == ["conv4 pool conv2 | up conv3"]


def test_a_run_goes_on_with_the_threads_and_functions_it_began_with(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, seen = small(epochs=2), []
    fit = run_module.fit

    def interrupting(*arguments: object) -> object:
        seen.append((torch.get_num_threads(), simd.LIBRARY.loaded))
        for epoch in fit(*arguments):  # type: ignore[arg-type]
            if len(seen) == 1:
                signal.raise_signal(signal.SIGTERM)
            yield epoch

    monkeypatch.setattr(run_module, "fit", interrupting)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        with pytest.raises(Interrupted), without_kernels():
            run(config, out=tmp_path / "run")
    finally:
        torch.set_num_threads(before)
    directory = run(config, out=tmp_path / "run")
    assert seen == [(before + 1, None)] * 2
    assert torch.get_num_threads() == before
    assert directory.read(directory.environment)["resumed_with_other"] == []
