"""What the best colorizer does badly: measured, in tables, and in sentences written from the
numbers.
"""

import math
from collections.abc import Iterable

import numpy as np
import torch

from caelab.color import SPACES
from caelab.data.pixels import Pixels, evenly_spaced
from caelab.degrade.degradation import parse_degradation
from caelab.experiments.setup import load_data
from caelab.metrics.ambiguity import SIDE, Ambiguity, ambiguity, cut_patches, middle, patches_at
from caelab.metrics.colorization_shortcomings import (
    COLORLESS,
    EDGE,
    SHIFTS,
    Bleeding,
    ClassError,
    ColorfulnessKept,
    HueError,
    InventedColor,
    ShiftedError,
    bleeding,
    colorfulness_kept,
    errors_by_class,
    hue_errors,
    invented_color,
    shifted_errors,
)
from caelab.metrics.evaluate import estimates
from caelab.models.inference import restoring
from caelab.models.weights_file import load_model
from caelab.progress import progress
from caelab.report.document import Block, Paragraph, Section
from caelab.report.run_reader import FinishedRun, read_measures
from caelab.report.sentences import significant
from caelab.report.shortcoming_tables import (
    Shortcomings,
    percent,
    shift_in_words,
    shortcoming_tables,
)
from caelab.report.test_images import Album

IMAGES = 2000
"""Test images on which the network is run again, evenly spaced; metrics that it left for all are
used for all."""

SHIFTED_IMAGES = 500
"""Of these, those that are given with another brightness too."""

PATCHES, TRAINING_PATCHES, TRAINING_IMAGES = 2000, 20_000, 10_000

LEAST_SHARE = 0.005
"""Of all pixels, that a hue must have for the sentences to speak of it."""


def measure_shortcomings(run: FinishedRun, album: Album, *, seed: int = 0) -> Shortcomings:
    """Measure a finished run that gives colors to gray images; ``seed`` draws the patches.

    Raises:
        InputError: The images cannot be had, or weights or measures are damaged.
    """
    test, measures = album.test(run), read_measures(run)
    positions = evenly_spaced(IMAGES, len(test.pixels))
    some = test.pixels.at(positions)
    shifted = test.pixels.at(positions[:: -(-len(positions) // SHIFTED_IMAGES)])
    model, card = load_model(run.directory.weights, torch.device("cpu"))
    with (
        progress("what is still bad", len(some) + len(SHIFTS) * len(shifted), unit="images") as bar,
        restoring(model) as restore,
    ):

        def restore_and_tell(given: torch.Tensor) -> torch.Tensor:
            bar(len(given))
            return restore(given)

        degradation = parse_degradation(card.degradation)
        made = list(estimates(restore_and_tell, some, degradation=degradation))
        shifts = shifted_errors(restore_and_tell, shifted, degradation)
    estimate, target = (
        torch.cat([getattr(one, name) for one in made]).float() for name in ("estimate", "target")
    )
    errors, colorful, true = (
        measures.get(name) for name in ("chroma_mse", "colorfulness", "true_colorfulness")
    )
    return Shortcomings(
        images=len(positions),
        colorfulness=(
            None if colorful is None or true is None else colorfulness_kept(colorful, true)
        ),
        classes=(
            ()
            if errors is None or test.labels is None
            else errors_by_class(errors, test.labels, test.classes)
        ),
        hues=hue_errors(estimate, target),
        ambiguity=(
            None if min(some.shape[1:]) < SIDE else _ambiguity(run, album, some, estimate, seed)
        ),
        bleeding=bleeding(estimate, target),
        shifts=shifts,
        invented=invented_color(estimate, target),
    )


def _ambiguity(
    run: FinishedRun, album: Album, some: Pixels, estimate: torch.Tensor, seed: int
) -> Ambiguity:
    config = run.config if album.data is None else run.config.replace(data=album.data)
    images, split = load_data(config)
    rows = np.sort(np.random.default_rng(seed).permutation(split.train)[:TRAINING_IMAGES])
    training = cut_patches(
        Pixels.of(images.images, rows, device=some.device), TRAINING_PATCHES, seed=seed
    )
    patches = cut_patches(some, PATCHES, seed=seed + 1)
    found = patches_at(SPACES["ycbcr"].chroma(estimate)[patches.images], patches.corners)
    return ambiguity(patches, middle(found), training)


def shortcoming_section(run: FinishedRun, album: Album, label: str) -> Section:
    """Return the section about one network.

    Raises:
        InputError: See ``measure_shortcomings``.
    """
    found = measure_shortcomings(run, album)
    blocks: list[Block] = [Paragraph(sentence) for sentence in write_shortcomings(found)]
    blocks += shortcoming_tables(found)
    return Section(title=f"What {label} does badly", blocks=blocks)


# In sentences


def write_shortcomings(found: Shortcomings) -> tuple[str, ...]:
    """Return what the numbers say."""
    return (
        *_colorfulness(found.colorfulness),
        *_classes(found.classes),
        *_hues(found.hues),
        *_patches(found.ambiguity),
        *_edges(found.bleeding),
        *_shifted(found.shifts),
        *_invented(found.invented),
    )


def _colorfulness(kept: ColorfulnessKept | None) -> Iterable[str]:
    if kept is None or not kept.n:
        return
    verdict = (
        "paler than"
        if kept.ratio < 0.95
        else "more colorful than"
        if kept.ratio > 1.05
        else "as colorful as"
    )
    low, half, high = (percent(value) for value in kept.quartiles)
    yield (
        f"On the whole the images are {verdict} the truth: {percent(kept.ratio)} of its"
        " colorfulness (Hasler and Süsstrunk). Of a single image's colorfulness, a quarter of"
        f" {kept.n:,} images keep less than {low}, half less than {half}, three quarters less than"
        f" {high}."
    )


def _classes(classes: tuple[ClassError, ...]) -> Iterable[str]:
    if len(classes) < 2:
        return
    worst, best = classes[0], classes[-1]
    certain = worst.error.low > best.error.high
    verdict = (
        f"is larger than for {best.name}"
        if certain
        else f"may or may not be larger than for {best.name}"
    )
    yield (
        f"The chroma error for {worst.name}, {_mean(worst)}, {verdict}, {_mean(best)}; these are"
        f" the largest and the smallest of {len(classes)} classes."
    )


def _mean(each: ClassError) -> str:
    if each.error.undetermined:
        return f"{significant(each.error.estimate)} (n = {each.error.n}, no interval)"
    low, high = significant(each.error.low), significant(each.error.high)
    return (
        f"{significant(each.error.estimate)} (95% interval {low} to {high}; n = {each.error.n}"
        " images)"
    )


def _hues(hues: tuple[HueError, ...]) -> Iterable[str]:
    enough = [hue for hue in hues if hue.share >= LEAST_SHARE]
    if len(enough) < 2:
        return
    most, least = max(enough, key=lambda hue: hue.kept), min(enough, key=lambda hue: hue.kept)
    opposite = " (below zero is the opposite color)" if least.kept < 0 else ""
    yield (
        f"Of the truth's color, most is found where it is {most.name}, {percent(most.kept)}, and"
        f" least where it is {least.name}, {percent(least.kept)}{opposite}; {percent(least.share)}"
        f" of all pixels are {least.name}."
    )


def _patches(found: Ambiguity | None) -> Iterable[str]:
    if found is None:
        return
    first, last = found.bins[0], found.bins[-1]
    less = found.error < found.spread
    reason = "which sees more than the patch" if less else "although it sees more than the patch"
    yield (
        f"Gray patches of {SIDE}×{SIDE} pixels that look alike differ in color with a variance of"
        f" {significant(found.spread)}: what no regressor on the patch alone could remove. The"
        f" network, {reason}, has there an error of {significant(found.error)},"
        f" {percent(found.error / found.spread)} of it; the mean color of the neighbors has"
        f" {significant(found.neighbors_error)}."
    )
    if first.error > 0 and len(found.bins) > 1 and math.isfinite(found.rank_correlation):
        grows = "grows" if found.rank_correlation > 0 else "does not grow"
        yield (
            f"The error {grows} with the ambiguity: from {significant(first.error)} in the least"
            f" ambiguous of {len(found.bins)} equal groups of patches to {significant(last.error)}"
            f" in the most ambiguous one (Spearman's ρ = {significant(found.rank_correlation, 2)}"
            f" over {found.n:,} patches; neighbors among {found.training:,} training patches)."
        )


def _edges(found: Bleeding) -> Iterable[str]:
    edges, flat = found.edges, found.flat
    if not math.isfinite(edges.contrast_kept):
        return
    verdict = (
        "Colors run over edges"
        if edges.contrast_kept < 0.5
        else "Most of a change of color at an edge is found"
    )
    beside = ""
    if flat.chroma_mse > 0:
        times = significant(edges.chroma_mse / flat.chroma_mse, 2)
        beside = f" The chroma error at edges is {times} times that of flat places."
    yield (
        f"{verdict}: where the luma changes by {EDGE:g} or more from one pixel to the next, the"
        f" color changes by {percent(edges.contrast_kept)} of what it should.{beside}"
    )


def _shifted(shifts: tuple[ShiftedError, ...]) -> Iterable[str]:
    usual, *others = shifts
    worst = max(others, key=lambda each: each.relative)
    if not math.isfinite(worst.relative):
        return
    limit = ", more than no color at all" if worst.relative >= 1 else ""
    rises = worst.relative > usual.relative
    verdict = "Brightness matters" if rises else "Another brightness of the input does no harm"
    yield (
        f"{verdict}: as it is, the input leaves {percent(usual.relative)} of the gray copy's chroma"
        f" error; {shift_in_words(worst)} it leaves the most of those tried,"
        f" {percent(worst.relative)}{limit}."
    )


def _invented(found: InventedColor) -> Iterable[str]:
    if not found.n:
        yield (
            f"None of {found.of:,} test images is gray to begin with (chroma below {COLORLESS:g})."
        )
        return
    yield (
        f"The {found.n} of {found.of:,} test images that are gray to begin with get a chroma of"
        f" {significant(found.chroma)}, {percent(found.colorfulness_share)} of what the truth has"
        " on average."
    )
