"""A study is conducted: finished runs are reused, the others trained, and after each the results
are written.
"""

import csv
import io
import logging
import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caelab.errors import InputError
from caelab.experiments.config import RunConfig, make_config
from caelab.experiments.engines.base import Engine, Failed, Finished, Job, Started
from caelab.experiments.run_directory import RunDirectory, run_name
from caelab.experiments.setup import load_data, require_trainable
from caelab.experiments.study import Study, Variant
from caelab.experiments.study_results import StudyRow, write_rows
from caelab.files import read_json, require_space, to_json, write_text

_log = logging.getLogger(__name__)

BYTES_OF_A_RUN = 2_000_000
"""What a run directory takes besides weights, optimizer and checkpoint."""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of a study: which network, which configuration, which folder in ``runs``."""

    variant: Variant
    config: RunConfig
    name: str


@dataclass(kw_only=True)
class Progress:
    """How far a study has come.

    Attributes:
        planned: All its runs by name, in their order.
        workers: How many are trained at the same time.
        rows: Of the finished runs, by name.
        failures: Messages of those that failed, by name.
        running: When each run under way began, on ``time.monotonic``'s clock.
        reused: How many were finished before.
        latest: The name of the run to which something happened last; empty at first.
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
        """The runs that are neither finished nor failed nor under way."""
        done = {*self.rows, *self.failures, *self.running}
        return [run for name, run in self.planned.items() if name not in done]

    @property
    def best(self) -> StudyRow | None:
        """The row with the smallest validation error."""
        return min(self.rows.values(), key=lambda row: row.validation_mse, default=None)

    def seconds_left(self) -> float | None:
        """Return how long the rest will take, or ``None`` as long as nothing has been measured."""
        if not self.rows:
            return None
        now = time.monotonic()
        under_way = [
            max(0.0, self._seconds(self.planned[name]) - (now - began))
            for name, began in self.running.items()
        ]
        total = sum(under_way) + sum(map(self._seconds, self.left))
        return max([total / self.workers, *under_way])

    def _seconds(self, run: PlannedRun) -> float:
        """Training time: that of the finished run with the most similar cost, scaled by
        multiply-accumulates.
        """
        cost = max(1, run.variant.description.multiply_accumulates)

        def distance(row: StudyRow) -> float:
            return abs(math.log(cost / max(1, row.multiply_accumulates)))

        near = min(self.rows.values(), key=distance)
        return near.seconds_per_epoch * run.config.epochs * cost / max(1, near.multiply_accumulates)


def run_study(study: Study, *, engine: Engine, runs: Path, out: Path) -> Iterator[Progress]:
    """Train what is missing of ``study``; yield its progress at the start and whenever something
    happened.

    At every yield ``out`` holds ``results.csv`` of all finished runs and, where some failed,
    ``failed.csv``. Both are derived from the run directories, which alone count: a results file
    that is damaged or lost is written anew, and a run directory that is damaged is trained anew.

    Args:
        study: The plan.
        engine: What trains.
        runs: Where run directories are; those that are finished are reused, interrupted ones
            resumed.
        out: The study's folder.

    Raises:
        InputError: The data cannot be had, or lack the classes that a network is to tell; ``out``
            is another study's; or the disk is full.
        Interrupted: Someone asked to stop; the state is saved.
    """
    images, split = load_data(study.base.data)
    source = images.source
    for variant in study.variants:
        require_trainable(variant.config, variant.description, images, split)
    planned = {}
    for variant, config in study.runs():
        name = run_name(config, source.fingerprint)
        planned[name] = PlannedRun(variant=variant, config=config, name=name)
    _claim(study, out, planned, source.fingerprint)

    progress = Progress(planned=planned, workers=engine.workers)
    for name, run in planned.items():
        if row := _finished_row(run, RunDirectory(runs / name)):
            progress.rows[name] = row
    progress.reused = len(progress.rows)
    left = progress.left
    require_space(runs, sum(BYTES_OF_A_RUN + 40 * run.variant.description.weights for run in left))
    runs.mkdir(parents=True, exist_ok=True)
    _write(progress, out)
    yield progress

    jobs = [Job(name=run.name, config=run.config) for run in left]
    with closing(engine.train(jobs, runs=runs, images=images)) as events:
        for event in events:
            progress.latest = event.name
            progress.workers = engine.workers
            match event:
                case Started(name):
                    progress.running[name] = time.monotonic()
                case Failed(name, message):
                    progress.running.pop(name, None)
                    progress.failures[name] = message
                    _write(progress, out)
                case Finished(name, notes):
                    for note in notes:
                        _log.warning("%s", note)
                    progress.running.pop(name, None)
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
            label=run.variant.label,
            factor=run.variant.factor,
            level=run.variant.level,
            network=description.text,
            seed=run.config.seed,
            run=directory.path.name,
            code_size=description.code.size if description.code else None,
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
    if len(directory.read_epochs()) != row.epochs or not directory.weights.is_file():
        raise InputError(f"{directory.path} is damaged: epochs or weights are missing.")
    return row


def _finished_row(run: PlannedRun, directory: RunDirectory) -> StudyRow | None:
    """The row of a run that was finished before; a damaged one is cleared, so that it is trained
    again.
    """
    if not directory.finished:
        return None
    try:
        return read_row(run, directory)
    except InputError:
        for file in directory.path.iterdir():
            if file != directory.lock and file.is_file():
                file.unlink()
        return None


def identify(study: Study, fingerprint: str) -> dict[str, Any]:
    """Return what a study's folder is known by: it may grow by seeds, levels and networks and stays
    the same study.
    """
    return {
        "name": study.name,
        "base": {
            name: value
            for name, value in _flat_json(study.base).items()
            if name not in ("data", "seed", "device")
        },
        "data": fingerprint,
    }


def _flat_json(config: RunConfig) -> dict[str, Any]:
    texts = {"network": config.network.text, "degradation": str(config.degradation)}
    return {**config.flat(), **texts}


def _claim(study: Study, out: Path, planned: dict[str, PlannedRun], fingerprint: str) -> None:
    """Make ``out`` this study's: one that grows by seeds, levels or networks stays itself."""
    file = out / "study.json"
    identity = identify(study, fingerprint)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: a study needs a folder. Choose another --out.")
    if file.is_file():
        if said := difference(read_json(file).get("identity"), identity):
            raise InputError(
                f"{out} holds another study: its {said}. Choose another --out for this one."
            )
    elif out.is_dir() and any(out.iterdir()):
        raise InputError(
            f"{out} is not empty and not a study. Choose a new or empty folder for --out."
        )
    content: dict[str, Any] = {
        "identity": identity,
        "question": study.question,
        "seeds": list(study.seeds),
        "runs": [
            {
                "run": run.name,
                "label": run.variant.label,
                "factor": run.variant.factor,
                "level": run.variant.level,
            }
            | {"network": run.variant.description.text, "seed": run.config.seed}
            for run in planned.values()
        ],
    }
    write_text(file, to_json(content))


def difference(before: Any, now: dict[str, Any]) -> str:
    """Return in words how what a folder holds, ``before``, is another study; ``""`` where it is the
    same.

    Args:
        before: An identity from :func:`identify`, as it was read; an option that it does not state
            was the default.
        now: Another.
    """
    if not isinstance(before, dict):
        return "plan cannot be read"
    if before.get("name") != now["name"]:
        return f"name is {before.get('name')!r}, not {now['name']!r}"
    old = {**_flat_json(make_config({})), **(before.get("base") or {})}
    changed = [
        f"{name} is {old[name]!r}, not {value!r}"
        for name, value in now["base"].items()
        if old[name] != value
    ]
    if changed:
        return ", ".join(changed)
    return "" if before.get("data") == now["data"] else "data are others"


def _write(progress: Progress, out: Path) -> None:
    write_rows(
        out / "results.csv",
        [progress.rows[name] for name in progress.planned if name in progress.rows],
    )
    failed = out / "failed.csv"
    if not progress.failures:
        failed.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "seed", "run", "message"])
    for name, message in progress.failures.items():
        run = progress.planned[name]
        writer.writerow([run.variant.label, run.config.seed, name, message])
    write_text(failed, text.getvalue())
