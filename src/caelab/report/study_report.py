"""The report of a study: its answers as sections, and the files that `caelab study --report`
writes.

results.csv, run directories ──► sections ──► report.html · report.md · architectures.csv
"""

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from caelab.errors import InputError
from caelab.files import write_text
from caelab.report.architectures import Analysis
from caelab.report.document import Block, Code, Column, Note, Paragraph, Part, Section, Table
from caelab.report.figures import Drawing, draw_code_size, draw_effects, draw_equal_size, draw_front
from caelab.report.inputs import StudyResults, gather
from caelab.report.render_html import render_html
from caelab.report.render_markdown import render_markdown, write_markdown
from caelab.report.run_reader import FinishedRun
from caelab.report.sentences import Sentences, write_sentences
from caelab.report.study_baselines import Beside, measure_beside
from caelab.report.study_pictures import main_networks, reconstruct, run_of
from caelab.report.study_tables import (
    architectures_table,
    bytes_table,
    code_sentences,
    linear_sentences,
    linear_table,
)
from caelab.report.test_images import RunImages

ENVIRONMENT = (
    "processor",
    "cores",
    "threads",
    "device",
    "precision",
    "platform",
    "python",
    "torch",
    "caelab",
    "commit",
)
"""Of ``environment.json``, what tells whether times and last digits may be compared."""


def write_study_report(
    folder: Path, *, runs: Path, data: str | None = None, command: str = ""
) -> Path:
    """Write ``report.html``, ``report.md`` with its figures, and ``architectures.csv`` into a
    study's folder.

    Args:
        folder: The study's, with ``study.json`` and ``results.csv``.
        runs: Where its run directories are.
        data: Where the images are, if not where the runs had them.
        command: That repeats the study.

    Returns:
        The HTML file.

    Raises:
        InputError: There is no study, none of its runs is finished, or the files cannot be written.
    """
    if not (folder / "study.json").is_file():
        raise InputError(
            f"{folder} holds no study yet: train it first, with the same command without"
            " --report-only."
        )
    material = gather([folder], runs=runs)
    study = material.studies[0]
    sections = study_sections(study, RunImages(data), command=command)
    if material.problems:
        notes = [Note(problem, "missing") for problem in material.problems]
        sections.append(Section(title="What is missing", blocks=notes))
    title = study.question or f"The study {study.name}"
    document = render_markdown([Part("title", {"title": title}, level=0), *sections])
    _write_table(folder / "architectures.csv", study)
    write_markdown(document, folder / "report.md")
    html = folder / "report.html"
    write_text(html, render_html(document))
    return html


def study_sections(study: StudyResults, images: RunImages, *, command: str = "") -> list[Section]:
    """Return the answers of a study, all on level 1; what is missing is said where it should be.

    What stands beside the networks (linear codes, bytes) is kept in ``beside.json`` in the study's
    folder.

    Args:
        study: As far as its runs are finished.
        images: Gives the test images.
        command: That repeats the study; without it that is left out.
    """
    analysis = study.analysis
    sentences = write_sentences(analysis)
    networks = main_networks(analysis)
    if not networks:
        return [
            Section(title="The runs", blocks=[*_progress(study), *map(Paragraph, sentences.best)])
        ]
    priced = [
        (each.label, run_of(each, study))
        for each in networks
        if each.code_size is not None and not each.skip_around_code
    ]
    beside, missing = _beside(study, analysis, [run for _, run in priced], images)
    size = analysis.equal_size.size
    name = study.name
    return [
        Section(title="The runs", blocks=_progress(study)),
        Section(
            title="What is best",
            blocks=[
                *map(Paragraph, sentences.best),
                *missing,
                architectures_table(analysis.architectures, beside),
            ],
        ),
        Section(
            title="What each choice does",
            blocks=[
                *_drawn(draw_effects(analysis), f"{name}-effects"),
                *map(Paragraph, sentences.effects),
            ],
        ),
        Section(
            title="Does the error go with the code's size?",
            blocks=[
                *map(Paragraph, sentences.code_size),
                *_drawn(draw_code_size(analysis, beside.linear), f"{name}-code-size"),
            ],
        ),
        Section(
            title=f"Area or channels, at {size:,} numbers?",
            blocks=[
                *map(Paragraph, sentences.equal_size),
                *_drawn(
                    draw_equal_size(analysis.equal_size, beside.linear_at(size)),
                    f"{name}-equal-size",
                ),
            ],
        ),
        Section(title="Error against cost", blocks=_fronts(analysis, sentences, name)),
        Section(
            title="Beside linear codes, JPEG and WebP",
            blocks=_beside_blocks(analysis, beside, priced),
        ),
        Section(
            title="The same images through the main networks",
            blocks=_pictures(study, analysis, images),
        ),
        Section(title="Where this comes from", blocks=_origin(study, command)),
    ]


def _progress(study: StudyResults) -> list[Block]:
    """How many runs there are, of what, on what; and which are missing."""
    rows = study.rows
    seeds = sorted({row.seed for row in rows})
    epochs = sorted({row.epochs for row in rows})
    labels = {row.label for row in rows}
    said = (
        f"{len(rows)} of {study.planned} runs are finished: {len(labels)}"
        f" network{'s' if len(labels) > 1 else ''}, seed{'s' if len(seeds) > 1 else ''}"
        f" {', '.join(map(str, seeds))},"
        f" {' to '.join(map(str, dict.fromkeys((epochs[0], epochs[-1]))))} epochs each."
    )
    blocks: list[Block] = [Paragraph(said), Paragraph(_data(next(iter(study.runs.values()))))]
    missing = _missing(study)
    if missing:
        blocks.append(Note(f"Not finished, so not in this report: {missing}.", "missing"))
    if len(seeds) == 1:
        blocks.append(
            Note(
                "There is one seed: what chance does to a training cannot be told, and nothing is"
                " certain.",
                "warning",
            )
        )
    return blocks


def _data(run: FinishedRun) -> str:
    images, result = run.result["images"], run.result
    note = f" ({result['data_note']})" if result.get("data_note") else ""
    return (
        f"Images: {result['data']}{note}, {run.config.data.size}×{run.config.data.size} pixels;"
        f" {images['train']:,} for training, {images['validation']:,} for validation, by which"
        f" networks are chosen, and {images['test']:,} for the test error, which is measured once:"
        " the mean squared error over pixels and channels in [0, 1]."
    )


def _missing(study: StudyResults) -> str:
    """Name the planned runs without a row, by network."""
    named = [
        f"{label} (seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)})"
        for label, group in groupby(sorted(study.unfinished), key=lambda each: each[0])
        for seeds in [[str(seed) for _, seed in group]]
    ]
    return "; ".join(named)


def _beside(
    study: StudyResults, analysis: Analysis, coded: Sequence[FinishedRun], images: RunImages
) -> tuple[Beside, list[Block]]:
    sizes = [each.code_size for each in analysis.architectures if each.code_size is not None]
    try:
        run = next(iter(study.runs.values()))
        return (
            measure_beside(
                study.folder / "beside.json", run=run, sizes=sizes, coded=coded, images=images
            ),
            [],
        )
    except InputError as error:
        said = f"Linear codes, and what codes cost in bytes, could not be measured: {error}"
        return Beside(), [Note(said, "missing")]


def _drawn(drawing: Drawing | None, name: str) -> Iterable[Block]:
    return [] if drawing is None else [drawing.picture(name)]


def _fronts(analysis: Analysis, sentences: Sentences, name: str) -> list[Block]:
    blocks: list[Block] = [*map(Paragraph, sentences.fronts)]
    for front in analysis.fronts:
        blocks += _drawn(
            draw_front(front, analysis), f"{name}-front-{front.cost.replace('_', '-')}"
        )
    return blocks


def _beside_blocks(
    analysis: Analysis, beside: Beside, priced: Sequence[tuple[str, FinishedRun]]
) -> list[Block]:
    if not beside.linear and not beside.codes:
        return [Note("The images could not be had, so nothing was measured here.", "missing")]
    blocks: list[Block] = [*map(Paragraph, linear_sentences(analysis, beside))]
    if beside.linear:
        blocks.append(linear_table(beside))
    if beside.codes:
        blocks += [*map(Paragraph, code_sentences(beside, priced)), bytes_table(beside, priced)]
    return blocks


def _pictures(study: StudyResults, analysis: Analysis, images: RunImages) -> list[Block]:
    try:
        drawing, problems = reconstruct(main_networks(analysis), study, images, by=analysis.base)
    except InputError as error:
        return [Note(f"There are no pictures: {error}", "missing")]
    return [
        drawing.picture(f"{study.name}-reconstructions", "png"),
        *(Note(each, "missing") for each in problems),
    ]


def _origin(study: StudyResults, command: str) -> list[Block]:
    environments = [run.environment for run in study.runs.values()]
    rows = []
    for key in ENVIRONMENT:
        values = dict.fromkeys(str(each[key]) for each in environments if each.get(key) is not None)
        rows.append((key, ", ".join(values) or None))
    seconds = sum(float(run.result.get("seconds") or 0) for run in study.runs.values())
    blocks: list[Block] = [
        Table(
            columns=(Column("", align="left"), Column("of the runs", align="left")),
            rows=rows,
            caption=(
                f"Where the {len(environments)} runs were trained: {seconds / 60:,.1f} minutes in"
                " all. Times are those of that machine with whatever else it did."
            ),
        )
    ]
    if command:
        blocks += [Paragraph("To repeat it, or to go on where it stopped:"), Code(command)]
    return blocks


def _write_table(file: Path, study: StudyResults) -> None:
    """Write the table of architectures as CSV, numbers with all their digits."""
    table = architectures_table(study.analysis.architectures, Beside())
    kept = [
        index for index, column in enumerate(table.columns) if not column.name.startswith("PCA")
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([table.columns[index].name for index in kept])
    writer.writerows(
        [["" if row[index] is None else row[index] for index in kept] for row in table.rows]
    )
    write_text(file, text.getvalue())
