import contextlib
import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from caelab.data.image_set import ImageSet
from caelab.errors import InputError
from caelab.experiments import study_runner as conduct_module
from caelab.experiments.config import RunConfig, nest
from caelab.experiments.engines.base import Event, Failed, Job, SerialEngine
from caelab.experiments.run_directory import RunDirectory
from caelab.experiments.study import Study, read_study
from caelab.experiments.study_results import read_rows
from caelab.experiments.study_runner import PlannedRun, Progress, run_study
from caelab.files import locked
from caelab.interrupt import Interrupted

Make = Callable[..., Study]


@dataclass
class Recording(SerialEngine):
    """Trains in this process and remembers what it was given; fails the runs named."""

    failing: dict[str, str] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)

    def train(
        self, jobs: Sequence[Job], *, runs: Path, images: ImageSet | None = None
    ) -> Generator[Event, None, None]:
        self.given += [job.name for job in jobs]
        for job in jobs:
            if message := self.failing.get(job.config.optimizer.kind):
                yield Failed(job.name, message)
            else:
                yield from SerialEngine().train([job], runs=runs, images=images)


@pytest.fixture(scope="module")
def make(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make a study of one base and, unless told otherwise, one other run."""

    def make(
        *, factors: str = "kernel = [1]", seeds: str = "1", name: str = "small", **options: object
    ) -> Study:
        file = tmp_path_factory.mktemp("studies") / f"{name}.toml"
        file.write_text(
            f'[base]\nnetwork = "conv4 pool conv2 | up conv3"\n[factors]\n{factors}\n',
            encoding="utf-8",
        )
        usual = {"data": str(pictures), "size": 16, "batch_size": 16, "epochs": 1}
        return read_study(file, options=nest({**usual, **options}), seeds=seeds)

    return make


@pytest.fixture(scope="module")
def original(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study, to be copied."""
    folder = tmp_path_factory.mktemp("original")
    last(make(), folder)
    return folder


@pytest.fixture
def trained(original: Path, tmp_path: Path) -> Path:
    """The folder of a finished study."""
    return shutil.copytree(original, tmp_path / "trained")


def last(
    study: Study, folder: Path, engine: Recording | None = None, *, out: Path | None = None
) -> Progress:
    steps = list(
        run_study(
            study, engine=engine or Recording(), runs=folder / "runs", out=out or folder / "study"
        )
    )
    return steps[-1]


def test_a_study_leaves_its_runs_and_their_rows(make: Make, tmp_path: Path) -> None:
    study = make()
    steps = [
        (len(progress.rows), len(progress.running), len(progress.left))
        for progress in run_study(
            study, engine=SerialEngine(), runs=tmp_path / "runs", out=tmp_path / "study"
        )
    ]
    assert steps == [(0, 0, 2), (0, 1, 1), (1, 0, 1), (1, 1, 0), (2, 0, 0)]
    rows = read_rows(tmp_path / "study" / "results.csv")
    assert [(row.label, row.factor, row.level, row.seed) for row in rows] == [
        ("base", "", "", 0),
        ("kernel 1", "kernel", "1", 0),
    ]
    base = rows[0]
    directory = RunDirectory(tmp_path / "runs" / base.run)
    result = directory.read(directory.result)
    assert (base.network, base.code_size, base.code_shape) == (
        "conv4 pool conv2 | up conv3",
        128,
        (2, 8, 8),
    )
    assert (base.weights, base.multiply_accumulates) == (
        result["weights"],
        result["multiply_accumulates"],
    )
    assert (base.test_mse, base.test_psnr) == (result["test"]["mse"], result["test"]["psnr"])
    assert (base.validation_mse, base.epochs) == (result["validation_mse"], 1)
    plan = json.loads((tmp_path / "study" / "study.json").read_text())
    assert [run["run"] for run in plan["runs"]] == [row.run for row in rows]


def test_what_is_finished_is_reused_and_a_study_may_grow(make: Make, trained: Path) -> None:
    again = Recording()
    progress = last(make(), trained, again)
    assert (again.given, progress.reused, progress.left) == ([], 2, [])

    grown = Recording()
    progress = last(make(seeds="2"), trained, grown)
    assert (len(grown.given), progress.reused) == (2, 2)
    assert [(row.label, row.seed) for row in read_rows(trained / "study" / "results.csv")] == [
        (label, seed) for seed in (0, 1) for label in ("base", "kernel 1")
    ]


def test_a_failure_is_written_down_and_the_rest_goes_on(make: Make, tmp_path: Path) -> None:
    study = make(factors='optimizer.kind = ["adam", "adamw"]')
    progress = last(study, tmp_path, Recording(failing={"adam": "the loss is not finite"}))
    assert [row.label for row in read_rows(tmp_path / "study" / "results.csv")] == [
        "base",
        "optimizer adamw",
    ]
    header, failure = (tmp_path / "study" / "failed.csv").read_text().splitlines()
    assert header == "label,seed,run,message"
    assert failure.startswith("optimizer adam,0,")
    assert failure.endswith(",the loss is not finite")
    assert list(progress.failures.values()) == ["the loss is not finite"]

    last(study, tmp_path)
    assert len(read_rows(tmp_path / "study" / "results.csv")) == 3
    assert not (tmp_path / "study" / "failed.csv").exists()


def test_a_run_that_diverges_is_a_failure(make: Make, tmp_path: Path) -> None:
    study = make(factors="optimizer.learning_rate = [1e30]", optimizer="adam")
    progress = last(study, tmp_path)
    assert ["try a third of it" in message for message in progress.failures.values()] == [True]
    assert len(progress.rows) == 1


def test_a_damaged_results_file_is_written_anew(make: Make, trained: Path) -> None:
    results = trained / "study" / "results.csv"
    whole = results.read_text()
    results.write_text(whole[: len(whole) - 30])
    engine = Recording()
    last(make(), trained, engine)
    assert engine.given == []
    assert results.read_text() == whole


@pytest.mark.parametrize("damaged", ["result.json", "epochs.csv", "weights.safetensors"])
def test_a_damaged_run_is_trained_anew(make: Make, trained: Path, damaged: str) -> None:
    before = read_rows(trained / "study" / "results.csv")[0]
    name = before.run
    file = trained / "runs" / name / damaged
    if damaged == "weights.safetensors":
        file.unlink()
    else:
        file.write_text('{"test": {}}' if damaged == "result.json" else "epoch\n")
    engine = Recording()
    after = last(make(), trained, engine)
    assert engine.given == [name]
    assert after.rows[name].test_mse == before.test_mse


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"epochs": 2}, "its epochs is 1, not 2"),
        ({"name": "other"}, "its name is 'small', not 'other'"),
        ({"split_seed": 1}, "its split_seed is 0, not 1"),
    ],
)
def test_the_folder_of_another_study_is_left_alone(
    make: Make, trained: Path, changed: dict[str, object], said: str
) -> None:
    before = {file: file.read_bytes() for file in (trained / "study").iterdir()}
    with pytest.raises(
        InputError, match=f"study holds another study: {said}. Choose another `out`"
    ):
        last(make(**changed), trained)
    assert {file: file.read_bytes() for file in (trained / "study").iterdir()} == before


def test_an_option_that_is_added_later_leaves_a_study_what_it_was(
    make: Make, trained: Path
) -> None:
    file = trained / "study" / "study.json"
    content = json.loads(file.read_text())
    del content["identity"]["base"]["scale_jitter"]
    file.write_text(json.dumps(content))
    last(make(), trained)
    assert json.loads(file.read_text())["identity"]["base"]["scale_jitter"] == 0
    content["identity"]["data"] = "other"
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="its data are different"):
        last(make(), trained)


def test_a_folder_that_is_no_study_is_left_alone(make: Make, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="is not empty and not a study"):
        last(make(), tmp_path, out=tmp_path / "mine")
    with pytest.raises(InputError, match="is a file: a study needs a folder"):
        last(make(), tmp_path, out=tmp_path / "mine" / "letter.txt")
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_too_little_disk_is_said_before_anything_is_trained(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6)
    )
    engine = Recording()
    with pytest.raises(
        InputError, match=r"too little disk space for .*runs: 4 MB are needed and 1 MB are free"
    ):
        last(make(), tmp_path, engine)
    assert engine.given == []


def test_a_disk_that_fills_up_loses_nothing(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, calls = conduct_module.write_rows, 0

    def full(file: Path, rows: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise InputError(
                f"cannot write {file}: No space left on device. Nothing was left behind."
            )
        inner(file, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(conduct_module, "write_rows", full)
    with pytest.raises(InputError, match="No space left on device"):
        last(make(), tmp_path)
    assert len(read_rows(tmp_path / "study" / "results.csv")) == 1
    engine = Recording()
    assert last(make(), tmp_path, engine).reused == 2


def test_an_interrupted_study_goes_on(make: Make, tmp_path: Path) -> None:
    study = make()
    with closing(
        run_study(study, engine=SerialEngine(), runs=tmp_path / "runs", out=tmp_path / "study")
    ) as steps:
        while len(next(steps).rows) < 1:
            pass
    assert len(read_rows(tmp_path / "study" / "results.csv")) == 1

    class Interrupting(Recording):
        def train(
            self, jobs: Sequence[Job], *, runs: Path, images: ImageSet | None = None
        ) -> Generator[Event, None, None]:
            self.given += [job.name for job in jobs]
            raise Interrupted("stopped")
            yield

    engine = Interrupting()
    with pytest.raises(Interrupted):
        last(study, tmp_path, engine)
    assert len(engine.given) == 1
    assert len(last(study, tmp_path).rows) == 2


def planned(**times: float) -> PlannedRun:
    return PlannedRun(
        variant=None,  # type: ignore[arg-type]
        config=RunConfig().replace(epochs=4),
        name="run",
        **{"threads": 1, "epoch_seconds": 2.0, "other_seconds": 3.0, **times},
    )


def test_the_time_left_is_shared_by_the_cores(tmp_path: Path) -> None:
    progress = Progress(planned={"a": planned()}, folder=tmp_path, capacity=4)
    assert progress.seconds_left() == 4 * 2 + 3  # a run cannot be divided
    progress.planned |= {str(index): planned() for index in range(7)}
    assert progress.seconds_left() == 8 * 11 / 4
    assert progress.seconds_left(pace=2) == 2 * 8 * 11 / 4
    assert progress.seconds_left(without={"a", "0"}) == 6 * 11 / 4
    progress.planned = {"wide": planned(threads=4), "narrow": planned()}
    assert progress.seconds_left() == 11 + 11 / 4
    progress.failures["wide"] = "it failed"
    assert progress.seconds_left() == 11
    assert Progress(planned={}, folder=tmp_path, capacity=4).seconds_left() == 0


def test_the_time_left_follows_the_epochs_of_running_runs(
    make: Make, trained: Path, tmp_path: Path
) -> None:
    progress = last(make(), trained)
    assert progress.seconds_left() == 0
    (name, run), *_ = progress.planned.items()
    progress.rows.pop(name)
    taken = RunDirectory(trained / "runs" / name).read_epochs()[0]["seconds"]
    run = dataclasses.replace(
        run, epoch_seconds=taken / 3, config=run.config.replace(epochs=5), other_seconds=0.0
    )
    progress.planned[name] = run
    assert progress.seconds_left() == pytest.approx(4 * taken / 3)  # one epoch is done
    progress.running[name] = time.monotonic()
    assert progress.trained() == pytest.approx((taken, taken / 3))
    assert progress.seconds_left() == pytest.approx(4 * taken, abs=0.2)  # three times as slow
    progress.running, progress.spent = {}, {name: 9.0}
    assert progress.trained() == (9, run.seconds)
    progress.spent = {name: 0.0}  # it was resumed after its last epoch
    assert progress.trained() == pytest.approx((taken, run.seconds))


def test_runs_of_another_process_are_waited_for(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conduct_module, "POLL_SECONDS", 0.05)
    study = make(factors="kernel = [1, 5]")
    first = plan_names(study, tmp_path / "plan")
    runs, out, order = tmp_path / "runs", tmp_path / "out", []
    (runs / first[0]).mkdir(parents=True)
    with contextlib.ExitStack() as other:
        other.enter_context(locked(RunDirectory(runs / first[0]).lock, wait=0))
        for progress in run_study(study, engine=SerialEngine(), runs=runs, out=out):
            if progress.latest in progress.rows and progress.latest not in order:
                order.append(progress.latest)
            if len(progress.rows) == 2:
                other.close()  # the other process was killed
    assert order[-1] == first[0]
    assert sorted(order) == sorted(first)
    assert not progress.failures
    assert len(read_rows(out / "results.csv")) == 3


def plan_names(study: Study, folder: Path) -> list[str]:
    progress = next(iter(run_study(study, engine=SerialEngine(), runs=folder, out=folder / "out")))
    return list(progress.planned)
