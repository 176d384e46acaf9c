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
        progress: Progress of the study. Before training begins, it has only the planned runs.
        begun: True if training has begun.
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
        images: Images for all exercises.
        runs: Folder of the run directories.
        stages: The three exercises, in their order.
        impossible: Labels of networks of exercise 3 that are left out, because they predict other
            classes than the images have.
    """

    budget: Budget
    engine: Engine
    images: ImageSet
    runs: Path
    stages: list[Stage]
    impossible: tuple[str, ...] = ()

    @property
    def record(self) -> LabRecord:
        """Content of ``lab.json``, except the command."""
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
        """Exercise that has begun last; ``None`` before the first one begins."""
        return next((stage for stage in reversed(self.stages) if stage.begun), None)

    def seconds(self) -> tuple[float, float]:
        """Return the estimated seconds that the whole lab takes, and how many of them are done."""
        trained = [stage.progress.trained() for stage in self.stages if stage.begun]
        # The pace is the real time of training so far, divided by the expected time.
        pace = ratio_of(sum(taken for taken, _ in trained), sum(due for _, due in trained))
        total = left = 0.0
        seen: set[str] = set()
        for stage in self.stages:
            progress = stage.progress
            left += progress.seconds_left(pace=pace, without=seen)
            # Some runs of exercise 1 are also runs of exercise 2. They are counted once.
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
    """Load the images, plan the runs, and estimate their duration from a few training steps.

    Args:
        base: Configuration with the data and the device of all runs.
        budget: Amount of training. The default is ``standard`` with CIFAR-10 and ``quick`` with
            other images.
        engine: Engine that trains the runs.
        runs: Folder of the run directories.

    Raises:
        InputError: The images cannot be loaded, or a network does not fit them.
    """
    images, split = load_data(base.data)
    if found := images.source.data:
        # The source "auto" becomes the source that was found, so that every run names it. The note
        # says why this source was chosen, which does not apply to a source that is named.
        base = base.replace(data=found)
        images = dataclasses.replace(images, source=dataclasses.replace(images.source, note=""))
    if budget is None:
        budget = BUDGETS["standard" if images.source.name == "cifar10" else "quick"]
    # A limit without effect would still change the names of the runs.
    if budget.limit is not None and budget.limit >= len(split.train):
        budget = dataclasses.replace(budget, limit=None)
    # Exercise 2 will find the best network. Until then exercise 3 is planned with the reference
    # network, so that the duration can be estimated.
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

    ``out`` gets a folder with ``results.csv`` for each exercise, and the file ``lab.json``, which
    describes the lab.

    Args:
        progress: Result of :func:`plan_lab`.
        out: Folder of the lab.
        command: Command that repeats the lab.

    Raises:
        InputError: ``out`` cannot be written to.
        Interrupted: A signal such as Ctrl-C stopped the training. Its state is saved.
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
    """Remove the results in a folder if they are those of another study, but keep all runs.

    Args:
        folder: Folder with the results of an exercise.
        identity: Identity of the study that will write its results there.
    """
    try:
        same = not difference(read_json(folder / "study.json").get("identity"), identity)
    except InputError:
        same = False
    if not same:
        for file in ("study.json", "results.csv", "failed.csv", "baselines.json"):
            (folder / file).unlink(missing_ok=True)
