"""The report: from runs and studies to one HTML file, a Markdown file and every number as JSON.

folders ──► inputs ──► parts ──► Document ──► report.html · report.md · results.json
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from caelab import __version__
from caelab.errors import InputError
from caelab.experiments.study import BASE
from caelab.files import to_json, write_text
from caelab.report.colorization import comparison_part, picture_part
from caelab.report.colorization_lessons import lesson_part
from caelab.report.document import Document, Part
from caelab.report.exercise1 import reconstruction_part
from caelab.report.inputs import ReportInputs, StudyResults, gather
from caelab.report.interactive import choose_networks, interactive_data
from caelab.report.language import read_language
from caelab.report.render_html import render_html
from caelab.report.render_markdown import render_markdown, write_markdown
from caelab.report.representation_sizes import size_part
from caelab.report.restoration import restoration_part
from caelab.report.run_differences import Variants, find_variants
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun, groups
from caelab.report.several_colors import several_colors_part
from caelab.report.shortcomings import measure_shortcomings, shortcoming_part
from caelab.report.study_report import study_part


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
) -> Path:
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
        The HTML file.

    Raises:
        InputError: No finished run was found, ``out`` cannot be written to, or there are no
            templates for the language.
    """
    # A wrong language is said before minutes of work.
    read_language(language)
    inputs = gather(paths, runs=runs)
    document, interactive, results = make_report(
        inputs,
        RunImages(data),
        names=names or {},
        command=command,
        bitmaps=bitmaps,
        language=language,
    )
    write_text(out / "results.json", to_json(results))
    write_markdown(document, out / "report.md")
    html = out / "report.html"
    write_text(html, render_html(document, interactive))
    return html


def make_report(
    inputs: ReportInputs,
    images: RunImages,
    *,
    names: Mapping[str, str],
    command: str,
    bitmaps: bool = True,
    language: str = "en",
) -> tuple[Document, dict[str, Any], dict[str, Any]]:
    """Return the report of everything that was found.

    Args:
        inputs: Runs and studies.
        images: Gives their images and networks.
        names: Names of runs by their folder, before the labels of studies.
        command: Command that repeats the report.
        bitmaps: Show images of the data.
        language: Folder of the templates.

    Returns:
        Text, pictures and tables; the data of the interactive part by kind; and every number.
    """
    runs = [*inputs.all_runs.values()]
    problems = [*inputs.problems]
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
    problems += unshown

    parts: list[Part] = [
        Part(
            "report",
            {
                "lab": inputs.lab,
                "reconstructing": reconstructing,
                "analyses": [study.analysis for study in studies],
                "colorizing": groups(colorizing),
            },
            level=0,
        ),
        Part(
            "data",
            {
                "lab": {"data": {}, "cuts": [], "command": command, **inputs.lab},
                "runs": runs,
                "main": main,
                "problems": problems,
            },
        ),
    ]
    if reconstructing:
        parts += [reconstruction_part(reconstructing, images), size_part(main.description)]
    parts += [study_part(study, images, number="2.2") for study in studies]
    if variants:
        parts.append(comparison_part(variants))
        parts += _about_colors(variants, images)
        parts.append(lesson_part(groups(colorizing)))
    if restoring:
        parts.append(restoration_part(restoring, images, names))
    if problems:
        parts.append(Part("problems", {"problems": problems}))
    document = render_markdown(parts, images=bitmaps, language=language)
    if not bitmaps:
        interactive |= {"tasks": [], "codes": []}
    return document, interactive, _results(inputs, studies, document, problems)


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


def _about_colors(variants: Variants, images: RunImages) -> Iterator[Part]:
    """Yield the parts that need the images, or say why they cannot be had."""
    best = variants.best
    several = [each for each in variants.all if each.first.config.target.kind == "bins"]
    made: dict[str, Callable[[], Part]] = {
        "colored_pictures": lambda: picture_part(variants, images),
        "shortcomings": lambda: shortcoming_part(
            measure_shortcomings(best.first, images), best.label
        ),
    }
    if several:
        drawn = min(several, key=lambda each: float(each.first.result["validation_mse"]))
        made["several_colors"] = lambda: several_colors_part(drawn.first, images, drawn.label)
    for template, make in made.items():
        try:
            yield make()
        except InputError as error:
            yield Part(template, {"missing": str(error)}, level=2)


def _results(
    inputs: ReportInputs,
    studies: Sequence[StudyResults],
    document: Document,
    problems: Sequence[str],
) -> dict[str, Any]:
    """Gather every number: what each run left, the rows and answers of studies, and the tables.

    Where the data was is left out: it is of no use on another machine.
    """
    lab = inputs.lab
    results: dict[str, Any] = {
        "caelab": __version__,
        "lab": lab and {**lab, "data": _without_path(lab.get("data", {}))},
        "problems": [*problems],
        "runs": {
            name: {
                "config": run.config.replace(data=run.source.get("name")).model_dump(mode="json"),
                "data": _without_path(run.source),
                "environment": run.environment,
                "result": run.result,
                "epochs": run.epochs,
            }
            for name, run in inputs.all_runs.items()
        },
        "studies": {
            study.name: {
                "question": study.question,
                "planned": study.planned,
                "rows": study.rows,
                "analysis": study.analysis if study in studies else None,
            }
            for study in inputs.studies
        },
        "tables": document.tables,
    }
    return dict(to_jsonable_python(results, inf_nan_mode="null"))


def _without_path(source: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in source.items() if name != "where"}
