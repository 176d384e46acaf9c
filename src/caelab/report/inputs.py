"""What a report is made of: runs, studies and labs, found in the folders that are named."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caelab.errors import InputError
from caelab.experiments.study_results import StudyRow, read_rows
from caelab.files import read_json
from caelab.report.run_reader import FinishedRun, read_runs

RECORD = "lab.json"
"""What a lab's folder says of itself."""


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """A study as far as its runs are finished and readable.

    Attributes:
        folder: Where its results are.
        name: Its name.
        question: What it asks.
        rows: A row for each run that can be read.
        runs: Those runs by the name of their folder.
        planned: How many runs it has in all.
    """

    folder: Path
    name: str
    question: str
    rows: tuple[StudyRow, ...]
    runs: dict[str, FinishedRun]
    planned: int


@dataclass(kw_only=True)
class Material:
    """What was found.

    Attributes:
        runs: Single runs, each once.
        studies: In their order.
        lab: What the lab says of itself; empty without one.
        folders: Where runs of studies were looked for.
        problems: What is missing or damaged, a sentence or more each.
    """

    runs: list[FinishedRun] = field(default_factory=list)
    studies: list[StudyResults] = field(default_factory=list)
    lab: dict[str, Any] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def all_runs(self) -> dict[str, FinishedRun]:
        """Every run by the name of its folder, single ones first."""
        found = {run.name: run for run in self.runs}
        for study in self.studies:
            for name, run in study.runs.items():
                found.setdefault(name, run)
        return found


def gather(paths: Sequence[Path], *, runs: Path | None = None) -> Material:
    """Read run directories, studies' folders and labs' folders.

    Args:
        paths: The folders.
        runs: Where the runs of studies are, if not beside the study's folder or where the lab says.

    Raises:
        InputError: Nothing at all was found that a report could be made of; the message says what
            is wrong with each.
    """
    material = Material()
    singles: list[Path] = []
    for path in paths:
        if (path / RECORD).is_file():
            _gather_lab(path, runs, material)
        elif (path / "study.json").is_file():
            _gather_study(path, _places(path, runs), material)
        elif (path / "config.json").is_file():
            singles.append(path)
        else:
            there = (
                "holds neither a run, nor a study, nor a lab"
                if path.is_dir()
                else "is not a folder"
            )
            material.problems.append(f"{path} {there}.")
    found, problems = read_runs(singles)
    material.runs += found
    material.problems += problems
    if not material.all_runs:
        said = "\n".join(f"  {problem}" for problem in material.problems)
        raise InputError(f"there is nothing to report, as no finished run was found:\n{said}")
    return material


def _gather_lab(path: Path, runs: Path | None, material: Material) -> None:
    record = read_json(path / RECORD)
    material.lab = record
    told = Path(str(record.get("runs", "")))
    for name in record.get("studies", []):
        folder = path / str(name)
        if not (folder / "study.json").is_file():
            material.problems.append(f"{name} has not begun: {folder} holds no study.")
            continue
        _gather_study(folder, _places(folder, runs or told), material)


def _places(folder: Path, runs: Path | None) -> list[Path]:
    return [*([runs] if runs else []), folder.parent, folder.parent.parent]


def _gather_study(folder: Path, places: Sequence[Path], material: Material) -> None:
    try:
        content = read_json(folder / "study.json")
        rows = read_rows(folder / "results.csv")
    except InputError as error:
        material.problems.append(str(error))
        return
    home = {
        row.run: next(
            (place / row.run for place in places if (place / row.run).is_dir()), places[0] / row.run
        )
        for row in rows
    }
    found, problems = read_runs(home.values())
    material.folders += [
        place for place in places if place.is_dir() and place not in material.folders
    ]
    runs = {run.name: run for run in found}
    kept = []
    for row in rows:
        if row.run not in runs:
            continue
        if runs[row.run].mse != row.test_mse:
            problems.append(
                f"{folder / 'results.csv'} gives {row.run} another error than its run directory"
                " does, which alone counts: the row is left out. `caelab study` writes the file"
                " anew."
            )
            continue
        kept.append(row)
    planned = content.get("runs")
    count = len(planned) if isinstance(planned, list) else len(rows)
    if len(kept) < count:
        name = content.get("identity", {}).get("name", folder.name)
        problems.append(
            f"{name}: {len(kept)} of {count} runs are finished and whole; the others are not in"
            " this report."
        )
    problems += _failures(folder)
    material.problems += problems
    material.studies.append(
        StudyResults(
            folder=folder,
            name=str(content.get("identity", {}).get("name", folder.name)),
            question=str(content.get("question", "")),
            rows=tuple(kept),
            runs=runs,
            planned=count,
        )
    )


def _failures(folder: Path) -> list[str]:
    """What ``failed.csv`` says."""
    try:
        with (folder / "failed.csv").open(encoding="utf-8", newline="") as file:
            return [
                f"{row['label']}, seed {row['seed']}, failed: {row['message']}"
                for row in csv.DictReader(file)
            ]
    except OSError:
        return []
    except (KeyError, ValueError, csv.Error) as error:
        return [f"{folder / 'failed.csv'} cannot be read: {error!r}."]
