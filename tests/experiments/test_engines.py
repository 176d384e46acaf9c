import dataclasses
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.engines import processes
from caelab.experiments.engines.base import (
    Engine,
    Event,
    Failed,
    Finished,
    Job,
    SerialEngine,
    Started,
)
from caelab.experiments.engines.processes import ProcessEngine
from caelab.experiments.engines.ray_cluster import RayEngine, pack, train_remotely, unpack
from caelab.experiments.run_directory import RunDirectory, run_name
from caelab.experiments.setup import load_data
from caelab.kernels.compiler import find_compiler

Small = Callable[..., RunConfig]
Weights = dict[str, torch.Tensor]


def job(config: RunConfig) -> Job:
    images, _ = load_data(config.data)
    return Job(name=run_name(config, images.source.fingerprint), config=config)


def weights(runs: Path, name: str) -> Weights:
    return load_file(RunDirectory(runs / name).weights)


def same(one: Weights, other: Weights) -> bool:
    return set(one) == set(other) and all(
        torch.equal(value, other[name]) for name, value in one.items()
    )


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def jobs(small: Small) -> list[Job]:
    return [job(small()), job(small(seed=1))]


@pytest.fixture
def reference(jobs: list[Job], tmp_path: Path, one_thread: None) -> list[Weights]:
    """The weights that this process trains."""
    list(SerialEngine().train(jobs, runs=tmp_path / "reference"))
    return [weights(tmp_path / "reference", one.name) for one in jobs]


def finished(engine: Engine, jobs: list[Job], runs: Path) -> list[Event]:
    events = list(engine.train(jobs, runs=runs))
    assert {event.name for event in events if isinstance(event, Finished)} == {
        one.name for one in jobs
    }, events
    return events


def test_local_processes_train_the_same_weights(
    jobs: list[Job], reference: list[Weights], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    events = finished(ProcessEngine(workers=2, threads=1), jobs, tmp_path)
    assert events[:2] == [Started(jobs[0].name), Started(jobs[1].name)]
    assert all(
        same(weights(tmp_path, one.name), expected)
        for one, expected in zip(jobs, reference, strict=True)
    )
    assert multiprocessing.active_children() == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not processes.FORKS, reason="workers are new interpreters here")
def test_workers_have_what_a_run_needs_from_the_start() -> None:
    processes.start_server()
    processes.start_server()
    with processes.worker_context().Pool(1) as pool:
        assert pool.apply(eval, (f"{processes.PRELOADED!r} in __import__('sys').modules",))
        assert pool.apply(eval, ("__import__('threading').active_count()",)) <= 2


@pytest.mark.skipif(not find_compiler(), reason="there is no C compiler")
@pytest.mark.parametrize("compiler", ["", None])
def test_workers_have_this_process_s_environment_and_not_an_older_one(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str | None
) -> None:
    processes.start_server()
    if compiler is not None:
        monkeypatch.setenv("CC", compiler)  # nothing is compiled
    one = job(small(epochs=1))
    finished(ProcessEngine(workers=1, threads=1), [one], tmp_path)
    directory = RunDirectory(tmp_path / one.name)
    assert (directory.read(directory.environment)["lanes"] is None) == (compiler == "")


@pytest.mark.parametrize("engine", [SerialEngine(), ProcessEngine(workers=2, threads=1)])
def test_images_that_are_at_hand_are_not_loaded_again(
    small: Small, pictures: Path, reference: list[Weights], tmp_path: Path, engine: Engine
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(pictures, moved)
    configs = [small(data=str(moved)), small(data=str(moved), seed=1)]
    images, _ = load_data(configs[0].data)
    jobs = [
        Job(name=run_name(config, images.source.fingerprint), config=config) for config in configs
    ]
    shutil.rmtree(moved)
    assert isinstance(list(engine.train(jobs, runs=tmp_path))[-1], Failed)
    events = list(engine.train(jobs, runs=tmp_path, images=images))
    assert {event.name for event in events if isinstance(event, Finished)} == {
        one.name for one in jobs
    }, events
    assert all(
        same(weights(tmp_path, one.name), expected)
        for one, expected in zip(jobs, reference, strict=True)
    )


def test_a_killed_worker_is_replaced_and_its_run_goes_on(
    small: Small, tmp_path: Path, one_thread: None
) -> None:
    long = job(small(epochs=30))
    finished(SerialEngine(), [long], tmp_path / "reference")
    killed = 0
    checkpoint = RunDirectory(tmp_path / long.name).checkpoint
    with closing(ProcessEngine(workers=1, threads=1).train([long], runs=tmp_path)) as events:
        assert next(events) == Started(long.name)
        kill_when_it_exists(checkpoint)
        killed += 1
        assert next(events) == Started(long.name)
        assert next(events) == Finished(long.name)
    assert killed == 1
    assert same(weights(tmp_path, long.name), weights(tmp_path / "reference", long.name))


def test_a_run_that_loses_two_workers_has_failed(small: Small, tmp_path: Path) -> None:
    long, short = job(small(epochs=500)), job(small(epochs=1))
    with closing(ProcessEngine(workers=1, threads=1).train([long, short], runs=tmp_path)) as events:
        for _ in range(2):
            assert next(events) == Started(long.name)
            RunDirectory(tmp_path / long.name).checkpoint.unlink(missing_ok=True)
            kill_when_it_exists(RunDirectory(tmp_path / long.name).checkpoint)
        failed = next(events)
        assert failed == Failed(long.name, "its worker ended twice, the second time with SIGKILL.")
        assert list(events) == [Started(short.name), Finished(short.name)]


def test_stopping_saves_what_is_under_way(small: Small, tmp_path: Path) -> None:
    long = job(small(epochs=500))
    directory = RunDirectory(tmp_path / long.name)
    with closing(ProcessEngine(workers=1, threads=1).train([long], runs=tmp_path)) as events:
        next(events)
        wait_for(directory.checkpoint)
        # Times cannot distinguish two checkpoints that are written within one tick of the clock.
        directory.checkpoint.unlink()
    assert multiprocessing.active_children() == []
    assert directory.load_checkpoint() is not None


def a_cpu(monkeypatch: pytest.MonkeyPatch, cores: int, gigabytes: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(processes, "available_cores", lambda: cores)
    monkeypatch.setattr(processes, "available_memory", lambda: gigabytes * 10**9)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize(
    ("count", "cores", "gigabytes", "threads"),
    [
        (0, 2, 64, []),
        (1, 8, 64, [8]),
        (3, 2, 64, [1, 1, 2]),
        (4, 2, 64, [1, 1, 1, 1]),
        (3, 8, 64, [2, 2, 2]),
        (10, 8, 64, [1] * 8 + [4, 4]),
        (7, 8, 8, [2, 2, 2, 2, 2, 2, 6]),  # memory for three
        (3, 1, 64, [1, 1, 1]),
        (3, 4, 1, [4, 4, 4]),
    ],
)
def test_full_rounds_have_a_thread_a_core_and_the_rest_share_all(
    monkeypatch: pytest.MonkeyPatch, count: int, cores: int, gigabytes: int, threads: list[int]
) -> None:
    a_cpu(monkeypatch, cores, gigabytes)
    assert processes.AutoEngine().plan(count, lambda _workers, _threads: True) == threads


@pytest.mark.parametrize(("chosen", "workers"), [(1, 8), (2, 4), (3, 2), (16, 1)])
def test_the_environment_may_say_how_many_threads_a_run_has(
    monkeypatch: pytest.MonkeyPatch, chosen: int, workers: int
) -> None:
    a_cpu(monkeypatch, 8, 64)
    monkeypatch.setenv("OMP_NUM_THREADS", str(chosen))
    engines = processes.AutoEngine(), ProcessEngine()
    assert {(engine.workers, engine.threads) for engine in engines} == {(workers, chosen)}
    assert engines[0].plan(3, lambda _workers, _threads: True) == [chosen] * 3
    engine = ProcessEngine(workers=3, threads=5)
    assert (engine.workers, engine.threads) == (3, 5)


def test_where_it_is_faster_runs_have_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    a_cpu(monkeypatch, 8, 64)
    asked = []

    def alone_is_faster(workers: int, threads: int) -> bool:
        asked.append((workers, threads))
        return False

    assert processes.AutoEngine().plan(3, alone_is_faster) == [8, 8, 8]
    assert asked == [(8, 1)]


@pytest.mark.parametrize(("gpus", "threads"), [(1, 8), (2, 4), (16, 1)])
def test_a_gpu_has_a_worker_of_its_own(
    monkeypatch: pytest.MonkeyPatch, gpus: int, threads: int
) -> None:
    a_cpu(monkeypatch, 8, 64)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    engine = processes.AutoEngine()
    assert engine.workers == gpus
    assert engine.plan(3, lambda _workers, _threads: False) == [threads] * 3


def test_runs_have_the_threads_of_their_plan(
    jobs: list[Job], reference: list[Weights], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "available_cores", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    engine = processes.AutoEngine()
    narrow = [dataclasses.replace(one, threads=1) for one in jobs]
    events = finished(engine, narrow, tmp_path)
    assert events[:2] == [Started(jobs[0].name), Started(jobs[1].name)]
    assert all(
        same(weights(tmp_path, one.name), expected)
        for one, expected in zip(jobs, reference, strict=True)
    )
    mixed = [dataclasses.replace(jobs[0], threads=2), narrow[1]]
    events = finished(engine, mixed, tmp_path / "mixed")
    assert events == [kind(one.name) for one in mixed[::-1] for kind in (Started, Finished)]
    used = [
        RunDirectory(tmp_path / "mixed" / one.name).read(
            RunDirectory(tmp_path / "mixed" / one.name).environment
        )["threads"]
        for one in mixed
    ]
    assert used == [2, 1]


@pytest.mark.parametrize(
    ("cores", "gigabytes", "workers"), [(8, 64, 8), (8, 8, 3), (1, 64, 1), (4, 1, 1)]
)
def test_without_a_number_there_is_a_worker_a_core(
    monkeypatch: pytest.MonkeyPatch, cores: int, gigabytes: int, workers: int
) -> None:
    a_cpu(monkeypatch, cores, gigabytes)
    engine = ProcessEngine()
    assert (engine.workers, engine.threads) == (workers, cores // workers)


def test_the_threads_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = 8
    a_cpu(monkeypatch, cores, 64)
    for workers in (1, 2, 100):
        assert ProcessEngine(workers=workers).threads == max(1, cores // workers)
    assert ProcessEngine(workers=2, threads=3).threads == 3


@pytest.mark.parametrize("engine", [SerialEngine(), ProcessEngine(workers=1, threads=1)])
def test_warnings_of_a_run_come_with_its_event(
    small: Small,
    pictures: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    engine: Engine,
) -> None:
    shutil.copytree(pictures, tmp_path / "data")
    (tmp_path / "data" / "even" / "000.png").write_bytes(b"broken")
    one = job(small(data=str(tmp_path / "data"), epochs=1))
    capfd.readouterr()
    *_, event = engine.train([one], runs=tmp_path)
    assert isinstance(event, Finished)
    (note,) = event.notes
    assert "1 of 120 pictures" in note
    assert capfd.readouterr() == ("", "")


def test_the_wrong_data_are_a_failure(small: Small, tmp_path: Path) -> None:
    other = Job(name="another-0123abcd", config=small(epochs=1))
    _, event = SerialEngine().train([other], runs=tmp_path)
    assert isinstance(event, Failed)
    assert "not those of the study" in event.message
    assert list(tmp_path.iterdir()) == []  # it was not trained


def test_a_node_with_other_data_refuses_before_it_trains(
    small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a node where `auto` finds photographs, and the driver found CIFAR-10."""
    one = job(small())
    other = dataclasses.replace(one, config=small(data="photos", train_size=64))
    trained = []
    monkeypatch.setattr("caelab.experiments.run.fit", lambda *_: trained.append(1) or iter(()))
    event, files = train_remotely(other, tmp_path / "not there", 1, {})
    assert isinstance(event, Failed)
    assert "CAELAB_DATA" in event.message
    assert not trained
    assert not files


def test_a_fault_of_ours_is_a_failure_with_its_place(
    small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("caelab.experiments.run.run", fault)
    _, event = SerialEngine().train([job(small())], runs=tmp_path)
    assert isinstance(event, Failed)
    assert event.message.startswith("ZeroDivisionError: by zero (")
    assert "test_engines.py, line" in event.message


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="the engine ray needs Ray: pip install 'ray>="):
        RayEngine()


def test_a_cluster_that_does_not_answer_is_said() -> None:
    pytest.importorskip("ray", reason="Ray is not installed (the extra: cluster)")
    with pytest.raises(
        InputError, match=r"no Ray cluster at 127\.0\.0\.1:9: .*refused.*`ray start --head`"
    ):
        RayEngine(address="127.0.0.1:9")


def test_a_node_without_the_drivers_folder_goes_on_and_returns_everything(
    small: Small, tmp_path: Path, one_thread: None
) -> None:
    one = job(small())
    finished(SerialEngine(), [one], tmp_path)
    begun = pack(tmp_path / one.name)
    del begun["result.json"]
    epochs = begun["epochs.csv"]
    event, files = train_remotely(one, tmp_path / "not there", 1, begun)
    assert event == Finished(one.name)
    assert files["epochs.csv"] == epochs  # the times are in it: nothing was trained twice
    unpack(files, tmp_path / "back" / one.name)
    assert RunDirectory(tmp_path / "back" / one.name).finished
    assert same(weights(tmp_path / "back", one.name), weights(tmp_path, one.name))
    assert not (tmp_path / "not there").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)
def test_a_cluster_trains_the_same_weights_even_if_it_loses_a_node(
    small: Small, jobs: list[Job], reference: list[Weights], tmp_path: Path
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (the extra: cluster)")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        cluster.wait_for_nodes()
        engine = RayEngine()
        assert engine.workers == 2
        finished(engine, jobs, tmp_path / "two")
        assert all(
            same(weights(tmp_path / "two", one.name), expected)
            for one, expected in zip(jobs, reference, strict=True)
        )

        longer = [job(small(epochs=60)), job(small(epochs=60, seed=1))]
        finished(SerialEngine(), longer, tmp_path / "reference")
        with closing(engine.train(longer, runs=tmp_path)) as events:
            assert [next(events), next(events)] == [Started(one.name) for one in longer]
            for one in longer:
                wait_for(RunDirectory(tmp_path / one.name).checkpoint)
            cluster.remove_node(lost, allow_graceful=False)
            assert {event.name for event in events if isinstance(event, Finished)} == {
                one.name for one in longer
            }
        for one in longer:
            assert same(weights(tmp_path, one.name), weights(tmp_path / "reference", one.name))
    finally:
        ray.shutdown()
        cluster.shutdown()


def kill_when_it_exists(checkpoint: Path) -> None:
    (worker,) = multiprocessing.active_children()
    wait_for(checkpoint)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()


def wait_for(file: Path, *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} did not appear"
        time.sleep(0.005)
