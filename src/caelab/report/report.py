"""The report: from runs and studies to one HTML file, a Markdown file and every number as JSON.

folders ──► inputs ──► answers and parts ──► Document ──► report.html · report.md · results.json
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caelab.errors import InputError
from caelab.experiments.study import BASE
from caelab.files import without_home, write_text
from caelab.report.answers import Answers, answer_data, results_json
from caelab.report.colorization import answer_colors, comparison_part, ideas_part
from caelab.report.document import Part
from caelab.report.inputs import ReportInputs, StudyResults, gather
from caelab.report.interactive import choose_networks, interactive_data
from caelab.report.language import Language, read_language
from caelab.report.reconstruction import reconstruction_part
from caelab.report.render_html import render_html
from caelab.report.render_markdown import render_lines, render_markdown, write_markdown
from caelab.report.representation_sizes import size_part
from caelab.report.restoration import restoration_part
from caelab.report.run_differences import Variants, find_variants
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun, group_by_seed
from caelab.report.shortcomings import measure_shortcomings, shortcoming_part
from caelab.report.study_baselines import LinearAnswer
from caelab.report.study_report import study_part
from caelab.report.training_options import training_part

REFERENCE = "reference"
"""Preset of the network that exercise 1 is about."""

PICTURES = ("grid", "grid_networks", "samples", "effects_figure", "predicted")
"""Keys of values in parts' contexts that the page shows at the top: pictures, and the networks in
one of them."""


@dataclass(frozen=True, kw_only=True)
class _Tasks:
    """Studies and runs, sorted by their task.

    Attributes:
        studies: Studies that compare architectures.
        reconstructing: Groups of runs that reconstruct images. The runs of a group differ only in
            their seed.
        variants: Runs that color gray images, sorted into variants; ``None`` without such runs.
        restoring: Runs that undo another degradation, such as noise.
        main: Run whose images the report describes.
    """

    studies: list[StudyResults]
    reconstructing: list[list[FinishedRun]]
    variants: Variants | None
    restoring: list[FinishedRun]
    main: FinishedRun


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
        names: Names of runs that color or restore images, by the name of their folder. Runs without
            a name here are named by their study or by their options.
        runs: Folder where the studies' runs are looked for first; by default the folder that the
            lab names. The parent of a study's folder, and its parent, are searched next.
        data: Source of the images, if they are no longer where the runs found them.
        command: Command that repeats the report.
        bitmaps: Whether the report shows images of the data set. Images of CIFAR-10 may not be
            passed on.
        language: Name of the language's folder of templates, such as ``en``.

    Returns:
        The HTML file, and the answers in lines for a terminal.

    Raises:
        InputError: No finished run was found, there are no templates in that language, or ``out``
            cannot be written to.
    """
    words = read_language(language)  # first, so that a wrong name fails before minutes of work
    inputs, images = gather(paths, runs=runs), RunImages(data)
    labels = {row.run: row.label for study in inputs.studies for row in study.rows}
    labels |= names or {}
    tasks = _by_task(inputs, labels)
    answers, opening, sections = _answer(inputs, tasks, images, labels)
    interactive, unshown = _interactive(tasks, answers, images, words)
    if not bitmaps:
        interactive |= {"tasks": [], "codes": []}
    shared = {
        "answers": answers,
        "inputs": inputs,
        "problems": inputs.problems,
        "unshown": unshown,
        "runs": [*inputs.all_runs.values()],
        "main": tasks.main,
        # The lab's command also trains missing runs; the report's own command only reads runs.
        "command": without_home(inputs.lab.command or command),
        "bitmaps": bitmaps,
    }
    beginning = Part("report", {**shared, **opening}, 0), Part("answers", shared)
    parts = [*beginning, Part("data", shared), *sections, Part("problems", shared)]
    document = render_markdown(parts, images=bitmaps, language=language)
    html = out / "report.html"
    # Files are written after everything was rendered, so that a failure does not damage an earlier
    # report.
    write_text(out / "results.json", results_json(inputs, answers, document.tables))
    write_markdown(document, out / "report.md")
    write_text(html, render_html(document, interactive))
    lines = {"answers": answers, "lab": inputs.lab, "file": str(html)}
    return html, render_lines("terminal", lines, language)


def _interactive(
    tasks: _Tasks, answers: Answers, images: RunImages, language: Language
) -> tuple[dict[str, list[dict[str, Any]]], list[tuple[str, str]]]:
    """Return the data of the interactive part, and the reasons why some of it is missing."""
    variants = tasks.variants.all if tasks.variants else ()
    return interactive_data(
        _reconstructing_networks(tasks),
        choose_networks({each.label: each.first for each in variants}),
        answers.studies,
        images,
        label=language.label,
    )


def _answer(
    inputs: ReportInputs, tasks: _Tasks, images: RunImages, names: Mapping[str, str]
) -> tuple[Answers, dict[str, Any], list[Part]]:
    """Return the answers, the pictures at the top of the page, and the parts with the evidence."""
    reconstruction = size = colors = shortcomings = None
    restorations: tuple[Any, ...] = ()
    linear: dict[str, LinearAnswer] = {}
    training, part = training_part(inputs.all_runs.values())
    sections = [part]
    # The picture of a later part replaces one of the same name, because it shows more networks.
    pictures: dict[str, Any] = dict.fromkeys(PICTURES)
    if tasks.reconstructing:
        above = not tasks.studies
        reconstruction, part = reconstruction_part(tasks.reconstructing, images, above=above)
        pictures |= part.context
        main = tasks.main
        described = {main.config.network_name: main.description}
        described |= {
            row.label: study.runs[row.run].description
            for study in tasks.studies
            for row in study.rows
        }
        size, sizes = size_part(described)
        sections += [part, sizes]
    for study in tasks.studies:
        first, alone = study is tasks.studies[0], len(tasks.studies) == 1
        suffix = "" if alone else f": {study.name}"
        linear[study.name], part = study_part(study, images, suffix=suffix, above=first)
        sections.append(part)
        pictures |= part.context if first else {}
    if variants := tasks.variants:
        chosen = [study.analysis.best for study in tasks.studies]
        found = {each.network: each.label for each in chosen if each}
        colors = answer_colors(variants, found)
        part = comparison_part(variants, colors, images)
        sections.append(part)
        pictures |= part.context["pictures"]
        try:
            shortcomings = measure_shortcomings(variants.best, images)
            sections.append(shortcoming_part(shortcomings, colors))
        except InputError as error:
            sections.append(Part("shortcomings", {"missing": str(error)}))
        if colors.ideas or colors.smaller:
            sections.append(ideas_part(colors))
    if tasks.restoring:
        restorations, part = restoration_part(tasks.restoring, images, names)
        sections.append(part)
    answers = Answers(
        data=answer_data(tasks.main, [*inputs.all_runs.values()]),
        training=training,
        reconstruction=reconstruction,
        size=size,
        studies={study.name: study.analysis for study in tasks.studies},
        linear=linear,
        colors=colors,
        shortcomings=shortcomings,
        restorations=restorations,
    )
    return answers, {name: pictures[name] for name in PICTURES}, sections


def _compares_architectures(study: StudyResults) -> bool:
    return len({row.network for row in study.rows}) > 1 and all(
        run.degradation == "none" for run in study.runs.values()
    )


def _by_task(inputs: ReportInputs, names: Mapping[str, str]) -> _Tasks:
    """Sort runs and studies by their task; ``names`` has names of runs by their folder.

    A study of architectures has a part of the report for all of its runs. The runs of other studies
    are sorted like runs that were named themselves.
    """
    studies = [study for study in inputs.studies if _compares_architectures(study)]
    rest = [study.runs.values() for study in inputs.studies if study not in studies]
    # `runs/*` also names the runs of studies; these count only as runs of their study.
    studied = {name for study in inputs.studies for name in study.runs}
    single = [run for run in inputs.runs if run.name not in studied]
    loose = {run.name: run for run in itertools.chain(single, *rest)}.values()
    reconstructing = group_by_seed(run for run in loose if run.degradation == "none")
    # Exercise 1 is about the first group. The reference network comes first, wherever it was named.
    reconstructing.sort(key=lambda group: group[0].config.network_name != REFERENCE)
    # If all runs belong to studies, exercise 1 is about the first network of each study.
    reconstructing = reconstructing or [
        group
        for study in studies
        for group in group_by_seed(
            study.runs[row.run] for row in study.rows if row.label == study.rows[0].label
        )
    ]
    colorizing = [run for run in loose if run.degradation == "gray"]
    return _Tasks(
        studies=studies,
        reconstructing=reconstructing,
        variants=find_variants(colorizing, names) if colorizing else None,
        restoring=[run for run in loose if run.degradation not in ("none", "gray")],
        # Any run can describe the images if no run reconstructs them.
        main=reconstructing[0][0] if reconstructing else next(iter(inputs.all_runs.values())),
    )


def _reconstructing_networks(tasks: _Tasks) -> dict[str, FinishedRun]:
    """Choose the reconstructing networks of the interactive part, one run each, by name."""
    named: dict[str, FinishedRun] = {}
    keep = []
    for study in tasks.studies:
        for row in study.rows:
            # The page shows only one seed of each network.
            if row.seed == study.rows[0].seed:
                named.setdefault(row.label, study.runs[row.run])
        best = study.analysis.best
        keep += [BASE, *([best.label] if best else [])]
    shown = {run.name for run in named.values()}
    for first, *_ in tasks.reconstructing:
        if first.name not in shown:
            named.setdefault(f"{first.config.network_name}, {len(first.epochs)} epochs", first)
    return choose_networks(named, keep=keep)
