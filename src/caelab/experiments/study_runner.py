"""Run a study: reuse finished runs, train the others, and write the results after each run."""

import contextlib
import logging
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from caelab.data.image_set import ImageSet
from caelab.data.split import Split
from caelab.errors import InputError
from caelab.experiments.arithmetic import begun_with
from caelab.experiments.config import SOURCES, RunConfig
from caelab.experiments.engines.base import Busy, Engine, Event, Failed, Finished, Job, Started
from caelab.experiments.engines.timing import NetworkTimer
from caelab.experiments.migration import RENAMED
from caelab.experiments.run_directory import RunDirectory, owns_folder, run_name
from caelab.experiments.setup import load_data, require_trainable
from caelab.experiments.start import read_start
from caelab.experiments.study import Study, Variant
from caelab.experiments.study_results import StudyRow, write_rows
from caelab.files import (
    locked,
    make_folder,
    read_json,
    require_space,
    to_json,
    write_csv,
    write_text,
)

_log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Seconds between two checks of the runs that another process is training."""

RUN_BYTES = 2_000_000
"""Size in bytes of a run directory without weights, optimizer and checkpoint."""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        variant: Variant of the study that the run trains.
        config: Configuration of the run, its seed included.
        name: Name of the run directory.
        threads: CPU threads with which the run is trained.
        epoch_seconds: Expected seconds of training per epoch; 0 if they are unknown.
        other_seconds: Expected seconds of everything else in the run.
    """

    variant: Variant
    config: RunConfig
    name: str
    threads: int
    epoch_seconds: float
    other_seconds: float

    @property
    def seconds(self) -> float:
        """Expected seconds of the whole run."""
        return self.config.epochs * self.epoch_seconds + self.other_seconds

    @property
    def title(self) -> str:
        """Label and seed, as messages name the run."""
        return f"{self.variant.label}, seed {self.config.seed}"


def _record(variant: Variant, seed: int, name: str) -> dict[str, Any]:
    """Return the values in ``study.json`` and ``results.csv`` that are known before training."""
    return {
        "run": name,
        "label": variant.label,
        "factor": variant.factor,
        "level": variant.level,
        "network": variant.description.text,
        "seed": seed,
    }


@dataclass(kw_only=True)
class Progress:
    """State of a study while it runs.

    Attributes:
        planned: All runs by name, in the order of the study.
        folder: Folder of the run directories.
        capacity: Number of CPU threads that train at the same time, in all runs together.
        rows: Results of the finished runs by name.
        failures: Error messages of the failed runs by name.
        running: Start time of each run in training by name, in seconds of ``time.monotonic``.
        spent: Seconds from start to end of each run that finished since this study was started, by
            name.
        reused: Number of runs that were finished before this study was started.
        latest: Name of the run with the latest event; empty at first.
    """

    planned: dict[str, PlannedRun]
    folder: Path
    capacity: int
    rows: dict[str, StudyRow] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    reused: int = 0
    latest: str = ""

    @property
    def left(self) -> list[PlannedRun]:
        """The runs that have not started."""
        # Derived from the other fields, so that it is always consistent with them.
        started = {*self.rows, *self.failures, *self.running}
        return [run for name, run in self.planned.items() if name not in started]

    @property
    def best(self) -> StudyRow | None:
        """The row with the smallest validation error; ``None`` if no run has finished."""
        return min(self.rows.values(), key=lambda row: row.validation_mse, default=None)

    def trained(self) -> tuple[float, float]:
        """Return the seconds of the training done so far, and the seconds expected for it."""
        finished = [
            # A resumed run was also trained before this study was started.
            (max(seconds, sum(self._epochs(name))), self.planned[name].seconds)
            for name, seconds in list(self.spent.items())
        ]
        under_way = [
            (seconds, self.planned[name].epoch_seconds)
            for name in list(self.running)
            for seconds in self._epochs(name)
        ]
        known = [*finished, *under_way]
        return sum(taken for taken, _ in known), sum(expected for _, expected in known)

    def seconds_left(
        self, *, pace: float | None = None, without: AbstractSet[str] = frozenset()
    ) -> float:
        """Return an estimate of the seconds that the remaining runs take.

        Args:
            pace: Real time of training divided by expected time; by default, the ratio so far.
            without: Names of runs that are left out.
        """
        if pace is None:
            pace = ratio_of(*self.trained())
        left = {
            name: pace * self._seconds_left(run)
            for name, run in self.planned.items()
            if name not in {*self.rows, *self.failures, *without}
        }
        for name in left.keys() & self.running.keys():
            left[name] = max(0.0, left[name] - self._waited(name))
        # The threads share the work evenly, but a run cannot be divided, so the study takes as long
        # as its longest run, or longer.
        shared = sum(seconds * self.planned[name].threads for name, seconds in left.items())
        return max([shared / self.capacity, *left.values()])

    def _seconds_left(self, run: PlannedRun) -> float:
        """Return the expected seconds of a run after the last epoch that it has finished."""
        return run.seconds - len(self._epochs(run.name)) * run.epoch_seconds

    def _epochs(self, name: str) -> list[float]:
        """Return the seconds of training in each epoch that a run has finished."""
        with contextlib.suppress(InputError, KeyError):
            return [record["seconds"] for record in RunDirectory(self.folder / name).read_epochs()]
        return []

    def _waited(self, name: str) -> float:
        """Return the seconds since a run's start or its last epoch's end, whichever is later."""
        since_start = time.monotonic() - self.running[name]
        with contextlib.suppress(OSError):
            epochs = RunDirectory(self.folder / name).epochs
            return min(since_start, max(0.0, time.time() - epochs.stat().st_mtime))
        return since_start


def ratio_of(taken: float, expected: float) -> float:
    """Return the real time divided by the expected time, or 1 if the expected time is 0."""
    return taken / expected if expected else 1.0


def plan_study(
    study: Study,
    *,
    engine: Engine,
    images: ImageSet,
    split: Split,
    runs: Path,
    before: Mapping[str, int] | None = None,
) -> Progress:
    """Plan the runs of a study: find the finished ones, and choose the threads of the others.

    The training time of the others is estimated, too.

    Args:
        study: The study.
        engine: Engine that trains.
        images: Images of the study.
        split: Split of the images.
        runs: Folder of the run directories.
        before: Threads of each run in an earlier plan of this study, by name; they are kept.
    """
    named = {
        run_name(config, images.source.fingerprint): (variant, config)
        for variant, config in study.runs()
    }
    rows: dict[str, StudyRow] = {}
    for name, (variant, config) in named.items():
        if (directory := RunDirectory(runs / name)).finished:
            with contextlib.suppress(InputError):
                rows[name] = read_row(variant, config.seed, directory)
    timer = NetworkTimer(images=images, split=split)
    threads = dict.fromkeys(named, engine.threads)
    if len(rows) < len(named):
        # Sorted by computed cost, not by measured time, so that each plan gives a run the same
        # threads: the last digits of its numbers depend on them.
        costly = sorted(named, key=lambda name: -_cost(*named[name]))
        _, typical = named[costly[len(costly) // 2]]
        # The median network, because the cheapest and the costliest say little about the others.
        measure = partial(timer.side_by_side, typical)
        threads |= zip(costly, engine.plan(len(named), measure), strict=True)
    # Threads of an earlier plan stay, even if the machine or the number of runs has changed,
    # because a run that resumes with other threads would end with other last digits.
    if engine.plans:
        threads |= {name: count for name, count in (before or {}).items() if name in named}
        threads |= {name: count for name in named if (count := _begun_with(runs / name))}
    capacity = engine.workers * engine.threads
    planned = {}
    for name, (variant, config) in named.items():
        # Networks are timed one by one, but most of them are trained at the same time as others.
        slower = timer.slowdown if threads[name] < capacity else 1.0
        # A finished run has recorded its time, so its network need not be timed.
        if name in rows:
            epoch = rows[name].seconds_per_epoch
        else:
            epoch = slower * timer.epoch_seconds(config, threads[name])
        planned[name] = PlannedRun(
            variant=variant,
            config=config,
            name=name,
            threads=threads[name],
            epoch_seconds=epoch,
            other_seconds=slower * timer.other_seconds(epoch * config.epochs),
        )
    return Progress(planned=planned, folder=runs, capacity=capacity, rows=rows, reused=len(rows))


def _cost(variant: Variant, config: RunConfig) -> int:
    return variant.description.multiply_accumulates_rewritten * config.epochs


def _begun_with(directory: Path) -> int | None:
    """Return the CPU threads that an interrupted run began with; ``None`` for any other run."""
    files = RunDirectory(directory)
    if not files.checkpoint.is_file() or files.finished:
        return None
    # A damaged directory is reported when the run resumes.
    with contextlib.suppress(InputError):
        return begun_with(files.read(files.environment))
    return None


def run_study(
    study: Study, *, engine: Engine, runs: Path, out: Path, images: ImageSet | None = None
) -> Iterator[Progress]:
    """Train the missing runs of a study; yield the progress at the start and after each event.

    At each yield, ``out`` holds ``results.csv`` with all finished runs and, if runs failed,
    ``failed.csv``. Results are read from the run directories, so a damaged or lost results file is
    written again. If a run directory is damaged, the run is trained again.

    Args:
        study: The plan.
        engine: Engine that trains.
        runs: Folder of run directories; finished ones are reused, interrupted ones resumed.
        out: Folder of the study.
        images: Images of the study if they are loaded already.

    Raises:
        InputError: The images cannot be loaded or do not have the classes that a network predicts,
            ``out`` belongs to another study, or the disk is full.
        Interrupted: Someone asked to stop; the state is saved.
    """
    images, split = load_data(study.base.data, images)
    fingerprint = images.source.fingerprint
    # All problems are found before the first run, and not after hours of training.
    for variant in study.variants:
        start = read_start(variant.config.start)
        require_trainable(variant.config, variant.description, start, images, split)
    owns_folder(out, "study", out / "study.json")
    make_folder(out)
    # Locked, so that another process that runs this study waits and then uses the same plan.
    with locked(out / ".lock", wait=-1):
        before = _claim(study, out, fingerprint)
        progress = plan_study(
            study, engine=engine, images=images, split=split, runs=runs, before=before
        )
        # Written before the first run begins, so that a killed study resumes with the same plan.
        _write_plan(study, out, progress, fingerprint)
    left = progress.left
    for run in left:
        _clear_damaged(RunDirectory(runs / run.name))
    require_space(runs, sum(RUN_BYTES + 40 * run.variant.description.weights for run in left))
    make_folder(runs)
    _write(progress, out)
    yield progress

    # The longest runs come first, so that short runs fill the last minutes on every core.
    left.sort(key=lambda run: -run.seconds)
    jobs = [Job(name=run.name, config=run.config, threads=run.threads) for run in left]
    # Closing the generator stops its workers, also when the caller stops reading events.
    with closing(_train(engine, jobs, runs, images)) as events:
        for event in events:
            if isinstance(event, Busy):
                progress.running.pop(event.name, None)
                continue
            progress.latest = event.name
            if isinstance(event, Started):
                progress.running[event.name] = time.monotonic()
            else:
                # An engine may report the failure of a run that it did not report as started.
                started = progress.running.pop(event.name, time.monotonic())
                match event:
                    case Failed(name, message):
                        progress.failures[name] = message
                    case Finished(name, notes):
                        for note in notes:
                            _log.warning("%s", note)
                        run = progress.planned[name]
                        progress.spent[name] = time.monotonic() - started
                        progress.rows[name] = read_row(
                            run.variant, run.config.seed, RunDirectory(runs / name)
                        )
                _write(progress, out)
            yield progress


def _train(
    engine: Engine, jobs: Sequence[Job], runs: Path, images: ImageSet
) -> Generator[Event, None, None]:
    """Yield the events of all jobs; at the end, wait for the runs that another process trains.

    In this way, several processes can share the work of a study, and each ends with all results.

    Args:
        engine: Engine that trains.
        jobs: Runs to train, in the order in which they should begin.
        runs: Folder of the run directories.
        images: Images of the study.
    """
    waiting = list(jobs)
    while waiting:
        directories = {job.name: RunDirectory(runs / job.name) for job in waiting}
        done = [job for job in waiting if directories[job.name].finished]
        yield from (Finished(job.name) for job in done)
        free = [job for job in waiting if job not in done and not directories[job.name].busy]
        waiting = [job for job in waiting if job not in (*done, *free)]
        if not free and waiting:
            time.sleep(POLL_SECONDS)
            continue
        with closing(engine.train(free, runs=runs, images=images)) as events:
            for event in events:
                if isinstance(event, Busy):
                    waiting += [job for job in free if job.name == event.name]
                yield event


def read_row(variant: Variant, seed: int, directory: RunDirectory) -> StudyRow:
    """Return the row of ``results.csv`` for a finished run.

    Args:
        variant: Variant of the study that the run has trained.
        seed: Seed of the run.
        directory: Directory of the run.

    Raises:
        InputError: Something in the run directory is missing or damaged.
    """
    result, description = directory.read_result(), variant.description
    try:
        psnr = result["test"]["psnr"]
        row = StudyRow(
            **_record(variant, seed, directory.path.name),
            code_size=description.code_size,
            code_shape=description.code.shape if description.code else None,
            narrowest=description.narrowest.size,
            skip_around_code=description.skip_around_code,
            weights=description.weights,
            multiply_accumulates=description.multiply_accumulates,
            seconds_per_epoch=float(result["seconds_per_epoch"]),
            epochs=int(result["epochs"]),
            validation_mse=float(result["validation_mse"]),
            test_mse=float(result["test"]["mse"]),
            test_psnr=math.inf if psnr is None else float(psnr),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{directory.result} is damaged ({error!r}). Delete it to train the run again."
        ) from error
    # Somebody may have deleted files after the end of the run.
    if len(directory.read_epochs()) != row.epochs or not directory.weights.is_file():
        raise InputError(f"{directory.path} is damaged: epochs or weights are missing.")
    return row


def _clear_damaged(directory: RunDirectory) -> None:
    """Delete the files of a run that has a result but is damaged, so that it is trained again."""
    if directory.finished:
        for file in directory.path.iterdir():
            # The lock stays: another process may hold it.
            if file != directory.lock and file.is_file():
                file.unlink()


def identify(study: Study, fingerprint: str) -> dict[str, Any]:
    """Return what identifies a study: its name, its base and its data.

    Seeds, levels and other networks are not included, so that a study can get new ones.

    Args:
        study: The plan.
        fingerprint: Fingerprint of the images.
    """
    base = _plain(study.base)
    # Data and weights are compared by their fingerprints. Seeds vary within a study, and a study
    # may move to another device.
    for name in (*SOURCES, "seed", "device"):
        del base[name]
    return {"name": study.name, "base": base, "data": fingerprint}


def _plain(config: RunConfig) -> dict[str, Any]:
    """Return all parameters by short name, with the network and the degradation as texts."""
    texts = {"network": str(config.network), "degradation": str(config.degradation)}
    return config.flat() | texts


def difference(before: Any, now: Mapping[str, Any]) -> str:
    """Return how two answers of :func:`identify` differ, as a text; empty if they are equal.

    Args:
        before: Answer that was stored in a file. A parameter that is missing there had its default.
        now: Answer for the present study.
    """
    if not isinstance(before, dict):
        return "plan cannot be read"
    if before.get("name") != now["name"]:
        return f"name is {before.get('name')!r}, not {now['name']!r}"
    # Parameters that were added since the study began had their defaults then.
    old = _plain(RunConfig()) | (before.get("base") or {})
    if not old.keys().isdisjoint(RENAMED.keys() - now["base"].keys() - {"data"}):
        return "plan is of an earlier version of caelab"
    changed = [
        f"{name} is {old[name]!r}, not {value!r}"
        for name, value in now["base"].items()
        if old[name] != value
    ]
    return ", ".join(changed) or ("" if before.get("data") == now["data"] else "data are different")


def _claim(study: Study, out: Path, fingerprint: str) -> dict[str, int]:
    """Check that ``out`` is free or holds this study; return the planned threads of its runs.

    Raises:
        InputError: The folder belongs to another study, or holds something else.
    """
    file = out / "study.json"
    if not owns_folder(out, "study", file):
        return {}
    content = read_json(file)
    if problem := difference(content.get("identity"), identify(study, fingerprint)):
        raise InputError(
            f"{out} holds another study: its {problem}. Choose another `out` for this one."
        )
    runs = content.get("runs", [])
    planned = [run for run in (runs if isinstance(runs, list) else []) if isinstance(run, dict)]
    return {str(run.get("run")): count for run in planned if (count := begun_with(run))}


def _write_plan(study: Study, out: Path, progress: Progress, fingerprint: str) -> None:
    """Write the plan of a study to ``study.json``."""
    runs = [
        _record(run.variant, run.config.seed, run.name) | {"threads": run.threads}
        for run in progress.planned.values()
    ]
    content: dict[str, Any] = {
        "identity": identify(study, fingerprint),
        "question": study.question,
        "seeds": list(study.seeds),
        "runs": runs,
    }
    write_text(out / "study.json", to_json(content))


def _write(progress: Progress, out: Path) -> None:
    """Write ``results.csv`` and, if runs failed, ``failed.csv``."""
    rows = [progress.rows[name] for name in progress.planned if name in progress.rows]
    write_rows(out / "results.csv", rows)
    failed = out / "failed.csv"
    if not progress.failures:
        failed.unlink(missing_ok=True)
        return
    runs = [progress.planned[name] for name in progress.failures]
    cells = [
        (run.variant.label, run.config.seed, run.name, progress.failures[run.name]) for run in runs
    ]
    write_csv(failed, ["label", "seed", "run", "message"], cells)
