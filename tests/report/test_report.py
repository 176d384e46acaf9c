"""A report reads every run directory, data set and analysis once."""

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.run import run
from caelab.report import inputs, run_images, run_reader
from caelab.report.report import _by_task, write_report
from caelab.report.run_reader import FinishedRun


def test_everything_is_read_once(
    small_study: Any, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study-tiny"
    shutil.copytree(small_study.folder, folder)
    options = {
        "network": "conv4 pool conv4 up conv3", "data": str(pictures), "size": 16, "batch_size": 16,
        "epochs": 1, "degradation": "gray",
    }  # fmt: skip
    gray = [
        run(RunConfig().replace(**options, target=target), runs=tmp_path / "runs").path
        for target in ("rgb", "chroma")
    ]
    counts: Counter[object] = Counter()

    def counting(function: Callable[..., Any], what: Callable[..., object]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            counts[(function.__name__, what(*arguments))] += 1
            return function(*arguments, **options)

        return called

    for module, name, what in (
        (run_reader, "read_config", str),
        (run_images, "load_images", str),
        (run_images, "load_model", lambda file, *_: file),
        (inputs, "analyze", lambda rows: rows),
    ):
        monkeypatch.setattr(module, name, counting(getattr(module, name), what))
    base = small_study.run("base")  # also a run of the study
    write_report([folder, base, *gray], out=tmp_path / "out", runs=small_study.runs)
    assert set(counts.values()) == {1}
    names = Counter(name for name, _ in counts)
    assert names == {"read_config": 8, "load_images": 1, "load_model": 5, "analyze": 1}
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(results["runs"]) == 8
    assert results["problems"] == []


def test_measures_of_a_run_are_read_once(small_study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read = run_reader.read_run(small_study.run("base"))
    assert isinstance(read, FinishedRun)
    first = read.measures
    monkeypatch.setattr(run_reader.np, "load", lambda *_, **__: pytest.fail("read again"))
    assert read.measures is first


def test_the_report_is_about_the_reference_wherever_it_is_named(
    small_study: Any, pictures: Path, tmp_path: Path
) -> None:
    options = {"data": str(pictures), "size": 16, "batch_size": 16, "epochs": 1}
    other, reference = (
        run(RunConfig().replace(**options, network=network), out=tmp_path / name).path
        for network, name in (("conv2 conv3", "a"), ("reference", "b"))
    )
    assert _by_task(inputs.gather([other, reference]), {}).main.name == "b"
    # As `runs/*` does, which names the runs of a study, too.
    everything = [*sorted(small_study.runs.iterdir()), other]
    found = inputs.gather([each for each in everything if each.is_dir()])
    tasks = _by_task(found, {})
    assert [group[0].name for group in tasks.reconstructing] == ["a"]
    found = inputs.gather([each for each in everything if each != other])
    assert _by_task(found, {}).main.name == small_study.run("base").name


def test_images_are_found_where_the_runs_had_them(
    small_study: Any, pictures: Path, tmp_path: Path
) -> None:
    read = run_reader.read_run(small_study.run("base"))
    moved = dataclasses.replace(read, config=read.config.replace(data=str(tmp_path / "gone")))
    assert run_images.RunImages().load(moved).source.fingerprint == read.source["fingerprint"]
    nowhere = dataclasses.replace(moved, source={**read.source, "where": str(tmp_path / "none")})
    with pytest.raises(InputError, match="gone"):
        run_images.RunImages().load(nowhere)
    others = tmp_path / "others"
    shutil.copytree(pictures / "even", others)
    changed = dataclasses.replace(read, source={**read.source, "where": str(others)})
    # Other images are there now, and the source still names the run's own.
    assert run_images.RunImages().load(changed).source.where == str(pictures)
