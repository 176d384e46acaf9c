"""Run the lab: train its exercises one after another, and reuse finished runs.

lab.studies ──► run_study (one study per exercise) ──► run directories ──► caelab.report
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caelab.data.image_set import ImageSet
from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.engines.base import Engine
from caelab.experiments.setup import load_data
from caelab.experiments.study import Study
from caelab.experiments.study_runner import (
    Progress,
    difference,
    identify,
    plan_study,
    ratio_of,
    run_study,
)
from caelab.files import read_json, to_json, write_text
from caelab.lab import studies
from caelab.lab.budgets import BUDGETS, Budget, larger_budget
from caelab.report.architectures import analyze
from caelab.report.inputs import RECORD, LabRecord


@dataclasses.dataclass(kw_only=True)
class Stage:
    """One exercise of the lab.

    Attributes:
        study: Study that is trained.
        progress: Progress of the study, or its plan before it begins.
        begun: True if its training has begun.
    """

    study: Study
    progress: Progress
    begun: bool = False


@dataclasses.dataclass(kw_only=True)
class LabProgress:
    """Progress of a lab.

    Attributes:
        budget: Budget of the lab.
        engine: Engine that trains the runs.
        images: Images of all exercises, loaded once.
        runs: Folder of the run directories.
        stages: One per exercise.
        impossible: Labels of ideas of exercise 3 that need other classes, and so are left out.
    """

    budget: Budget
    engine: Engine
    images: ImageSet
    runs: Path
    stages: list[Stage]
    impossible: tuple[str, ...] = ()

    @property
    def record(self) -> LabRecord:
        """What ``lab.json`` says of the lab, except the command."""
        following = larger_budget(self.budget)
        return LabRecord(
            budget=self.budget.name,
            amount=dataclasses.asdict(self.budget),
            larger=dataclasses.asdict(following) if following else {},
            impossible=self.impossible,
            runs=str(self.runs),
            studies=tuple(stage.study.name for stage in self.stages),
        )

    @property
    def current(self) -> Stage | None:
        """The current exercise, or the last one when all are done."""
        return next((stage for stage in reversed(self.stages) if stage.begun), None)

    def seconds(self) -> tuple[float, float]:
        """Return the estimated duration of the whole lab, and how much of it is done."""
        trained = [stage.progress.trained() for stage in self.stages if stage.begun]
        pace = ratio_of(sum(taken for taken, _ in trained), sum(due for _, due in trained))
        total = left = 0.0
        seen: set[str] = set()
        for stage in self.stages:
            progress = stage.progress
            left += progress.seconds_left(pace=pace, without=seen)
            # The runs of exercise 1 are also runs of exercise 2, and are counted once.
            for name in progress.planned.keys() - seen:
                run = progress.planned[name]
                total += pace * run.seconds * run.threads / progress.capacity
            seen |= progress.planned.keys()
        # If a run takes longer than expected, the remaining time must not exceed the total.
        total = max(total, left)
        return total, total - left


def plan_lab(
    base: RunConfig, budget: Budget | None = None, *, engine: Engine, runs: Path
) -> LabProgress:
    """Find the images, plan the lab and time some steps of its networks; nothing is trained yet.

    Args:
        base: The data, and where to compute.
        budget: Amount that is trained; by default standard with CIFAR-10, quick with other images.
        engine: Engine that trains the runs.
        runs: Folder of the run directories.

    Raises:
        InputError: The images cannot be loaded, or a network does not fit them.
    """
    images, split = load_data(base.data)
    if found := images.source.data:
        # The note said why these images were taken. Now they are those that are named.
        base = base.replace(data=found)
        images = dataclasses.replace(images, source=dataclasses.replace(images.source, note=""))
    if budget is None:
        budget = BUDGETS["standard" if images.source.name == "cifar10" else "quick"]
    # A limit without effect would still change the names of the runs.
    if budget.limit is not None and budget.limit >= len(split.train):
        budget = dataclasses.replace(budget, limit=None)
    # Exercise 2 will find the best network. Until then the reference network replaces it, so that
    # the duration can be estimated.
    wanted = studies.colorization_study(budget, base, base.network.text)
    possible = studies.without_other_classes(wanted, len(images.classes))
    stages = []
    for study in (
        studies.reconstruction_study(budget, base),
        studies.architecture_study(budget, base),
        possible,
    ):
        _, limited = load_data(study.base.data, images)
        progress = plan_study(study, engine=engine, images=images, split=limited, runs=runs)
        stages.append(Stage(study=study, progress=progress))
    return LabProgress(
        budget=budget,
        engine=engine,
        images=images,
        runs=runs,
        stages=stages,
        impossible=tuple(
            variant.label for variant in wanted.variants if variant not in possible.variants
        ),
    )


def run_lab(progress: LabProgress, *, out: Path, command: str = "") -> Iterator[LabProgress]:
    """Train the missing runs; yield the progress after each event.

    A folder for each exercise in ``out`` holds its ``results.csv``, and ``lab.json`` describes the
    lab.

    Args:
        progress: Result of :func:`plan_lab`.
        out: Folder of the lab.
        command: Command that repeats it.

    Raises:
        InputError: ``out`` cannot be written to.
        Interrupted: Someone asked to stop; the state is saved.
    """
    record = dataclasses.replace(progress.record, command=command)
    write_text(out / RECORD, to_json(dataclasses.asdict(record)))
    architectures = progress.stages[1]
    for stage in progress.stages:
        # Exercise 3 trains the best network of exercise 2, which is known only now.
        if stage is progress.stages[2]:
            base = progress.stages[0].study.base
            best = analyze(architectures.progress.rows.values()).best
            network = best.network if best else base.network.text
            ideas = studies.colorization_study(progress.budget, base, network)
            stage.study = studies.without_other_classes(ideas, len(progress.images.classes))
        folder = out / stage.study.name
        _clear(folder, identify(stage.study, progress.images.source.fingerprint))
        for state in run_study(
            stage.study,
            engine=progress.engine,
            runs=progress.runs,
            out=folder,
            images=progress.images,
        ):
            stage.progress, stage.begun = state, True
            yield progress


def _clear(folder: Path, identity: dict[str, Any]) -> None:
    """Remove the results of another budget, but not its runs."""
    try:
        same = not difference(read_json(folder / "study.json").get("identity"), identity)
    except InputError:
        same = False
    if not same:
        for file in ("study.json", "results.csv", "failed.csv", "baselines.json"):
            (folder / file).unlink(missing_ok=True)
