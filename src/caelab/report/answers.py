"""The answers of a report as typed numbers: the schema of ``results.json``.

The module of each exercise defines the class of its answer, and templates turn the answers into
sentences. ``results.json`` has ``null`` in place of an unknown number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from caelab import __version__
from caelab.data.size import sides
from caelab.experiments.study_results import StudyRow
from caelab.report.architectures import Analysis
from caelab.report.colorization import ColorAnswer
from caelab.report.inputs import LabRecord, ReportInputs
from caelab.report.reconstruction import ReconstructionAnswer
from caelab.report.representation_sizes import SizeAnswer
from caelab.report.restoration import Restoration
from caelab.report.run_reader import FinishedRun
from caelab.report.shortcomings import Shortcomings
from caelab.report.study_baselines import LinearAnswer
from caelab.report.training_options import TrainingAnswer

SCHEMA = 2
"""Version of the schema. The version rises when a field is removed or changes its meaning."""


@dataclass(frozen=True, kw_only=True)
class DataAnswer:
    """The images, their split and their normalization.

    Attributes:
        name: Name of the data set, such as ``cifar10``.
        note: Remark about the source of the images, such as which pictures were left out; usually
            empty.
        fingerprint: Hash of the images and their classes.
        side: Height and width of the images in pixels: one number if they are equal, otherwise a
            text such as ``48x96``.
        images: Smallest and largest number of images in each part, ``train``, ``validation`` and
            ``test``, over all runs that have the same test images.
        split: ``pooled`` if the images are split at random into 80% for training, 10% for
            validation and 10% for the test; ``official`` if the data set has its own test images.
        split_seed: Seed of the split.
        mean: Mean of each channel over the training images. Normalization subtracts it from the
            network's input. Empty without normalization.
        std: Standard deviation of each channel over the training images. Normalization divides the
            network's input by it. Empty without normalization.
        others: Names of the data sets of runs that have other test images.
        channels: Number of channels of an image.
    """

    name: str
    note: str
    fingerprint: str
    side: int | str
    images: Mapping[str, tuple[int, int]]
    split: str
    split_seed: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    others: tuple[str, ...]
    channels: int = 3

    @property
    def pixels(self) -> str:
        """Height and width of the images in pixels as text, such as ``32×32``."""
        return "×".join(map(str, sides(self.side)))


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Answers to the questions of the exercises; ``None`` where no run can answer a question.

    Attributes:
        data: Exercise 1.1: the images, their split and their normalization.
        training: Options that the networks were trained with.
        reconstruction: Exercise 1.2: error by epoch and test error of a network that reconstructs
            images: the preset ``reference`` if it was trained, otherwise another network.
        size: Exercise 2.1: size of the code of the network in ``reconstruction``.
        studies: Exercise 2.2: effects of the architecture on the error, by the name of the study.
        linear: Exercise 2.2: the networks of a study against PCA, by the name of the study.
        colors: Exercises 3.1 and 3.2: networks that color gray images, and the effects of ideas.
        shortcomings: Exercise 3.2: what the best colorizer does badly.
        restorations: Networks that undo other degradations, such as noise. The exercises do not
            ask about them.
    """

    data: DataAnswer
    training: TrainingAnswer
    reconstruction: ReconstructionAnswer | None
    size: SizeAnswer | None
    studies: Mapping[str, Analysis]
    linear: Mapping[str, LinearAnswer]
    colors: ColorAnswer | None
    shortcomings: Shortcomings | None
    restorations: tuple[Restoration, ...]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run left in its directory.

    Attributes:
        config: Content of ``config.json``, with names in place of paths.
        data: Name and fingerprint of the images, with remarks on their source.
        environment: Content of ``environment.json``.
        result: Content of ``result.json``.
        epochs: Rows of ``epochs.csv``.
    """

    config: dict[str, Any]
    data: dict[str, Any]
    environment: dict[str, Any]
    result: dict[str, Any]
    epochs: list[dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """The state and the results of a study.

    Attributes:
        question: Question that the study asks.
        planned: Number of the study's runs, finished or not.
        unfinished: Label and seed of each run that has no row.
        failures: Label, seed and error message of each run that failed.
        rows: One row for each finished run whose directory can be read.
    """

    question: str
    planned: int
    unfinished: tuple[tuple[str, int], ...]
    failures: tuple[tuple[str, int, str], ...]
    rows: tuple[StudyRow, ...]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Content of ``results.json``.

    Attributes:
        schema: Version of this schema.
        caelab: Version of caelab.
        lab: Plan of the lab that the report is about; without a lab all fields are empty.
        problems: One message for each folder or file that is missing, damaged or unfinished.
        answers: Answers to the questions of the exercises.
        runs: Every run by the name of its directory.
        studies: Every study by its name.
        tables: Tables of the report. Each has a ``section``, ``name``, ``caption``, ``columns`` and
            ``rows``.
    """

    schema: int
    caelab: str
    lab: LabRecord
    problems: list[str]
    answers: Answers
    runs: dict[str, RunRecord]
    studies: dict[str, StudyRecord]
    tables: list[dict[str, Any]]


_RESULTS = TypeAdapter(Results)


# JSON has no NaN. Pydantic writes `null` instead, so every number in the schema may be `null`.
class _Schema(GenerateJsonSchema):
    def float_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ARG002
        return {"type": ["number", "null"]}

    def encode_default(self, dft: Any) -> Any:
        return None if dft != dft else super().encode_default(dft)


def results_schema() -> dict[str, Any]:
    """Return the JSON schema of ``results.json``; a copy is in ``docs/results-schema.json``."""
    return _RESULTS.json_schema(schema_generator=_Schema, mode="serialization")


def results_json(inputs: ReportInputs, answers: Answers, tables: list[dict[str, Any]]) -> str:
    """Return the content of ``results.json``, without any path of this machine.

    Args:
        inputs: Runs and studies that the report is about.
        answers: Answers to the questions of the exercises.
        tables: Tables of the report, as in ``Document.tables``.
    """
    results = Results(
        schema=SCHEMA,
        caelab=__version__,
        lab=replace(inputs.lab, runs=""),
        problems=inputs.problems,
        answers=answers,
        runs={
            name: RunRecord(
                # Paths are private, and of no use on another machine.
                config=run.config.without_paths(run.source["name"]).model_dump(mode="json"),
                data={key: value for key, value in run.source.items() if key != "where"},
                environment=run.environment,
                result=run.result,
                epochs=run.epochs,
            )
            for name, run in inputs.all_runs.items()
        },
        studies={
            study.name: StudyRecord(
                question=study.question,
                planned=study.planned,
                unfinished=study.unfinished,
                failures=study.failures,
                rows=study.rows,
            )
            for study in inputs.studies
        },
        tables=tables,
    )
    return _RESULTS.dump_json(results, indent=1).decode() + "\n"


def answer_data(main: FinishedRun, runs: Sequence[FinishedRun]) -> DataAnswer:
    """Describe the images of the run ``main``, and how the other ``runs`` on them split them."""
    # Runs on other images would say nothing about how many of these images are in each part.
    alike = [run.result["images"] for run in runs if run.images == main.images]
    normalization = main.result["normalization"]
    return DataAnswer(
        name=main.source["name"],
        note=main.source.get("note", ""),
        fingerprint=main.source["fingerprint"],
        side=main.config.data.size,
        images={
            part: (min(each[part] for each in alike), max(each[part] for each in alike))
            for part in ("train", "validation", "test")
        },
        split="official" if main.source.get("own_test") else main.config.data.split,
        split_seed=main.config.data.split_seed,
        mean=tuple(normalization.get("mean", ())),
        std=tuple(normalization.get("std", ())),
        others=tuple(sorted({run.source["name"] for run in runs if run.images != main.images})),
        channels=main.config.data.channels,
    )
