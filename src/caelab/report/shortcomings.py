"""Measure what a network that colors gray images does badly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from caelab.color import SPACES
from caelab.data.device_images import DeviceImages
from caelab.data.image_set import evenly_spaced
from caelab.metrics.ambiguity import (
    SIDE,
    Ambiguity,
    ambiguity,
    center_mean,
    cut_patches,
    patches_at,
)
from caelab.metrics.colorization_shortcomings import (
    EDGE,
    MIN_CHROMA,
    SHIFTS,
    Bleeding,
    ChromaError,
    ClassError,
    ColorfulnessKept,
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
from caelab.metrics.statistics import Interval, correlation
from caelab.models.inference import restoring
from caelab.progress import progress
from caelab.report.colorization import ColorAnswer
from caelab.report.document import Part
from caelab.report.run_differences import Variant
from caelab.report.run_images import RunImages

IMAGES = 2000
"""Largest number of test images on which the network is run again; they are evenly spaced. Metrics
in the run directory are used for all test images."""

SHIFTED_IMAGES = 500
"""Largest number of test images that are measured with changed brightness and contrast, too."""

PATCHES, TRAINING_PATCHES, TRAINING_IMAGES = 2000, 20_000, 10_000
"""Number of patches cut from test images, number of patches cut from training images, and largest
number of these training images."""

MIN_HUE_SHARE = 0.02
"""Smallest share of all pixels that a hue must have to be mentioned in the text."""


@dataclass(frozen=True, kw_only=True)
class Shortcomings:
    """Measurements of the outputs of one network that colors gray images.

    Attributes:
        label: Name of the network in the report.
        images: Number of test images that the network was run on again.
        side: Longer side of the images in pixels.
        colorfulness: Colorfulness of the outputs relative to the true images; ``None`` if it was
            not measured.
        classes: Chroma error of each class, largest first; empty if the images have no classes.
        hues: Chroma errors of pixels, grouped by their true hue.
        rarity: Rank correlation over hues of two numbers: the hue's share of all pixels, and the
            part of its true chroma that the outputs have.
        class_colors: Rank correlation over classes of two numbers: the mean colorfulness of the
            true images, and the mean chroma error.
        ambiguity: Relation between the error of a patch and the variety of colors that similar
            gray patches have; ``None`` for images smaller than a patch.
        bleeding: Chroma differences between neighboring pixels, at edges and in flat areas.
        shifts: Chroma errors with changed brightness or contrast; the first entry is for unchanged
            images.
        invented: Color that the outputs have for images that are gray in truth.
    """

    label: str
    images: int
    side: int
    colorfulness: ColorfulnessKept | None
    classes: tuple[ClassError, ...]
    hues: tuple[ChromaError, ...]
    rarity: Interval
    class_colors: Interval
    ambiguity: Ambiguity | None
    bleeding: Bleeding
    shifts: tuple[ShiftedError, ...]
    invented: InventedColor

    @property
    def main_hues(self) -> list[ChromaError]:
        """Hues with many pixels, sorted by the part of their chroma that is kept, least first."""
        # A hue with few pixels could be the worst by chance.
        frequent = (hue for hue in self.hues if hue.share >= MIN_HUE_SHARE)
        return sorted(frequent, key=lambda hue: hue.kept)

    @property
    def worst_shift(self) -> ShiftedError:
        """The change of brightness or contrast with the largest relative chroma error."""
        return max(self.shifts[1:], key=lambda shift: shift.relative)


def measure_shortcomings(variant: Variant, images: RunImages, *, seed: int = 0) -> Shortcomings:
    """Measure the shortcomings of the first run of a variant that colors gray images.

    Args:
        variant: The variant.
        images: Loads the images and the network.
        seed: Seed of the random choice of patches.

    Raises:
        InputError: The images cannot be loaded, or weights or errors of the run are damaged.
    """
    run = variant.first
    test, measures = images.part(run), run.measures
    positions = evenly_spaced(IMAGES, len(test))
    some = test.at(positions)
    # Fewer images, because the network restores them once for each change of brightness.
    shifted = test.at(positions[:: -(-len(positions) // SHIFTED_IMAGES)])
    model, degradation = images.model(run), run.config.degradation
    count = len(some) + len(SHIFTS) * len(shifted)
    with progress("shortcomings", count, unit="images") as bar, restoring(model) as restore:

        def restore_and_count(degraded: torch.Tensor) -> torch.Tensor:
            # The bar counts restored images, because restoring takes most of the time.
            bar(len(degraded))
            return restore(degraded)

        made = list(estimates(restore_and_count, some, degradation=degradation))
        shifts = shifted_errors(restore_and_count, shifted, degradation)
    estimate, target = (
        torch.cat([getattr(one, name) for one in made]).float() for name in ("estimate", "target")
    )
    errors, colorful, true = (
        measures.get(name) for name in ("chroma_mse", "colorfulness", "true_colorfulness")
    )
    patches = None
    if min(some.shape[1:]) >= SIDE:
        train = images.part(run, "train")
        # Similar patches are looked for in training images, from which the network learned.
        rows = np.random.default_rng(seed).permutation(len(train))[:TRAINING_IMAGES]
        patches = _ambiguity(train.at(np.sort(rows)), some, estimate, seed)
    hues = hue_errors(estimate, target)
    return Shortcomings(
        label=variant.label,
        images=len(positions),
        side=max(run.config.data.shape[1:]),
        colorfulness=(
            None if colorful is None or true is None else colorfulness_kept(colorful, true)
        ),
        classes=(
            ()
            if errors is None or test.labels is None
            else errors_by_class(errors, test.labels.numpy(), images.load(run).classes)
        ),
        hues=hues,
        rarity=_rarity(hues),
        class_colors=_class_colors(errors, true, test.labels),
        ambiguity=patches,
        bleeding=bleeding(estimate, target),
        shifts=shifts,
        invented=invented_color(estimate, target),
    )


def _rarity(hues: Sequence[ChromaError]) -> Interval:
    seen = [(each.share, each.kept) for each in hues if np.isfinite(each.kept)]
    return correlation(*np.reshape(seen, (-1, 2)).T)


def _class_colors(
    errors: np.ndarray | None, colorfulness: np.ndarray | None, labels: torch.Tensor | None
) -> Interval:
    if errors is None or colorfulness is None or labels is None:
        return Interval(estimate=np.nan, n=0)
    classes = labels.numpy()
    members = [classes == index for index in np.unique(classes)]
    return correlation(
        *([values[each].mean() for each in members] for values in (colorfulness, errors))
    )


def _ambiguity(
    train: DeviceImages, some: DeviceImages, estimate: torch.Tensor, seed: int
) -> Ambiguity:
    training = cut_patches(train, TRAINING_PATCHES, seed=seed)
    patches = cut_patches(some, PATCHES, seed=seed + 1)
    found = patches_at(SPACES["ycbcr"].chroma(estimate)[patches.images], patches.corners)
    return ambiguity(patches, center_mean(found), training)


def shortcoming_part(found: Shortcomings, colors: ColorAnswer) -> Part:
    """Return the part of the report about the shortcomings of one network.

    Args:
        found: The shortcomings.
        colors: Comparison of all colorizers, which says what remedies were tried.
    """
    limits = {"chroma": MIN_CHROMA, "edge": EDGE, "side": SIDE, "share": MIN_HUE_SHARE}
    return Part("shortcomings", {"answer": found, "limits": limits, "colors": colors})
