"""The lab: exercise after exercise is trained, or taken from finished runs.

lab.studies ──► run_study (one study per exercise) ──► run directories ──► caelab.report
"""

import dataclasses
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from caelab.data.image_set import Source
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

SECONDS_PER_RUN = 5.0
"""Time to read the images, to measure and to draw, on two cores of a server."""

SECONDS_PER_EPOCH, SECONDS_PER_MILLION = 2.1, 1.46
"""Time of an epoch of 48,000 images on the same machine: for any network, and for each million of
multiply-accumulates."""

BFLOAT16_SHARE = 0.4
"""Time of convolutions in bfloat16 as a share of that in float32."""


@dataclasses.dataclass(kw_only=True)
class Stage:
    """One exercise of the lab.

    Attributes:
        study: Study that is trained.
        progress: Progress of the study; ``None`` before it begins.
    """

    study: Study
    progress: Progress | None = None


@dataclasses.dataclass(kw_only=True)
class LabProgress:
    """Progress of a lab.

    Attributes:
        budget: Budget of the lab.
        images: Number of training images.
        source: Source of the images.
        classes: Number of their classes; 0 where they have none.
        runs: Folder of the run directories.
        stages: One per exercise.
        impossible: Labels of ideas of exercise 3 that need other classes, and so are left out.
        finished: Names of the runs that were finished before the lab began.
    """

    budget: Budget
    images: int
    source: Source
    classes: int
    runs: Path
    stages: list[Stage]
    impossible: tuple[str, ...] = ()
    finished: frozenset[str] = frozenset()

    @property
    def cuts(self) -> list[str]:
        """Sentences about what the budget leaves out and what the images do not allow."""
        names = "; ".join(self.impossible)
        missing = [f"Left out, as the images have no such classes: {names}."] if names else []
        return [*cuts(self.budget), *missing]

    @property
    def current(self) -> Stage | None:
        """The exercise under way, or the last one."""
        return next((stage for stage in reversed(self.stages) if stage.progress), None)

    def seconds(self) -> tuple[float, float]:
        """Return the estimated duration of the whole lab, and how much of it is done.

        Arithmetic gives the proportions; the finished runs tell how fast this machine is.
        """
        total = done = 0.0
        ratios = [
            row.seconds_per_epoch / self._epoch(run.config, run.variant.description)
            for stage in self.stages
            if stage.progress
            for name, row in stage.progress.rows.items()
            for run in [stage.progress.planned[name]]
        ]
        # The median, because a run that was interrupted or disturbed says little about the machine.
        slower = statistics.median(ratios) if ratios else 1.0
        for stage in self.stages:
            planned = _names(stage.study, self.source)
            workers = stage.progress.workers if stage.progress else usual_workers(len(planned))
            for name, (config, description) in planned.items():
                training = slower * config.epochs * self._epoch(config, description)
                expected = (SECONDS_PER_RUN + training) / workers
                total += expected
                done += self._done(stage, name, expected, workers)
        return total, done

    def _done(self, stage: Stage, name: str, expected: float, workers: int) -> float:
        state = stage.progress
        if state is None:
            return expected if name in self.finished else 0.0
        if name in state.running:
            spent = (time.monotonic() - state.running[name]) / workers
            # A run that takes longer than expected must not count as finished.
            return min(0.95 * expected, spent)
        return expected if name in state.rows or name in state.failures else 0.0

    def _epoch(self, config: RunConfig, description: Description) -> float:
        """Return the seconds of an epoch on two cores of a server."""
        images = min(self.images, config.data.train_size or self.images)
        share = BFLOAT16_SHARE if config.precision == "bfloat16" else 1.0
        millions = share * description.multiply_accumulates_rewritten / 1e6
        return images / 48_000 * (SECONDS_PER_EPOCH + SECONDS_PER_MILLION * millions)


def plan_lab(base: RunConfig, budget: Budget | None = None, *, runs: Path) -> LabProgress:
    """Find the images and plan the lab; nothing is trained yet.

    Args:
        base: The data, and where to compute.
        budget: Amount that is trained; by default standard with CIFAR-10, quick with other images.
        runs: Folder of the run directories.

    Raises:
        InputError: The images cannot be had, or a network does not fit them.
    """
    images, split = load_data(base.data)
    source, count, classes = images.source, len(split.train), len(images.classes)
    # The studies load them again when they run; planning needs their number only.
    del images
    names = {"cifar10": source.where, "photos": "photos"}
    base = base.replace(data=names.get(source.name, base.data.source))
    if budget is None:
        budget = BUDGETS["standard" if source.name == "cifar10" else "quick"]
    # A limit that limits nothing would give the runs another name than without it.
    if budget.limit is not None and budget.limit >= count:
        budget = dataclasses.replace(budget, limit=None)
    # Exercise 2 finds the best network; until then the reference network takes its place, so that
    # the duration can be estimated.
    wanted = studies.third(budget, base, base.network.text)
    possible = studies.possible(wanted, classes)
    planned = [studies.first(budget, base), studies.second(budget, base), possible]
    return LabProgress(
        budget=budget,
        images=count,
        source=source,
        classes=classes,
        runs=runs,
        stages=[Stage(study=study) for study in planned],
        impossible=tuple(
            variant.label for variant in wanted.variants if variant not in possible.variants
        ),
        finished=frozenset(
            name
            for study in planned
            for name in _names(study, source)
            if (runs / name / "result.json").is_file()
        ),
    )


def _names(study: Study, source: Source) -> Mapping[str, tuple[RunConfig, Description]]:
    """Return the runs of a study by the names of their folders."""
    return {
        run_name(config, source.fingerprint): (config, variant.description)
        for variant, config in study.runs()
    }


def run_lab(
    progress: LabProgress, *, engine: Engine, out: Path, command: str = ""
) -> Iterator[LabProgress]:
    """Train what is missing; yield the progress whenever something happened.

    A folder for each exercise in ``out`` holds its ``results.csv``, and ``lab.json`` describes the
    lab.

    Args:
        progress: Result of :func:`plan_lab`.
        engine: Engine that trains the runs.
        out: Folder of the lab.
        command: Command that repeats it.

    Raises:
        InputError: ``out`` cannot be written to.
        Interrupted: Someone asked to stop; the state is saved.
    """
    record = {
        "budget": progress.budget.name,
        "takes": progress.budget.takes,
        "cuts": progress.cuts,
        "command": command,
        "runs": str(progress.runs),
        "studies": [stage.study.name for stage in progress.stages],
        "data": {name: getattr(progress.source, name) for name in ("name", "where", "note")},
    }
    write_text(out / RECORD, to_json(record))
    architectures = progress.stages[1]
    for stage in progress.stages:
        # Exercise 3 trains the network that exercise 2 found, which is known only now.
        if stage is progress.stages[2] and architectures.progress:
            base = progress.stages[0].study.base
            best = analyze(architectures.progress.rows.values()).best
            network = best.network if best else base.network.text
            ideas = studies.third(progress.budget, base, network)
            stage.study = studies.possible(ideas, progress.classes)
        folder = out / stage.study.name
        _clear(folder, identify(stage.study, progress.source.fingerprint))
        for state in run_study(stage.study, engine=engine, runs=progress.runs, out=folder):
            stage.progress = state
            yield progress


def _clear(folder: Path, identity: dict[str, Any]) -> None:
    """Remove what another budget derived from its runs; the runs themselves stay."""
    try:
        same = not difference(read_json(folder / "study.json").get("identity"), identity)
    except InputError:
        same = False
    if not same:
        for file in ("study.json", "results.csv", "failed.csv", "baselines.json"):
            (folder / file).unlink(missing_ok=True)
