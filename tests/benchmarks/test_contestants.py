import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.benchmark import Benchmark, Column
from benchmarks.contestants import caelab_fit, caelab_pictures, script
from benchmarks.contestants.record import Record
from benchmarks.contestants.torch_networks import NETWORKS, count_weights
from benchmarks.processes import measure
from benchmarks.tasks import Contestant, Task, contestant_module

from benchmarks import rounds
from caelab.networks import describe
from caelab.networks.parser import parse

TASK = Task(data="synthetic", images=64, batch=32, threads=1)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_plain_networks_are_those_of_the_text(name: str) -> None:
    model = NETWORKS[name]()
    description = describe(parse(name))
    assert count_weights(model) == description.weights
    images = torch.rand(2, 3, 32, 32)
    assert model(images).shape == images.shape
    assert description.code is not None
    assert tuple(model.encoder(images).shape[1:]) == description.code.shape


def test_pictures_are_the_pixels_by_255() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
    picture = script.Pictures(pixels)[1]
    assert picture.is_contiguous()
    np.testing.assert_array_equal(
        picture.numpy(), pixels[1].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    )


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # Python 3.12: the loader's workers fork beside threads
@pytest.mark.parametrize("contestant", [script, caelab_fit])
def test_training_tells_its_times(
    contestant: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["name", replace(TASK, started=time.time()).as_json()])
    monkeypatch.setattr(script, "WORKERS", 0)
    contestant.main()  # type: ignore[attr-defined]
    said = json.loads(capsys.readouterr().out)
    assert said["weights"] == 4911
    assert said["data"] == "synthetic"
    assert said["images"] == 64
    assert said["seconds"] * said["images_per_second"] == pytest.approx(48_000)
    assert 0 < said["begun"] < 60
    assert 0.01 < said["train_mse"] < 1
    assert said["peak_memory"] > 10_000_000


@pytest.mark.parametrize("contestant", [script, caelab_fit])
@pytest.mark.parametrize(("target", "looks"), [(10.0, 1), (0.0, 4)])
def test_training_stops_at_the_target(
    contestant: object,
    target: float,
    looks: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = replace(TASK, images=128, target=target, epochs=1, started=time.time())
    monkeypatch.setattr("sys.argv", ["name", task.as_json()])
    monkeypatch.setattr(script, "WORKERS", 0)
    contestant.main()  # type: ignore[attr-defined]
    said = json.loads(capsys.readouterr().out)
    assert len(said["looks"]) == looks
    assert ("to_target" in said) == (target > 0)
    assert said["best"] == min(error for _, error in said["looks"])


def test_the_time_of_looking_is_taken_out() -> None:
    record = Record(Task(target=0.1, started=time.time()), weights=1, data="none")
    assert not record.look(lambda: time.sleep(0.3) or 0.2)
    assert record.look(lambda: 0.1)
    assert record.said["to_target"] < 0.25


def test_looks_are_spread_over_the_epoch() -> None:
    record = Record(Task(target=0.1), weights=1, data="none")
    assert [step for step in range(1, 11) if record.due(step, 10)] == [3, 5, 8, 10]
    assert sum(record.due(step, 3) for step in range(1, 4)) == 3
    assert not any(Record(Task(), weights=1, data="none").due(step, 4) for step in range(1, 5))


def test_missing_and_failing_contestants_are_told_apart() -> None:
    absent = Contestant(
        name="a", label="A", arguments=contestant_module("keras_fit"), needs=("no_such_package",)
    )
    assert measure(absent) == {"missing": "no_such_package"}
    failing = Contestant(
        name="b", label="B", arguments=("-c", "raise SystemExit('that was nothing')")
    )
    assert measure(failing) == {"failed": "exit code 1: that was nothing"}


def test_benchmark_in_processes_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = Benchmark(
        name="small",
        title="Small",
        about="",
        rounds=1,
        contestants=lambda _: [
            Contestant(
                name="caelab", label="caelab", arguments=contestant_module("caelab_fit"), task=TASK
            ),
            Contestant(name="absent", label="absent", arguments=(), needs=("no_such_package",)),
            Contestant(name="left-out", label="left out", arguments=("-c", "raise SystemExit(1)")),
        ],
        columns=(Column("s/epoch", "seconds", "{:.2f}".format),),
    )
    monkeypatch.setattr(
        "sys.argv", ["benchmarks", "--only", "caelab", "absent", "--out", str(tmp_path)]
    )
    with pytest.raises(SystemExit) as exit_info:
        rounds.main([benchmark], "")
    assert exit_info.value.code == 0
    results = json.loads((tmp_path / "small.json").read_text(encoding="utf-8"))
    caelab, absent = results["rows"]
    assert caelab["values"]["seconds"]["n"] == 1
    assert caelab["answers"][0]["wall"] > 0
    assert absent["state"] == "missing: no_such_package"
    assert results["data"] == ["synthetic"]
    assert "| absent | missing: no_such_package |  |" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        {"job": "network", "seconds": 0.0},
        {"job": "folder", "count": 3},
        {"job": "photograph", "width": 64},
    ],
    ids=lambda options: options["job"],
)
def test_coloring_tells_its_times(
    options: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    task = Task(batch=2, options={**options, "runtime": "onnx"})
    monkeypatch.setattr("sys.argv", ["name", task.as_json()])
    caelab_pictures.main()
    said = json.loads(capsys.readouterr().out)
    assert said["peak_memory"] > 10_000_000
    if options["job"] != "network":
        assert said["seconds"] > 0
        assert said["images_per_second"] * said["seconds"] == pytest.approx(options.get("count", 1))
