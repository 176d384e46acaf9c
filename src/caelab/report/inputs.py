"""Inputs of a report: runs, studies and labs, found in the named folders."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from caelab.errors import InputError
from caelab.experiments.study import BASE
from caelab.experiments.study_results import StudyRow, read_rows
from caelab.files import read_csv, read_json
from caelab.report.architectures import Analysis, analyze
from caelab.report.run_reader import FinishedRun, read_run

RECORD = "lab.json"
"""File in a lab's folder that describes the lab."""


@dataclass(frozen=True, kw_only=True)
class LabRecord:
    """Content of ``lab.json``: the plan of a lab, which trains the networks of all exercises.

    Attributes:
        budget: Name of the budget, which says how much is trained; empty without a lab.
        amount: Fields of the budget, such as ``epochs`` and ``study_seeds``.
        larger: Fields of the next larger budget; empty for the largest one.
        impossible: Labels of ideas of exercise 3 that were left out because they need images with
            other classes.
        command: Command that repeats the lab and its report.
        runs: Folder of the run directories.
        studies: Names of the studies' folders in the folder of the lab.
    """

    budget: str = ""
    amount: dict[str, Any] = field(default_factory=dict)
    larger: dict[str, Any] = field(default_factory=dict)
    impossible: tuple[str, ...] = ()
    command: str = ""
    runs: str = ""
    studies: tuple[str, ...] = ()


_LAB = TypeAdapter(LabRecord)

Read = Callable[[Path], FinishedRun]
"""Function that reads the finished run in a directory."""


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """The finished and readable runs of a study.

    Attributes:
        folder: Folder of the study's results.
        name: Name of the study.
        question: Question that the study asks.
        rows: One row for each run that can be read: first the base, then levels by factor and
            rising level, then networks without a factor.
        runs: The runs of ``rows`` by the name of their folder.
        planned: Number of the study's runs, finished or not.
        unfinished: Label and seed of each run that has no row.
        failures: Label, seed and error message of each run that failed.
    """

    folder: Path
    name: str
    question: str
    rows: tuple[StudyRow, ...]
    runs: dict[str, FinishedRun]
    planned: int
    unfinished: tuple[tuple[str, int], ...]
    failures: tuple[tuple[str, int, str], ...]

    @functools.cached_property
    def analysis(self) -> Analysis:
        """Answers about architectures from all rows."""
        descriptions = {row.label: self.runs[row.run].description for row in self.rows}
        return analyze(self.rows, descriptions=descriptions)


@dataclass(kw_only=True)
class ReportInputs:
    """The runs, studies and the lab that a report is about.

    Attributes:
        runs: Runs that were named themselves, not by their study.
        studies: Studies in the order in which they were named.
        lab: Plan of the lab; without a lab all fields are empty.
        problems: One message for each folder or file that is missing, damaged or unfinished.
    """

    runs: list[FinishedRun] = field(default_factory=list)
    studies: list[StudyResults] = field(default_factory=list)
    lab: LabRecord = LabRecord()
    problems: list[str] = field(default_factory=list)

    @property
    def all_runs(self) -> dict[str, FinishedRun]:
        """Every run by the name of its folder: first ``runs``, then the runs of studies."""
        found: dict[str, FinishedRun] = {}
        for run in (*self.runs, *(run for study in self.studies for run in study.runs.values())):
            found.setdefault(run.name, run)
        return found


def gather(paths: Sequence[Path], *, runs: Path | None = None) -> ReportInputs:
    """Read run directories, folders of studies and folders of labs, each once.

    Args:
        paths: Folders of any of the three kinds.
        runs: Folder where the studies' runs are looked for first; by default the folder that the
            lab names. The parent of a study's folder, and its parent, are searched next.

    Raises:
        InputError: No finished run was found; the message says what is wrong with each folder.
    """
    found = ReportInputs()
    # A run may belong to several studies; its directory is read once.
    read = functools.cache(read_run)
    folders: list[tuple[Path, Path | None]] = []
    for path in dict.fromkeys(paths):
        if (path / RECORD).is_file():
            try:
                # Fields that only other versions write are ignored.
                found.lab = _LAB.validate_python(read_json(path / RECORD))
            except (InputError, ValidationError) as error:
                found.problems.append(f"{path / RECORD} is damaged: {error}")
            folders += [(path / name, runs or Path(found.lab.runs)) for name in found.lab.studies]
        else:
            folders.append((path, runs))
    for path, home in folders:
        try:
            if (path / "config.json").is_file():
                found.runs.append(read(path.resolve()))
            else:
                _gather_study(path, home, found, read)
        except InputError as error:
            found.problems.append(str(error))
    found.problems = [*dict.fromkeys(found.problems)]
    if not found.all_runs:
        problems = "\n".join(f"  {problem}" for problem in found.problems)
        raise InputError(
            f"there is nothing to report, because no finished run was found:\n{problems}"
        )
    return found


def _gather_study(folder: Path, home: Path | None, found: ReportInputs, read: Read) -> None:
    # Each message names the first problem, because the others follow from it.
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    if not (folder / "study.json").is_file():
        raise InputError(f"{folder} holds neither a run, nor a study, nor a lab.")
    content = read_json(folder / "study.json")
    # A study's folder is in the folder of its runs, or in a lab's folder in the folder of its runs.
    homes = [*([home] if home else []), folder.parent, folder.parent.parent]
    rows, runs = [], {}
    stated = read_rows(folder / "results.csv")
    if stated and not any((each / row.run).is_dir() for each in homes for row in stated):
        # One message with a remedy is better than one message for every missing run.
        searched = " or ".join(map(str, homes))
        raise InputError(
            f"{folder}: the study's run directories are not in {searched}. Name the folder that"
            " holds them as `runs`."
        )
    for row in stated:
        paths = [each / row.run for each in homes]
        try:
            run = read(next((path for path in paths if path.is_dir()), paths[0]).resolve())
            # This happens if the run was trained again after the file was written.
            if run.mse != row.test_mse:
                raise InputError(
                    f"{folder / 'results.csv'} gives {row.run} another error than the run directory"
                    " has, so the report leaves this run out. Run `caelab study` to write the file"
                    " again."
                )
        except InputError as error:
            found.problems.append(str(error))
            continue
        rows.append(row)
        runs[row.run] = run
    planned = content.get("runs")
    unfinished = [
        (str(each["label"]), int(each["seed"]))
        for each in (planned if isinstance(planned, list) else [])
        if isinstance(each, dict)
        and {"run", "label", "seed"} <= each.keys()
        and each["run"] not in runs
    ]
    found.studies.append(
        StudyResults(
            folder=folder,
            name=str(content.get("identity", {}).get("name", folder.name)),
            question=str(content.get("question", "")),
            rows=tuple(_in_order(rows)),
            runs=runs,
            planned=len(planned) if isinstance(planned, list) else len(rows),
            unfinished=tuple(unfinished),
            failures=_read_failures(folder / "failed.csv", found),
        )
    )


def _read_failures(file: Path, found: ReportInputs) -> tuple[tuple[str, int, str], ...]:
    """Return label, seed and error message of each failed run; none if the file is damaged."""
    try:
        # The finished runs are reported even if the list of failures is damaged.
        lines = read_csv(file)[1:] if file.is_file() else []
        return tuple((label, int(seed), message) for label, seed, _, message in lines)
    except (InputError, ValueError) as error:
        found.problems.append(f"{file} is damaged: {error}")
        return ()


def _in_order(rows: Sequence[StudyRow]) -> list[StudyRow]:
    """Sort rows: the base, levels by factor and rising level, networks without a factor."""
    # Runs are trained in the order of their cost, but tables are read factor by factor.
    factors = ["", *dict.fromkeys(row.factor for row in rows if row.factor)]

    def key(row: StudyRow) -> tuple[int, float]:
        if not row.factor and row.label != BASE:
            return len(factors), 0.0
        try:
            return factors.index(row.factor), float(row.level or 0)
        except ValueError:  # the level is a word
            return factors.index(row.factor), math.inf

    return sorted(rows, key=key)
