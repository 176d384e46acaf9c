"""The report: from runs and studies to one HTML file, a Markdown file and every number as JSON.

folders ──► material ──► sections (an exercise a module) ──► Document ──► report.html · report.md · results.json
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from caelab import __version__
from caelab.errors import InputError
from caelab.files import to_json, write_text
from caelab.networks import describe
from caelab.report.architectures import Analysis, analyze
from caelab.report.colorization import colorization_sections
from caelab.report.document import Document, Note, Part, Section
from caelab.report.exercise1 import reconstruction_part
from caelab.report.exercise2 import size_sections
from caelab.report.exercise3 import lesson_sections
from caelab.report.front_page import data_section
from caelab.report.inputs import Material, StudyResults, gather
from caelab.report.interactive import choose_networks, picture_tasks, study_points
from caelab.report.render_html import render_html
from caelab.report.render_markdown import render_markdown, write_markdown
from caelab.report.restoration import restoration_sections
from caelab.report.run_differences import find_variants
from caelab.report.run_reader import (
    FinishedRun,
    groups,
    is_colorization,
    is_reconstruction,
    over_seeds,
)
from caelab.report.study_report import study_sections
from caelab.report.test_images import Album


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report before it is written.

    Attributes:
        document: What it says.
        corner: What the interactive corner shows: ``tasks`` and ``studies``, plain values.
        results: Every number.
    """

    document: Document
    corner: dict[str, Any]
    results: dict[str, Any]


def write_report(
    paths: Sequence[Path],
    *,
    out: Path,
    names: Mapping[str, str] | None = None,
    runs: Path | None = None,
    data: str | None = None,
    command: str = "",
    images: bool = True,
) -> Path:
    """Write ``report.html``, ``report.md`` with its pictures, and ``results.json`` into ``out``.

    Args:
        paths: Run directories, studies' folders, labs' folders.
        out: Where to.
        names: What colorizing and restoring runs are called, by the name of their folder; a study's
            have labels.
        runs: Where the runs of studies are, if not where they say.
        data: Where the images are, if not where the runs had them.
        command: That repeats it.
        images: Whether pictures of the data's own images are shown; those of CIFAR-10 may not be
            passed on.

    Returns:
        The HTML file.

    Raises:
        InputError: Nothing was found that a report could be made of, or ``out`` cannot be written
            to.
    """
    material = gather(paths, runs=runs)
    report = make_report(material, Album(data), names=names, command=command, images=images)
    write_text(
        out / "results.json",
        to_json(report.results),
    )
    write_markdown(report.document, out / "report.md")
    html = out / "report.html"
    write_text(html, render_html(report.document, report.corner))
    return html


def make_report(
    material: Material,
    album: Album,
    *,
    names: Mapping[str, str] | None = None,
    command: str = "",
    images: bool = True,
) -> Report:
    """Return the report of what was found; for the arguments see :func:`write_report`."""
    runs = material.all_runs
    problems = list(material.problems)
    studies, loose = _sorted_out(material)
    reconstructing = groups(run for run in loose if is_reconstruction(run)) or _bases(studies)
    colorizing = [run for run in loose if is_colorization(run)]
    others = [run for run in loose if not is_reconstruction(run) and not is_colorization(run)]
    main = reconstructing[0][0] if reconstructing else next(iter(runs.values()))
    analyses = {study.name: analyze(study.rows) for study in studies}

    sections: list[Part | Section] = [_head(material, reconstructing, analyses, colorizing)]
    sections += [data_section(list(runs.values()), main, material.lab, command, problems)]
    if reconstructing:
        sections.append(reconstruction_part(reconstructing, album))
    if reconstructing or studies:
        network = describe(
            main.description.network,
            channels=main.description.input[0],
            size=main.description.input[1:],
        )
        sections += _part("Exercise 2: architectures", lambda: size_sections(network))
    for study in studies:
        sections += _part(
            f"2.2 {study.question or study.name}", partial(study_sections, study, album), depth=2
        )
    names = {
        **{row.run: row.label for study in material.studies for row in study.rows},
        **(names or {}),
    }
    if colorizing:
        paths = [run.directory.path for run in colorizing]
        sections += _part(
            "Exercise 3: colors for gray images",
            lambda: [
                *colorization_sections(paths, names=names, data=album.data),
                *lesson_sections(groups(colorizing)),
            ],
        )
    if others:
        restored = [run.directory.path for run in others]
        sections += _part(
            "Other restorations",
            lambda: restoration_sections(restored, names=names, data=album.data),
        )
    tasks, unshown = picture_tasks(
        *_shown(reconstructing, studies, analyses, colorizing, names), album
    )
    problems += unshown
    if problems:
        notes = [Note(problem, "missing") for problem in problems]
        sections.append(Section(title="What is missing", blocks=notes))
    document = render_markdown(sections, images=images)
    points = [
        {"name": name, "points": study_points(analysis)} for name, analysis in analyses.items()
    ]
    corner = {
        "tasks": tasks if images else [],
        "studies": [study for study in points if study["points"]],
    }
    return Report(
        document=document, corner=corner, results=_results(material, document, analyses, problems)
    )


def _part(title: str, make: Callable[[], Sequence[Section]], *, depth: int = 1) -> list[Section]:
    """Return a part of the report: a heading, and its sections one level below."""
    try:
        made = list(make())
    except InputError as error:
        return [
            Section(
                title=title, blocks=[Note(f"This part is missing: {error}", "missing")], level=depth
            )
        ]
    highest = min((section.level for section in made), default=1)
    lowered = [
        dataclasses.replace(section, level=section.level - highest + depth + 1) for section in made
    ]
    return [Section(title=title, blocks=[], level=depth), *lowered]


def _sorted_out(material: Material) -> tuple[list[StudyResults], list[FinishedRun]]:
    """Return the studies of several architectures, and all other runs."""
    studies, loose = [], list(material.runs)
    for study in material.studies:
        if len({row.network for row in study.rows}) > 1 and all(
            map(is_reconstruction, study.runs.values())
        ):
            studies.append(study)
        else:
            loose += study.runs.values()
    return studies, list({run.name: run for run in loose}.values())


def _bases(studies: Sequence[StudyResults]) -> list[list[FinishedRun]]:
    """Where there are studies alone, the first network of each stands for exercise 1."""
    return [
        group
        for study in studies
        if study.rows
        for group in groups(
            study.runs[row.run] for row in study.rows if row.label == study.rows[0].label
        )
    ]


def _shown(
    reconstructing: Sequence[Sequence[FinishedRun]],
    studies: Sequence[StudyResults],
    analyses: dict[str, Analysis],
    colorizing: Sequence[FinishedRun],
    names: Mapping[str, str],
) -> tuple[dict[str, FinishedRun], dict[str, FinishedRun]]:
    """Return the networks of the interactive corner for both tasks, by what they are called."""
    named: dict[str, FinishedRun] = {}
    keep = []
    for study in studies:
        for row in study.rows:
            if row.seed == study.rows[0].seed:
                named.setdefault(row.label, study.runs[row.run])
        best = analyses[study.name].best
        keep += ["base", *([best.label] if best else [])]
    for group in reconstructing:
        if group[0].name not in {run.name for run in named.values()}:
            named.setdefault(
                f"{group[0].config.network_name}, {len(group[0].epochs)} epochs", group[0]
            )
    colors = (
        {variant.label: variant.first for variant in find_variants(colorizing, names).all}
        if colorizing
        else {}
    )
    return choose_networks(named, keep=keep), choose_networks(colors)


def _head(
    material: Material,
    reconstructing: Sequence[Sequence[FinishedRun]],
    analyses: dict[str, Analysis],
    colorizing: Sequence[FinishedRun],
) -> Part:
    """Return the title and the main results."""
    context: dict[str, Any] = {"lab": material.lab, "analyses": [*analyses.values()]}
    if reconstructing:
        group = reconstructing[0]
        context |= {
            "network": group[0].description,
            "images": group[0].result["test"]["n"],
            "mse": over_seeds(group),
        }
    if colorizing:
        best = min(groups(colorizing), key=lambda group: group[0].result["validation_mse"])
        context |= {
            "colors": over_seeds(best),
            "gray": best[0].result["baselines"].get("gray copy", {}).get("mse"),
        }
    return Part("report", context, level=0)


def _without_place(source: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in source.items() if name != "where"}


def _results(
    material: Material, document: Document, analyses: dict[str, Analysis], problems: Sequence[str]
) -> dict[str, Any]:
    """Every number: what each run left, the studies' rows and answers, and the report's tables.

    Where the data lay is left out: it is of no use on another machine.
    """
    lab = material.lab
    return {
        "caelab": __version__,
        "lab": lab and {**lab, "data": _without_place(lab.get("data", {}))},
        "problems": list(problems),
        "runs": {
            name: {
                "config": run.config.replace(data=run.source.get("name")).model_dump(mode="json"),
                "data": _without_place(run.source),
                "environment": run.environment,
                "result": run.result,
                "epochs": run.epochs,
            }
            for name, run in material.all_runs.items()
        },
        "studies": {
            study.name: {
                "question": study.question,
                "planned": study.planned,
                "rows": [dataclasses.asdict(row) for row in study.rows],
                "analysis": _plain(analyses[study.name]) if study.name in analyses else None,
            }
            for study in material.studies
        },
        "tables": document.tables,
    }


def _plain(value: Any) -> Any:
    """Return nested dataclasses as what JSON can hold; a network of a study stands as its label
    within answers.
    """
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
