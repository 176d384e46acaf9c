"""Run a study: reuse finished runs, train the others, and write the results after each."""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.engines.base import Engine, Failed, Finished, Job, Started
from caelab.experiments.migration import RENAMED
from caelab.experiments.run_directory import RunDirectory, owns_folder, run_name
from caelab.experiments.setup import load_data, require_trainable
from caelab.experiments.study import Study, Variant
from caelab.experiments.study_results import StudyRow, write_rows
from caelab.files import read_json, require_space, to_json, write_csv, write_text

_log = logging.getLogger(__name__)

RUN_BYTES = 2_000_000
"""Size of a run directory without weights, optimizer and checkpoint."""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of a study: its network, its configuration, and the name of its directory."""

    variant: Variant
    config: RunConfig
    name: str

    @property
    def title(self) -> str:
        """Label and seed, in words."""
        return f"{self.variant.label}, seed {self.config.seed}"

    def record(self) -> dict[str, Any]:
        """Return what ``study.json`` and ``results.csv`` say of the run before it is trained."""
        return {
            "run": self.name,
            "label": self.variant.label,
            "factor": self.variant.factor,
            "level": self.variant.level,
            "network": self.variant.description.text,
            "seed": self.config.seed,
        }


@dataclass(kw_only=True)
class Progress:
    """State of a study while it runs.

    Attributes:
        planned: All runs by name, in the order of training.
        workers: Number of runs that are trained at the same time.
        rows: Results of the finished runs by name.
        failures: Messages of the failed runs by name.
        running: Start of each running run by name, in ``time.monotonic`` seconds.
        reused: Number of runs that were finished before.
        latest: Name of the run with the latest event; empty at first.
    """

    planned: dict[str, PlannedRun]
    workers: int
    rows: dict[str, StudyRow] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    reused: int = 0
    latest: str = ""

    @property
    def left(self) -> list[PlannedRun]:
        """The runs that have not started."""
        # Derived from the other fields, so that no list has to be kept in step with them.
        started = {*self.rows, *self.failures, *self.running}
        return [run for name, run in self.planned.items() if name not in started]

    @property
    def best(self) -> StudyRow | None:
        """The row with the smallest validation error."""
        return min(self.rows.values(), key=lambda row: row.validation_mse, default=None)

    def seconds_left(self) -> float | None:
        """Return an estimate of the remaining time; ``None`` before the first run is finished."""
        if not self.rows:
            return None
        now = time.monotonic()
        running = [
            max(0.0, self._seconds(self.planned[name]) - (now - started))
            for name, started in self.running.items()
        ]
        # Workers share the rest evenly, but no run can be divided: the longest running one is a
        # lower bound.
        total = sum(running) + sum(map(self._seconds, self.left))
        return max([total / self.workers, *running])

    def _seconds(self, run: PlannedRun) -> float:
        """Estimate the training time from the finished run with the most similar cost."""
        cost = max(1, run.variant.description.multiply_accumulates)

        def ratio(row: StudyRow) -> float:
            return cost / max(1, row.multiply_accumulates)

        # Time grows with multiply-accumulates only between networks that are alike; on a
        # logarithmic scale, half and double are equally far.
        near = min(self.rows.values(), key=lambda row: abs(math.log(ratio(row))))
        return near.seconds_per_epoch * run.config.epochs * ratio(near)


def run_study(study: Study, *, engine: Engine, runs: Path, out: Path) -> Iterator[Progress]:
    """Train the missing runs of a study; yield the progress at the start and after each event.

    At each yield ``out`` holds ``results.csv`` with all finished runs and, if some failed,
    ``failed.csv``. Both are derived from the run directories: a damaged or lost results file is
    written again, and a damaged run directory is trained again.

    Args:
        study: The plan.
        engine: Engine that trains.
        runs: Folder of run directories; finished ones are reused, interrupted ones resumed.
        out: Folder of the study.

    Raises:
        InputError: The images cannot be loaded or do not have the classes that a network predicts,
            ``out`` belongs to another study, or the disk is full.
        Interrupted: Someone asked to stop; the state is saved.
    """
    images, split = load_data(study.base.data)
    fingerprint = images.source.fingerprint
    # All problems are found before the first run: nobody wants to learn of one after a night.
    for variant in study.variants:
        require_trainable(variant.config, variant.description, images, split)
    planned = {
        name: PlannedRun(variant=variant, config=config, name=name)
        for variant, config in study.runs()
        for name in [run_name(config, fingerprint)]
    }
    _claim(study, out, planned, fingerprint)

    progress = Progress(planned=planned, workers=engine.workers)
    for name, run in planned.items():
        # The run directories are the truth; `results.csv` is only a view of them.
        if row := _finished_row(run, RunDirectory(runs / name)):
            progress.rows[name] = row
    progress.reused = len(progress.rows)
    left = progress.left
    require_space(runs, sum(RUN_BYTES + 40 * run.variant.description.weights for run in left))
    runs.mkdir(parents=True, exist_ok=True)
    _write(progress, out)
    yield progress

    jobs = [Job(name=run.name, config=run.config) for run in left]
    # Closing the generator stops its workers, also when the caller stops reading events.
    with closing(engine.train(jobs, runs=runs, images=images)) as events:
        for event in events:
            progress.latest, progress.workers = event.name, engine.workers
            if isinstance(event, Started):
                progress.running[event.name] = time.monotonic()
            else:
                progress.running.pop(event.name, None)
                match event:
                    case Failed(name, message):
                        progress.failures[name] = message
                    case Finished(name, notes):
                        for note in notes:
                            _log.warning("%s", note)
                        progress.rows[name] = read_row(planned[name], RunDirectory(runs / name))
                _write(progress, out)
            yield progress


def read_row(run: PlannedRun, directory: RunDirectory) -> StudyRow:
    """Return the row of a finished run.

    Raises:
        InputError: Something in the run directory is missing or damaged.
    """
    result, description = directory.read_result(), run.variant.description
    try:
        psnr = result["test"]["psnr"]
        row = StudyRow(
            **run.record(),
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
    # Somebody may have deleted files, although `result.json` was written last.
    if len(directory.read_epochs()) != row.epochs or not directory.weights.is_file():
        raise InputError(f"{directory.path} is damaged: epochs or weights are missing.")
    return row


def _finished_row(run: PlannedRun, directory: RunDirectory) -> StudyRow | None:
    """Return the row of a finished run; clear a damaged directory, so that it is trained again."""
    if not directory.finished:
        return None
    try:
        return read_row(run, directory)
    except InputError:
        for file in directory.path.iterdir():
            # The lock stays: another process may hold it.
            if file != directory.lock and file.is_file():
                file.unlink()
        return None


def identify(study: Study, fingerprint: str) -> dict[str, Any]:
    """Return what a study's folder is known by; new seeds, levels and networks do not change it.

    Args:
        study: The plan.
        fingerprint: Fingerprint of the images.
    """
    base = _plain(study.base)
    # Data are compared by the fingerprint of the images. Seeds vary within a study, and a study may
    # move to another device.
    for name in ("data", "seed", "device"):
        del base[name]
    return {"name": study.name, "base": base, "data": fingerprint}


def _plain(config: RunConfig) -> dict[str, Any]:
    texts = {"network": str(config.network), "degradation": str(config.degradation)}
    return config.flat() | texts


def difference(before: Any, now: Mapping[str, Any]) -> str:
    """Return in words how two identities of :func:`identify` differ; empty if they are the same.

    Args:
        before: Identity as it was read from a file. A parameter that it lacks had its default.
        now: Identity of this study.
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
    return ", ".join(changed) or ("" if before.get("data") == now["data"] else "data are others")


def _claim(study: Study, out: Path, planned: Mapping[str, PlannedRun], fingerprint: str) -> None:
    """Write ``study.json`` into ``out``, or check that it already belongs to the study."""
    file = out / "study.json"
    identity = identify(study, fingerprint)
    if owns_folder(out, "study", file) and (
        problem := difference(read_json(file).get("identity"), identity)
    ):
        raise InputError(
            f"{out} holds another study: its {problem}. Choose another `out` for this one."
        )
    content: dict[str, Any] = {
        "identity": identity,
        "question": study.question,
        "seeds": list(study.seeds),
        "runs": [run.record() for run in planned.values()],
    }
    write_text(file, to_json(content))


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
