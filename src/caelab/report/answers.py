"""The answers of a report as typed numbers: the schema of ``results.json``.

The modules of the exercises define the answers; templates turn them into sentences. Where a
number is unknown, the file has ``null``.
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

SCHEMA = 2
"""Version of the schema. It rises when a field is removed or changes its meaning."""


@dataclass(frozen=True, kw_only=True)
class DataAnswer:
    """The images, their split and their normalization.

    Attributes:
        name: Name of the data set, such as ``cifar10``.
        note: What is particular about its source; may be empty.
        fingerprint: Hash of all pixels.
        side: Height and width of the images in pixels; a text, ``48x96``, where they differ.
        images: Smallest and largest number of images for ``train``, ``validation`` and ``test``
            among runs with the same test images.
        split: ``pooled`` for 80 / 10 / 10 percent of all images, ``official`` for the data set's
            own test images, which are kept apart.
        split_seed: Seed of the split.
        mean: Mean of each channel of the training images, which is subtracted from the input; empty
            if the input is not normalized.
        std: Standard deviation of each channel, by which the input is divided; empty if the input
            is not normalized.
        others: Names of data sets whose runs have other test images.
        channels: Channels of the images.
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
        """Height and width, such as ``32×32``."""
        return "×".join(map(str, sides(self.side)))


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One answer for each question; ``None`` where no run can answer it.

    Attributes:
        data: 1.1: the images, their split and their normalization.
        reconstruction: 1.2: error by epoch and test error of the reference network.
        size: 2.1: size of its code.
        studies: 2.2: effects of architectures, by the name of their study.
        linear: 2.2: its networks against PCA, by the name of the study.
        colors: 3.1: colors of gray images, and 3.2: ideas that were tried.
        shortcomings: 3.2: what the best colorizer does badly.
        restorations: Restorations of other degradations, which are no part of the assignment.
    """

    data: DataAnswer
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
        config: Content of ``config.json``, without the path of the images.
        data: Name and fingerprint of the images.
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
    """The finished part of a study.

    Attributes:
        question: Question that it asks.
        planned: Number of all its runs, finished or not.
        unfinished: Label and seed of the runs without a row.
        failures: Label, seed and message of the runs that failed.
        rows: A row for each finished run.
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
        lab: Plan of the lab; its fields are empty if the report is not that of a lab.
        problems: Messages of what is wrong with folders and files.
        answers: The answers.
        runs: Every run by the name of its directory.
        studies: Every study by its name.
        tables: Tables of the report: ``section``, ``name``, ``caption``, ``columns``, ``rows``.
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


# JSON has no NaN; pydantic writes `null` instead.
class _Schema(GenerateJsonSchema):
    def float_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ARG002
        return {"type": ["number", "null"]}

    def encode_default(self, dft: Any) -> Any:
        return None if dft != dft else super().encode_default(dft)


def results_schema() -> dict[str, Any]:
    """Return the JSON schema of ``results.json``, which ``docs/results-schema.json`` holds."""
    return _RESULTS.json_schema(schema_generator=_Schema, mode="serialization")


def results_json(inputs: ReportInputs, answers: Answers, tables: list[dict[str, Any]]) -> str:
    """Return the content of ``results.json``, without paths, which are of no use elsewhere.

    Args:
        inputs: Runs and studies.
        answers: The answers.
        tables: Tables of the report.
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
    """Return what the images of ``main`` are, and how all ``runs`` divide them."""
    # Only runs with the same images, whose parts can be compared.
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
