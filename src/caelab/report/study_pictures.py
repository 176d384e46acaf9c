"""The same test images through the main networks of a study."""

from collections.abc import Sequence

import numpy as np

from caelab.errors import InputError
from caelab.report.architectures import Analysis, Architecture
from caelab.report.figures import Drawing, draw_reconstructions
from caelab.report.inputs import StudyResults
from caelab.report.run_reader import FinishedRun
from caelab.report.test_images import RunImages

IMAGES = 10
"""Test images in the grid."""


def main_networks(analysis: Analysis) -> list[Architecture]:
    """Return the networks that stand for a study, by falling error, each once.

    The base, the best by validation, those with the smallest and the largest error, the best with a
    code of the size at which shapes are compared, and the one with the smallest code.
    """
    measured = sorted(
        (each for each in analysis.architectures if each.errors), key=lambda each: each.mse.estimate
    )
    coded = sorted(analysis.code_size.architectures, key=lambda each: each.code_size or 0)
    chosen = [
        analysis.base,
        analysis.best,
        *measured[:1],
        *measured[-1:],
        *analysis.equal_size.ranking[:1],
        *coded[:1],
    ]
    named = {each.label: each for each in chosen if each is not None}
    return sorted(named.values(), key=lambda each: -each.mse.estimate)


def run_of(architecture: Architecture, study: StudyResults) -> FinishedRun:
    """Return the network's run with the first of its seeds that has an error."""
    seed = min(architecture.errors)
    name = next(
        row.run for row in study.rows if row.label == architecture.label and row.seed == seed
    )
    return study.runs[name]


def reconstruct(
    networks: Sequence[Architecture],
    study: StudyResults,
    images: RunImages,
    *,
    by: Architecture | None = None,
) -> tuple[Drawing, list[str]]:
    """Draw the same test images through the networks, and say what is wrong with those that cannot
    be shown.

    Args:
        networks: At least one.
        study: Whose they are.
        images: Gives the test images.
        by: The images lie at even steps of this network's error, so that easy ones and hard ones
            are there; by default the first of ``networks``.

    Raises:
        InputError: The images cannot be had, or no network can be shown.
    """
    by = by or networks[0]
    first = run_of(by, study)
    order = np.argsort(first.measures["mse"], kind="stable")
    places = np.linspace(0.02, 0.98, min(IMAGES, len(order))) * (len(order) - 1)
    positions = order[places.round().astype(np.int64)]
    originals: np.ndarray | None = None
    estimates: dict[str, np.ndarray] = {}
    problems = []
    images.test(first)
    for network in networks:
        try:
            made = images.pictures(run_of(network, study), positions)
        except InputError as error:
            problems.append(f"{network.label} is not among the pictures: {error}")
            continue
        originals = made["target"]
        estimates[network.label] = made["estimate"]
    if originals is None:
        raise InputError(" ".join(problems))
    drawing = draw_reconstructions(
        originals,
        estimates,
        {each.label: each.mse.estimate for each in networks},
        chosen=f"at even steps of the error of {by.label}",
    )
    return drawing, problems
