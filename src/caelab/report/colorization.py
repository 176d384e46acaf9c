"""Exercise 3: runs that color gray images, compared in numbers and pictures."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from caelab.color import SPACES, ColorSpace, merge
from caelab.data.image_set import evenly_spaced
from caelab.errors import InputError
from caelab.metrics.image_metrics import METRICS
from caelab.metrics.moderated import Contrast
from caelab.metrics.statistics import Interval
from caelab.report.document import Cell, ImageRows, Part
from caelab.report.run_differences import Variants, changed_options, network_name
from caelab.report.run_images import RunImages

COLUMNS = ("mse", "psnr_of_mean", "mae", "chroma_mse", "ciede2000", "accuracy2", "accuracy5")
"""Metrics of the table besides colorfulness, in the order of its columns."""

IMAGES = 10
"""Number of test images in a strip."""

ROWS = 6
"""Largest number of variants in a strip: the best by validation."""


@dataclass(frozen=True, kw_only=True)
class TargetAnswer:
    """Comparison of a network that predicts RGB with the same network that predicts chroma.

    Attributes:
        rgb: Name of the variant that predicts RGB.
        chroma: Name of the variant that predicts chroma, which is merged with the input's luma.
        contrast: Test error with chroma as a multiple of that with RGB.
        means: Metrics of both, RGB first, by the metric's name; means over images and seeds.
        better: Titles of the metrics by which chroma is better.
        worse: Titles of the metrics by which it is not.
    """

    rgb: str
    chroma: str
    contrast: Contrast
    means: dict[str, tuple[float, float]]
    better: tuple[str, ...]
    worse: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ColorAnswer:
    """The colors of gray images.

    Attributes:
        best: Name of the best variant by validation.
        base: Name of the variant that ideas are compared with.
        images: Number of test images.
        mse: Test error of the best, with its interval over seeds.
        ciede2000: Mean color difference ΔE₀₀ of the best, with its interval over seeds.
        baselines: Mean metrics of the gray input itself, and of one color in all pixels.
        targets: Comparison of RGB and chroma for every network that was trained with both.
        ideas: Test error of each other variant as a multiple of the base's, the best first.
    """

    best: str
    base: str
    images: int
    mse: Interval
    ciede2000: Interval
    baselines: dict[str, dict[str, float]]
    targets: tuple[TargetAnswer, ...]
    ideas: dict[str, Contrast]


def answer_colors(variants: Variants) -> ColorAnswer:
    """Compare colorizing runs, sorted into variants."""
    base, best = variants.base, variants.best
    ideas = variants.errors.against(base.label)
    return ColorAnswer(
        best=best.label,
        base=base.label,
        images=base.first.result["test"]["n"],
        mse=variants.errors.interval(best.label, best.mean("mse").estimate),
        ciede2000=best.mean("ciede2000"),
        baselines=base.first.result["baselines"],
        targets=tuple(_targets(variants)),
        ideas=dict(sorted(ideas.items(), key=lambda idea: idea[1].ratio.estimate)),
    )


def _targets(variants: Variants) -> Iterator[TargetAnswer]:
    """Compare variants that differ in what the network predicts, and in nothing else."""
    for rgb, chroma in itertools.permutations(variants.all, 2):
        one, other = rgb.first.config, chroma.first.config
        # Seeds are averaged, and images are compared by their fingerprint, not by their path.
        same = {"target": other.target, "seed": other.seed, "data": other.data}
        kinds = (one.target.kind, other.target.kind)
        if kinds != ("rgb", "chroma") or one.model_copy(update=same) != other:
            continue
        means: dict[str, tuple[float, float]] = {}
        better: list[str] = []
        worse: list[str] = []
        for name, metric in METRICS.items():
            pair = first, second = rgb.mean(name).estimate, chroma.mean(name).estimate
            truth = rgb.first.result["test"].get(f"true_{name}", np.nan)
            gain = second - first if metric.better == "higher" else first - second
            # Such a metric is wrong if it is too small or too large.
            if metric.better == "nearer":
                gain = abs(first - truth) - abs(second - truth)
            if np.isfinite(gain):
                means[name] = pair
                (better if gain > 0 else worse).append(metric.title)
        for contrast in variants.errors.against(rgb.label, labels=[chroma.label]).values():
            yield TargetAnswer(
                rgb=rgb.label,
                chroma=chroma.label,
                contrast=contrast,
                means=means,
                better=tuple(better),
                worse=tuple(worse),
            )


def comparison_part(variants: Variants, answer: ColorAnswer, images: RunImages) -> Part:
    """Return the part with all colorizers in one table, what ideas change, and pictures.

    Args:
        variants: Colorizing runs, sorted.
        answer: Their comparison.
        images: Gives the test images.
    """
    base = variants.base.first
    metrics = (*COLUMNS, "colorfulness")
    rows: list[tuple[Cell, ...]] = [
        (
            each.label,
            *(each.mean(metric).estimate for metric in metrics),
            each.first.description.weights,
            len(each.runs),
        )
        for each in sorted(variants.all, key=lambda each: each.mean("mse").estimate)
    ]
    rows += [
        (name, *map(values.get, metrics), None, None) for name, values in answer.baselines.items()
    ]
    truth = base.result["test"].get("true_colorfulness")
    rows.append(("truth", *[None] * (len(metrics) - 1), truth, None, None))
    pictures, missing = {}, ""
    # The numbers come from the run directories and need no images.
    try:
        pictures = color_pictures(variants, images)
    except InputError as error:
        missing = str(error)
    alike = {run.result["images"]["validation"] for each in variants.all for run in each.runs}
    context = {
        "answer": answer,
        "pictures": pictures,
        "missing_pictures": missing,
        "left_out": variants.left_out,
        "network": network_name(base),
        "text": base.description.text,
        "options": changed_options(base),
        "same_validation": len(alike) == 1,
        "comparison": rows,
        "targets": [
            (target, [(name, *pair) for name, pair in target.means.items()])
            for target in answer.targets
        ],
        "ideas": [
            (
                label,
                *(each - 1 for each in (idea.ratio.estimate, idea.ratio.low, idea.ratio.high)),
                idea.verdict,
                idea.ratio.n,
                idea.more_seeds,
            )
            for label, idea in answer.ideas.items()
        ],
        "metrics": {name: metric.heading for name, metric in METRICS.items()},
    }
    return Part("colorization", context)


def color_pictures(variants: Variants, images: RunImages) -> dict[str, ImageRows]:
    """Draw test images as several networks color them, and the chroma planes of the best network.

    Raises:
        InputError: The images cannot be loaded, or weights or errors of a run are damaged.
    """
    best = variants.best.first
    # Evenly spaced, so that the images are not chosen by their result.
    chosen = evenly_spaced(IMAGES, len(images.part(best)))
    made = {each.label: images.pictures(each.first, chosen) for each in variants.ranking[:ROWS]}
    first = made[variants.best.label]
    found, true = (chroma_planes(first[name]) for name in ("estimate", "target"))
    colored = {label: pictures["estimate"] for label, pictures in made.items()}
    # Every strip is shown between the network's input and the true image.
    ends = {"gray": first["degraded"]}, {"truth": first["target"]}
    planes = {"true Cb": true[0], "Cb found": found[0], "true Cr": true[1], "Cr found": found[1]}
    predicted = {variants.best.label: first["estimate"]}
    return {
        "predicted": ImageRows("predicted", {**ends[0], **predicted, **ends[1]}),
        "colors": ImageRows("colors", {**ends[0], **colored, **ends[1]}),
        "planes": ImageRows("chroma-planes", {**ends[1], **planes}),
    }


def chroma_planes(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Cb and Cr of RGB images as pictures, each plane shown on a middle gray.

    Args:
        images: ``float32 (K, 3, H, W)`` in [0, 1].

    Returns:
        Two arrays of the same shape.
    """
    space: ColorSpace = SPACES["ycbcr"]
    chroma, gray = space.chroma(images), np.full_like(images[:, :1], 0.5)
    # Middle gray has no color, so that only the plane itself is seen.
    cb, cr = (chroma * one for one in np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1))
    return merge(gray, cb, space), merge(gray, cr, space)
