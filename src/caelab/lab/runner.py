"""The lab: exercise after exercise is trained, or taken from runs that are there; the report is
written from the runs.

plans ──► conduct (a study an exercise) ──► run directories ──► ``lab.report``
"""

import contextlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from caelab.data import Source
from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.engines.base import Engine
from caelab.experiments.engines.processes import usual_workers
from caelab.experiments.run_directory import run_name
from caelab.experiments.setup import load_data
from caelab.experiments.study import Study
from caelab.experiments.study_runner import Progress, difference, identify, run_study
from caelab.files import read_json, to_json, write_text
from caelab.lab import studies
from caelab.lab.budgets import BUDGETS, Budget, cuts
from caelab.networks import Description
from caelab.report.architectures import analyze
from caelab.report.inputs import RECORD

SECONDS_A_RUN = 5.0
"""To read the images, to measure and to draw; on two cores of a server."""

SECONDS_AN_EPOCH, SECONDS_A_MILLION = 2.1, 1.46
"""Of 48,000 images: whatever the network, and for each million of multiply-accumulates (measured
likewise)."""


@dataclass(kw_only=True)
class Stage:
    """One exercise on its way.

    Attributes:
        study: What is trained.
        progress: How far it has come; ``None`` before it begins.
    """

    study: Study
    progress: Progress | None = None

    @property
    def workers(self) -> int:
        """How many runs are trained at the same time, or will be."""
        return (
            self.progress.workers if self.progress else usual_workers(len(list(self.study.runs())))
        )


@dataclass(kw_only=True)
class LabProgress:
    """How far a lab has come.

    Attributes:
        budget: What it trains.
        images: Training images.
        source: Where they came from.
        classes: That they are of; 0 where they have none.
        runs: Where run directories are.
        impossible: Ideas of exercise 3 that tell other classes, and so are left out.
        finished: Names of the runs that were there before, for the estimate before an exercise
            begins.
        stages: By exercise.
    """

    budget: Budget
    images: int
    source: Source
    classes: int
    runs: Path
    impossible: tuple[str, ...] = ()
    finished: set[str] = field(default_factory=set)
    stages: list[Stage] = field(default_factory=list)

    @property
    def cuts(self) -> list[str]:
        """What the budget leaves out, and what the images do not allow, a sentence each."""
        said = cuts(self.budget)
        if self.impossible:
            said.append(
                f"Left out, as the images have no such classes: {'; '.join(self.impossible)}."
            )
        return said

    @property
    def running(self) -> tuple[str, RunConfig, Description] | None:
        """Label, configuration and description of the run under way."""
        for stage in self.stages:
            for name in stage.progress.running if stage.progress else ():
                planned = stage.progress.planned[name] if stage.progress else None
                if planned:
                    return planned.variant.label, planned.config, planned.variant.description
        return None

    @property
    def current(self) -> Stage | None:
        """The exercise under way."""
        begun = [stage for stage in self.stages if stage.progress]
        return begun[-1] if begun else None

    def seconds(self) -> tuple[float, float]:
        """Return how long everything takes, by estimate, and how much of it is done.

        Arithmetic gives the proportions; the runs that are finished say how fast this machine is.
        """
        total = done = 0.0
        speed = self._speed()
        for stage in self.stages:
            workers = stage.workers
            for variant, config in stage.study.runs():
                training = speed * config.epochs * self._epoch(config, variant.description)
                expected = (SECONDS_A_RUN + training) / workers
                total += expected
                name = run_name(config, self.source.fingerprint)
                progress = stage.progress
                if progress is None:
                    done += expected * (name in self.finished)
                elif name in progress.rows or name in progress.failures:
                    done += expected
                elif name in progress.running:
                    done += min(
                        0.95 * expected, (time.monotonic() - progress.running[name]) / workers
                    )
        return total, done

    def _speed(self) -> float:
        """How much slower than expected the finished runs were."""
        ratios = [
            row.seconds_per_epoch / self._epoch(run.config, run.variant.description)
            for progress in (stage.progress for stage in self.stages if stage.progress)
            for run, row in ((progress.planned[name], row) for name, row in progress.rows.items())
        ]  # fmt: skip
        return statistics.median(ratios) if ratios else 1.0

    def _epoch(self, config: RunConfig, description: Description) -> float:
        images = min(self.images, config.data.train_size or self.images)
        millions = description.multiply_accumulates_rewritten / 1e6
        fast = 0.4 if config.precision == "bfloat16" else 1.0
        return images / 48_000 * (SECONDS_AN_EPOCH + fast * SECONDS_A_MILLION * millions)


def prepare(base: RunConfig, budget: Budget | None = None, *, runs: Path) -> LabProgress:
    """Find the images and plan the lab; nothing is trained yet.

    Args:
        base: The data, and where to compute.
        budget: How much; by default standard with CIFAR-10, and quick with other images.
        runs: Where run directories are.

    Raises:
        InputError: The images cannot be had, or a network does not fit them.
    """
    images, split = load_data(base.data)
    source, count, classes = images.source, len(split.train), len(images.classes)
    del images
    place = {"cifar10": source.where, "photos": "photos"}.get(source.name, base.data.source)
    settled = base.replace(data=place)
    if budget is None:
        budget = BUDGETS["standard" if source.name == "cifar10" else "quick"]
    if budget.limit is not None and budget.limit >= count:
        budget = replace(budget, limit=None)
    progress = LabProgress(budget=budget, images=count, source=source, classes=classes, runs=runs)
    for study in (studies.first(budget, settled), studies.second(budget, settled)):
        progress.stages.append(Stage(study=study))
    # Which network is best is known after exercise 2: until then the reference network stands in,
    # to tell the time.
    planned = studies.third(budget, settled, settled.network.text)
    ideas = studies.possible(planned, classes)
    progress.impossible = tuple(
        variant.label for variant in planned.variants if variant not in ideas.variants
    )
    progress.stages.append(Stage(study=ideas))
    progress.finished = {
        name
        for stage in progress.stages
        for _, config in stage.study.runs()
        if (runs / (name := run_name(config, source.fingerprint)) / "result.json").is_file()
    }
    return progress


def conduct_lab(
    progress: LabProgress, *, engine: Engine, out: Path, command: str = ""
) -> Iterator[LabProgress]:
    """Train what is missing; yield the progress whenever something happened.

    A folder for each exercise in ``out`` holds its ``results.csv``, and ``lab.json`` says what
    belongs to the lab.

    Args:
        progress: From :func:`prepare`.
        engine: What trains.
        out: The lab's folder.
        command: That repeats it.

    Raises:
        InputError: ``out`` cannot be written to.
        Interrupted: Someone asked to stop; the state is saved.
    """
    out.mkdir(parents=True, exist_ok=True)
    _record(progress, out, command)
    base = progress.stages[0].study.base
    for index, stage in enumerate(progress.stages):
        if index == 2:
            rows = progress.stages[1].progress.rows.values() if progress.stages[1].progress else ()
            best = analyze(rows).best
            ideas = studies.third(
                progress.budget, base, best.network if best else base.network.text
            )
            stage.study = studies.possible(ideas, progress.classes)
        folder = out / stage.study.name
        _clear(folder, identify(stage.study, progress.source.fingerprint))
        for state in run_study(stage.study, engine=engine, runs=progress.runs, out=folder):
            stage.progress = state
            yield progress


def _clear(folder: Path, identity: dict[str, Any]) -> None:
    """Remove what another budget derived from its runs; the runs themselves stay."""
    with contextlib.suppress(InputError):
        if not difference(read_json(folder / "study.json").get("identity"), identity):
            return
    for file in ("study.json", "results.csv", "failed.csv", "baselines.json"):
        (folder / file).unlink(missing_ok=True)


def _record(progress: LabProgress, out: Path, command: str) -> None:
    content = {
        "budget": progress.budget.name,
        "takes": progress.budget.takes,
        "cuts": progress.cuts,
        "command": command,
        "runs": str(progress.runs),
        "studies": [stage.study.name for stage in progress.stages],
        "data": {
            "name": progress.source.name,
            "where": progress.source.where,
            "note": progress.source.note,
        },
    }
    write_text(out / RECORD, to_json(content))
