"""The part of a report about a study of architectures: its tables and figures.

rows and run directories ──► analysis ──► Part ──► template study.md.j2
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from caelab.errors import InputError
from caelab.report.architectures import Analysis, Architecture, Interaction, LevelEffect
from caelab.report.document import Cell, Drawing, ImageRows, Part
from caelab.report.figures.effects import draw_effects
from caelab.report.figures.networks import draw_code_size, draw_equal_size, draw_front
from caelab.report.inputs import StudyResults
from caelab.report.number_format import significant
from caelab.report.run_images import RunImages, choose_images
from caelab.report.run_reader import FinishedRun
from caelab.report.study_baselines import (
    WHOLE,
    LinearAnswer,
    StudyBaselines,
    measure_baselines,
)

IMAGES = 10
"""Number of test images in the picture of reconstructions."""


def study_part(
    study: StudyResults, images: RunImages, *, suffix: str, above: bool
) -> tuple[LinearAnswer, Part]:
    """Return the comparison of a study's networks with PCA, and the study's part of a report.

    If images or weights cannot be loaded, the part says which results are missing. The errors of
    PCA are kept in ``baselines.json`` in the study's folder.

    Args:
        study: Finished runs of the study.
        images: Loads the images and the networks of the runs.
        suffix: End of the part's headings, which distinguishes several studies.
        above: Whether the study's main pictures are at the top of the page, not in this part.
    """
    analysis, runs = study.analysis, list(study.runs.values())
    context: dict[str, Any] = {
        "study": study,
        "analysis": analysis,
        "rates": sorted({run.result["peak_learning_rate"] for run in runs}),
        "suffix": suffix,
        "above": above,
        "architectures": [],
        "no_linear": "",
        "grid": None,
        "grid_networks": [],
        "grid_by": None,
        "not_in_grid": {},
    }
    networks = main_networks(analysis)
    linear = StudyBaselines().linear
    if networks:
        sizes = [each.code_size for each in analysis.architectures if each.code_size is not None]
        try:
            file = study.folder / "baselines.json"
            linear = measure_baselines(file, run=runs[0], sizes=sizes, images=images).linear
        except InputError as error:
            context["no_linear"] = str(error)
        context |= _reconstructions(study, networks, analysis.base or networks[0], images)
    shapes, whole = analysis.equal_size, linear.get(WHOLE, {})
    rates = {
        row.label: float(study.runs[row.run].result["peak_learning_rate"])
        for row in study.rows
        if row.run in study.runs
    }
    answer = _against_pca(analysis, whole)
    at_size = {kind: line[shapes.size] for kind, line in linear.items() if shapes.size in line}
    figures = {
        "effects": partial(draw_effects, analysis),
        "code_size": partial(draw_code_size, analysis, linear),
        "equal_size": partial(draw_equal_size, shapes, at_size),
        "front": partial(draw_front, analysis),
    }
    context |= {
        "architectures": [_architecture(each, whole, rates) for each in analysis.architectures],
        "effects": [
            _effect(each)
            # Effects at the base's code size come first, as in the answer.
            for each in sorted(
                analysis.effects,
                key=lambda each: (not each.same_code, each.contrast.ratio.estimate),
            )
        ],
        "linear": answer,
        "interactions": [
            _interaction(each)
            for each in sorted(analysis.interactions, key=lambda each: each.contrast.ratio.estimate)
        ],
        "at_size": at_size,
        **{
            f"{name}_figure": Drawing(f"{study.name}-{name.replace('_', '-')}", draw)
            for name, draw in figures.items()
        },
    }
    return answer, Part("study", context, name=study.name)


def _against_pca(analysis: Analysis, linear: Mapping[int, float]) -> LinearAnswer:
    compared = [
        (each, linear[each.bottleneck or 0])
        for each in analysis.measured
        if each.bottleneck in linear
    ]
    return LinearAnswer(
        compared=len(compared),
        better=tuple(each.label for each, mse in compared if each.mse.estimate < mse),
    )


def main_networks(analysis: Analysis) -> list[Architecture]:
    """Return a few networks that represent a study, each once, the largest error first.

    They are the base, the best network by validation, the networks with the smallest and the
    largest error, the best network of the code size at which shapes are compared, and the network
    with the smallest code.
    """
    # Readers cannot compare thirty rows of thumbnails.
    measured = sorted(analysis.measured, key=lambda each: each.mse.estimate)
    coded = sorted(analysis.code_size.architectures, key=lambda each: each.code_size or 0)
    ranking = analysis.equal_size.ranking
    chosen = [analysis.base, analysis.best, *measured[:1], *measured[-1:], *ranking[:1], *coded[:1]]
    named = {each.label: each for each in chosen if each is not None}
    return sorted(named.values(), key=lambda each: -each.mse.estimate)


def _run_of(architecture: Architecture, study: StudyResults) -> FinishedRun:
    """Return the run of a network with the smallest seed that has not failed."""
    seed, label = min(architecture.errors), architecture.label
    name = next(row.run for row in study.rows if (row.label, row.seed) == (label, seed))
    return study.runs[name]


def _architecture(
    each: Architecture, linear: Mapping[int, float], rates: Mapping[str, float]
) -> tuple[Cell, ...]:
    mse = each.mse
    # An asterisk marks a code with a skip connection around it, whose size is not compared.
    code = f"{each.code_size:,}*" if each.code_size and each.skip_around_code else each.code_size
    return (
        *(each.label, mse.estimate, mse.low, mse.high, mse.n, code, each.weights),
        *(each.seconds_per_epoch, linear.get(each.bottleneck or 0), each.shape or None),
        *(each.narrowest, each.multiply_accumulates, rates.get(each.label), each.network),
    )


def _effect(each: LevelEffect) -> tuple[Cell, ...]:
    contrast, ratio = each.contrast, each.contrast.ratio
    return (
        each.architecture.label,
        *(bound - 1 for bound in (ratio.estimate, ratio.low, ratio.high)),
        *(contrast.verdict, each.same_code, ", ".join(each.also), each.factor),
        *(contrast.more_seeds, each.cost_ratios["weights"], each.cost_ratios["code_size"]),
    )


def _interaction(each: Interaction) -> tuple[Cell, ...]:
    contrast, ratio = each.contrast, each.contrast.ratio
    return (
        each.architecture.label,
        *(bound - 1 for bound in (ratio.estimate, ratio.low, ratio.high)),
        *(contrast.verdict, contrast.more_seeds, each.architecture.mse.estimate),
    )


def _reconstructions(
    study: StudyResults, networks: Sequence[Architecture], by: Architecture, images: RunImages
) -> dict[str, Any]:
    """Return the picture of reconstructions, and which networks it shows.

    The test images are evenly spaced from the smallest to the largest error of the network ``by``.
    """
    rows: dict[str, np.ndarray] = {}
    shown, problems = [], {}
    for network in networks:
        try:
            positions = choose_images(_run_of(by, study), IMAGES)
            pictures = images.pictures(_run_of(network, study), positions)
        except InputError as error:
            # If one network cannot be loaded, the picture still shows the others.
            problems[network.label] = str(error)
            continue
        # The originals are shown once, because all networks have the same test images.
        rows.setdefault("original", pictures["target"])
        label = f"{network.label}\n{significant(network.mse.estimate)}"
        rows[label] = pictures["estimate"]
        shown.append(network)
    return {
        "grid": ImageRows(f"{study.name}-reconstructions", rows) if shown else None,
        "grid_networks": shown,
        "grid_by": by,
        "not_in_grid": problems,
    }
