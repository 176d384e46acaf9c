"""The report: from runs and studies to one HTML file, a Markdown file and every number as JSON.

folders ──► inputs ──► answers and parts ──► Document ──► report.html · report.md · results.json
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caelab.errors import InputError
from caelab.experiments.study import BASE
from caelab.files import write_text
from caelab.report.answers import Answers, answer_data, results_json
from caelab.report.colorization import answer_colors, comparison_part
from caelab.report.document import Document, Part
from caelab.report.inputs import ReportInputs, StudyResults, gather
from caelab.report.interactive import choose_networks, interactive_data
from caelab.report.language import read_language
from caelab.report.reconstruction import reconstruction_part
from caelab.report.render_html import render_html
from caelab.report.render_markdown import render_lines, render_markdown, write_markdown
from caelab.report.representation_sizes import size_part
from caelab.report.restoration import restoration_part
from caelab.report.run_differences import find_variants
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun, groups
from caelab.report.shortcomings import measure_shortcomings, shortcoming_part
from caelab.report.study_report import study_part

PICTURES = ("grid", "grid_networks", "samples", "effects_figure", "predicted")
"""What the page opens with: values of its sections."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report that nothing is written of yet.

    Attributes:
        inputs: Runs and studies that it is about.
        answers: Typed answers.
        document: Text, pictures and tables.
        interactive: Data of the interactive part by kind.
    """

    inputs: ReportInputs
    answers: Answers
    document: Document
    interactive: dict[str, Any]


def write_report(
    paths: Sequence[Path],
    *,
    out: Path,
    names: Mapping[str, str] | None = None,
    runs: Path | None = None,
    data: str | None = None,
    command: str = "",
    bitmaps: bool = True,
    language: str = "en",
) -> tuple[Path, str]:
    """Write ``report.html``, ``report.md`` with its pictures, and ``results.json``.

    Args:
        paths: Run directories, folders of studies, folders of labs.
        out: Folder of the report.
        names: Names of colorizing and restoring runs by their folder; a study's runs have labels.
        runs: Folder of the studies' runs, where it is not next to the study or the lab's own.
        data: Source of the images, if they are no longer where the runs had them.
        command: Command that repeats the report.
        bitmaps: Show images of the data; those of CIFAR-10 may not be passed on.
        language: Folder of the templates that the report is written with.

    Returns:
        The HTML file, and the answers in lines for a terminal.

    Raises:
        InputError: No finished run was found, there are no templates in that language, or ``out``
            cannot be written to.
    """
    read_language(language)  # a wrong one is said before minutes of work
    report = make_report(
        gather(paths, runs=runs),
        RunImages(data),
        names=names or {},
        command=command,
        bitmaps=bitmaps,
        language=language,
    )
    html, document, inputs = out / "report.html", report.document, report.inputs
    write_text(out / "results.json", results_json(inputs, report.answers, document.tables))
    write_markdown(document, out / "report.md")
    write_text(html, render_html(document, report.interactive))
    lines = {"answers": report.answers, "lab": inputs.lab, "file": str(html)}
    return html, render_lines("terminal", lines, language)


def make_report(
    inputs: ReportInputs,
    images: RunImages,
    *,
    names: Mapping[str, str],
    command: str,
    bitmaps: bool = True,
    language: str = "en",
) -> Report:
    """Return the report of everything that was found.

    Args:
        inputs: Runs and studies.
        images: Gives their images and networks.
        names: Names of runs by their folder, before the labels of studies.
        command: Command that repeats the report.
        bitmaps: Show images of the data.
        language: Folder of the templates that the report is written with.
    """
    runs = [*inputs.all_runs.values()]
    names = {**{row.run: row.label for study in inputs.studies for row in study.rows}, **names}
    studies = [study for study in inputs.studies if _compares_architectures(study)]
    reconstructing, colorizing, restoring = _by_task(inputs, studies)
    reconstructing = reconstructing or _bases(studies)
    # The data part needs one run even where nothing reconstructs.
    main = reconstructing[0][0] if reconstructing else runs[0]
    variants = find_variants(colorizing, names) if colorizing else None
    colored = {each.label: each.first for each in variants.all} if variants else {}
    interactive, unshown = interactive_data(
        _reconstructing_networks(studies, reconstructing),
        choose_networks(colored),
        {study.name: study.analysis for study in studies},
        images,
    )

    reconstruction = size = colors = shortcomings = None
    restorations: tuple[Any, ...] = ()
    sections: list[Part] = []
    pictures: dict[str, Any] = dict.fromkeys(PICTURES)
    if reconstructing:
        reconstruction, part = reconstruction_part(reconstructing, images, above=not studies)
        pictures |= part.context
        size, sizes = size_part(main.description)
        sections += [part, sizes]
    for study in studies:
        first, alone = study is studies[0], len(studies) == 1
        part = study_part(study, images, suffix="" if alone else f": {study.name}", above=first)
        sections.append(part)
        pictures |= part.context if first else {}
    if variants:
        colors = answer_colors(variants)
        part = comparison_part(variants, colors, images)
        sections.append(part)
        pictures |= part.context["pictures"]
        try:
            shortcomings = measure_shortcomings(variants.best, images)
            sections.append(shortcoming_part(shortcomings))
        except InputError as error:
            sections.append(Part("shortcomings", {"missing": str(error)}))
    if restoring:
        restorations, part = restoration_part(restoring, images, names)
        sections.append(part)
    answers = Answers(
        data=answer_data(main, runs),
        reconstruction=reconstruction,
        size=size,
        studies={study.name: study.analysis for study in studies},
        colors=colors,
        shortcomings=shortcomings,
        restorations=restorations,
    )
    shared = {
        "answers": answers,
        "inputs": inputs,
        "problems": [*inputs.problems, *unshown],
        "runs": runs,
        "main": main,
        "command": inputs.lab.command or command,
        "bitmaps": bitmaps,
    }
    parts = [
        Part("report", {**shared, **{name: pictures[name] for name in PICTURES}}, level=0),
        Part("answers", shared),
        Part("data", shared),
        *sections,
        Part("problems", shared),
    ]
    if not bitmaps:
        interactive |= {"tasks": [], "codes": []}
    return Report(
        inputs=inputs,
        answers=answers,
        document=render_markdown(parts, images=bitmaps, language=language),
        interactive=interactive,
    )


def _compares_architectures(study: StudyResults) -> bool:
    return len({row.network for row in study.rows}) > 1 and all(
        run.degradation == "none" for run in study.runs.values()
    )


def _by_task(
    inputs: ReportInputs, studies: Sequence[StudyResults]
) -> tuple[list[list[FinishedRun]], list[FinishedRun], list[FinishedRun]]:
    """Return runs that reconstruct, grouped over seeds, that colorize, and that restore otherwise.

    Runs of ``studies`` have parts of their own; those of other studies count as single runs.
    """
    rest = [study.runs.values() for study in inputs.studies if study not in studies]
    loose = {run.name: run for run in itertools.chain(inputs.runs, *rest)}.values()
    return (
        groups(run for run in loose if run.degradation == "none"),
        [run for run in loose if run.degradation == "gray"],
        [run for run in loose if run.degradation not in ("none", "gray")],
    )


def _bases(studies: Iterable[StudyResults]) -> list[list[FinishedRun]]:
    """Return the first network of each study, for exercise 1 of a report without single runs."""
    return [
        group
        for study in studies
        for group in groups(
            study.runs[row.run] for row in study.rows if row.label == study.rows[0].label
        )
    ]


def _reconstructing_networks(
    studies: Iterable[StudyResults], reconstructing: Iterable[Sequence[FinishedRun]]
) -> dict[str, FinishedRun]:
    """Choose the networks of the interactive part, by name."""
    named: dict[str, FinishedRun] = {}
    keep = []
    for study in studies:
        for row in study.rows:
            if row.seed == study.rows[0].seed:
                named.setdefault(row.label, study.runs[row.run])
        best = study.analysis.best
        keep += [BASE, *([best.label] if best else [])]
    for first, *_ in reconstructing:
        if first.name not in {run.name for run in named.values()}:
            named.setdefault(f"{first.config.network_name}, {len(first.epochs)} epochs", first)
    return choose_networks(named, keep=keep)
