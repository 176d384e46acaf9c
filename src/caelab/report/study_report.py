"""The report of a study: its numbers, tables and figures for the template ``study.md.j2``.

rows and run directories ──► analysis ──► Part ──► report.html · report.md · architectures.csv
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from caelab.baselines.code_cost import FLOAT_BITS, CodeCost
from caelab.baselines.image_codecs import error_at
from caelab.errors import InputError
from caelab.files import write_csv, write_text
from caelab.report.architectures import Analysis, Architecture
from caelab.report.document import Cell, Drawing, ImageRows, Part
from caelab.report.figures.code_shapes import draw_equal_size
from caelab.report.figures.code_size import draw_code_size
from caelab.report.figures.effects import draw_effects
from caelab.report.figures.front import draw_front
from caelab.report.inputs import StudyResults, gather
from caelab.report.number_format import significant
from caelab.report.render_html import render_html
from caelab.report.render_markdown import render_markdown, write_markdown
from caelab.report.run_images import RunImages, choose_images
from caelab.report.run_reader import FinishedRun
from caelab.report.study_baselines import WHOLE, StudyBaselines, measure_baselines

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
"""Entries of ``environment.json`` that tell whether times and last digits may be compared."""

IMAGES = 10
"""Test images in the grid of reconstructions."""


def write_study_report(
    folder: Path, *, runs: Path, data: str | None = None, command: str = ""
) -> Path:
    """Write ``report.html``, ``report.md`` with its figures, and ``architectures.csv``.

    Args:
        folder: Folder of the study, with ``study.json`` and ``results.csv``.
        runs: Folder of its run directories.
        data: Source of the images; by default that of the runs.
        command: Command that repeats the study.

    Returns:
        The HTML file.

    Raises:
        InputError: There is no study, none of its runs is finished, or the files cannot be written.
    """
    if not (folder / "study.json").is_file():
        raise InputError(f"{folder} holds no study yet. Train it first.")
    inputs = gather([folder], runs=runs)
    study = inputs.studies[0]
    parts = [study_part(study, RunImages(data), command=command, level=0)]
    if inputs.problems:
        parts.append(Part("problems", {"problems": inputs.problems}))
    document = render_markdown(parts)
    tables = [table for table in document.tables if table["name"] == "architectures"]
    for table in tables:
        write_csv(folder / "architectures.csv", table["columns"], table["rows"])
    write_markdown(document, folder / "report.md")
    html = folder / "report.html"
    write_text(html, render_html(document))
    return html


def study_part(
    study: StudyResults,
    images: RunImages,
    *,
    number: str = "",
    command: str = "",
    level: int = 2,
) -> Part:
    """Return the part of a report about a study; what is missing is named where it belongs.

    Baselines (linear codes, bytes) are kept in ``baselines.json`` in the study's folder.

    Args:
        study: Study, as far as its runs are finished.
        images: Images and networks of the runs.
        number: Number in front of the heading; may be empty.
        command: Command that repeats the study; may be empty.
        level: Level of the part's heading.
    """
    rows, runs, analysis = study.rows, list(study.runs.values()), study.analysis
    context: dict[str, Any] = {
        "number": number,
        "study": study,
        "analysis": analysis,
        "command": command,
        "first": runs[0],
        "epochs": sorted({row.epochs for row in rows}),
        "seeds": sorted({row.seed for row in rows}),
        "minutes": sum(float(run.result.get("seconds") or 0) for run in runs) / 60,
        "environment": [(key, _values(runs, key)) for key in ENVIRONMENT],
    }
    networks = main_networks(analysis)
    if networks:
        context |= _baselines(study, networks, images)
        context |= _reconstructions(study, networks, analysis.base or networks[0], images)
    return Part("study", context, level=level, name=study.name)


def main_networks(analysis: Analysis) -> list[Architecture]:
    """Return the networks that stand for a study, by falling error, each once.

    They are the base, the best by validation, those with the smallest and the largest error, the
    best with a code of the size at which shapes are compared, and the one with the smallest code.
    """
    measured = sorted(analysis.measured, key=lambda each: each.mse.estimate)
    coded = sorted(analysis.code_size.architectures, key=lambda each: each.code_size or 0)
    ranking = analysis.equal_size.ranking
    chosen = [analysis.base, analysis.best, *measured[:1], *measured[-1:], *ranking[:1], *coded[:1]]
    named = {each.label: each for each in chosen if each is not None}
    return sorted(named.values(), key=lambda each: -each.mse.estimate)


def _run_of(architecture: Architecture, study: StudyResults) -> FinishedRun:
    """Return the network's run with the first of its seeds that has an error."""
    seed, label = min(architecture.errors), architecture.label
    name = next(row.run for row in study.rows if (row.label, row.seed) == (label, seed))
    return study.runs[name]


def _values(runs: Sequence[FinishedRun], key: str) -> str | None:
    """Return the different values of an entry of ``environment.json``."""
    values = [str(run.environment[key]) for run in runs if run.environment.get(key) is not None]
    return ", ".join(dict.fromkeys(values)) or None


def _baselines(
    study: StudyResults, networks: Sequence[Architecture], images: RunImages
) -> dict[str, Any]:
    """Return everything that stands next to linear codes, JPEG and WebP."""
    priced = {each.label: _run_of(each, study) for each in networks if each.bottleneck}
    analysis, failure, baselines = study.analysis, "", StudyBaselines()
    try:
        baselines = measure_baselines(
            study.folder / "baselines.json",
            run=next(iter(study.runs.values())),
            sizes=[each.code_size for each in analysis.architectures if each.code_size is not None],
            coded=list(priced.values()),
            images=images,
        )
    except InputError as error:
        failure = str(error)
    linear, answer, shapes = baselines.linear, analysis.code_size, analysis.equal_size
    whole = linear.get(WHOLE, {})
    codes = {label: baselines.codes.get(run.name, ()) for label, run in priced.items()}
    sizes = sorted({size for line in linear.values() for size in line})
    pairs = [
        (each, mse, each.mse.estimate / mse)
        for each in answer.architectures
        if (mse := whole.get(each.code_size or 0))
    ]
    at_size = {kind: line[shapes.size] for kind, line in linear.items() if shapes.size in line}
    name = study.name
    return {
        "no_baselines": failure,
        "baselines": baselines,
        "architectures": [_architecture(each, whole) for each in analysis.architectures],
        "linear": [(size, *(line.get(size) for line in linear.values())) for size in sizes],
        "linear_columns": {"numbers in the code": ",d", **dict.fromkeys(linear, ".6f")},
        "below": {kind: _below(answer.architectures, line) for kind, line in linear.items()},
        "pairs": pairs,
        "codes": codes,
        "float_bits": FLOAT_BITS,
        "bytes": [
            _code_cost(label, cost, baselines) for label, costs in codes.items() for cost in costs
        ],
        "effects_figure": Drawing(f"{name}-effects", partial(draw_effects, analysis)),
        "code_size_figure": Drawing(f"{name}-code-size", partial(draw_code_size, analysis, linear)),
        "equal_size_figure": Drawing(
            f"{name}-equal-size", partial(draw_equal_size, shapes, at_size)
        ),
        "front_figures": {
            front.cost: Drawing(
                f"{name}-front-{front.cost.replace('_', '-')}",
                partial(draw_front, front, analysis),
            )
            for front in analysis.fronts
        },
    }


def _architecture(each: Architecture, linear: Mapping[int, float]) -> tuple[Cell, ...]:
    code = f"{each.code_size:,}*" if each.code_size and each.skip_around_code else each.code_size
    determined = not each.mse.undetermined
    return (
        each.label,
        each.mse.estimate if each.errors else None,
        each.mse.low if determined else None,
        each.mse.high if determined else None,
        each.mse.n,
        linear.get(each.bottleneck or 0),
        code,
        each.weights,
        each.seconds_per_epoch,
        each.shape or None,
        each.narrowest,
        each.multiply_accumulates,
        each.network,
    )


def _below(architectures: Sequence[Architecture], line: Mapping[int, float]) -> list[str]:
    """Return the labels of networks below a line, straight between its points on log axes."""
    known = [(size, mse) for size, mse in sorted(line.items()) if mse > 0]
    if not known:
        return []
    sizes = np.log([each.code_size or 1 for each in architectures])
    x, y = np.log(known).T
    limits = np.exp(np.interp(sizes, x, y, left=-np.inf, right=-np.inf))
    pairs = zip(architectures, limits, strict=True)
    return [each.label for each, limit in pairs if each.mse.estimate < limit]


def _code_cost(label: str, cost: CodeCost, baselines: StudyBaselines) -> tuple[Cell, ...]:
    files = [
        error_at(
            (each for each in baselines.files if each.format == kind),
            cost.bytes,
            count="payload_bytes",
        )
        for kind in ("JPEG", "WebP")
    ]
    size = f"{cost.bytes:,} (no less than the image)" if cost.larger_than_image else cost.bytes
    return label, cost.numbers, cost.bits, size, cost.entropy_bytes, cost.mse, *files


def _reconstructions(
    study: StudyResults, networks: Sequence[Architecture], by: Architecture, images: RunImages
) -> dict[str, Any]:
    """Return the same test images through the networks, at even steps of the error of ``by``."""
    rows: dict[str, np.ndarray] = {}
    shown, problems = [], {}
    for network in networks:
        try:
            positions = choose_images(_run_of(by, study), IMAGES)
            pictures = images.pictures(_run_of(network, study), positions)
        except InputError as error:
            problems[network.label] = str(error)
            continue
        rows.setdefault("original", pictures["target"])
        label = f"{network.label}\ntest MSE {significant(network.mse.estimate)}"
        rows[label] = pictures["estimate"]
        shown.append(network)
    return {
        "grid": ImageRows(f"{study.name}-reconstructions", rows) if shown else None,
        "grid_images": len(rows["original"]) if shown else 0,
        "grid_networks": shown,
        "grid_by": by,
        "not_in_grid": problems,
    }
