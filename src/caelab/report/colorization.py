"""Exercise 3: runs that color gray images, compared in numbers and pictures.

Runs that differ only in their seed form a variant. One variant is the base; the others are ideas
for improving the base.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from caelab.color import SPACES, ColorSpace, merge
from caelab.data.image_set import evenly_spaced
from caelab.errors import InputError
from caelab.metrics.image_metrics import METRICS
from caelab.metrics.moderated import Contrast
from caelab.metrics.statistics import Interval
from caelab.report.document import Cell, ImageRows, Part
from caelab.report.run_differences import (
    Variants,
    changed_options,
    network_name,
    rgb_text,
)
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun

COLUMNS = ("mse", "psnr", "mae", "chroma_mse", "ciede2000", "accuracy2", "accuracy5")
"""Metrics that have a column in the table of variants, in this order; colorfulness comes last."""

IMAGES = 10
"""Number of test images in each row of a picture."""

ROWS = 6
"""Largest number of variants in a picture; those with the smallest validation errors are shown."""

SMALLER = 0.5
"""Smallest number of weights of an idea, as a share of the base's number of weights. A variant with
fewer weights is reported as a smaller network."""


REMEDIES: Mapping[str, Callable[[FinishedRun], bool]] = {
    "color classes": lambda run: run.config.target.kind == "bins",
    "labels": lambda run: any(row.kind == "classify" for row in run.description.rows),
    "brightness": lambda run: run.config.augmentation.gamma_jitter > 0,
    "changed images": lambda run: bool(
        run.config.augmentation.flip
        or run.config.augmentation.translate
        or run.config.augmentation.scale_jitter
    ),
}
"""Remedies for what colorizers do badly, by name: whether a run tries them."""


@dataclass(frozen=True, kw_only=True)
class Colorizer:
    """The network and the options of a variant.

    Attributes:
        label: Name of the variant.
        network: Name of the network's preset; without a preset, the beginning of its text.
        text: Complete text of the network.
        found_as: Label of the network in the study of architectures in which it was the best
            network; empty for other networks.
        options: Options in which the variant differs from the base. For the base: options in which
            it differs from the defaults.
        mse: Mean test MSE over images and seeds.
    """

    label: str
    network: str
    text: str
    found_as: str
    options: str
    mse: float


@dataclass(frozen=True, kw_only=True)
class BaselineAhead:
    """A metric by which a baseline is better than every network.

    Attributes:
        metric: Title of the metric.
        baseline: Name of the baseline.
        value: Mean of the metric over images for the baseline.
        network: Mean of the metric over images for the network that is best by this metric.
    """

    metric: str
    baseline: str
    value: float
    network: float


@dataclass(frozen=True, kw_only=True)
class TargetAnswer:
    """Comparison of a network that predicts RGB with the same network that predicts chroma.

    Attributes:
        rgb: Name of the variant that predicts RGB.
        chroma: Name of the variant that predicts chroma, which is merged with the input's luma.
        contrast: Test MSE of the chroma variant as a multiple of the RGB variant's.
        means: Means over images and seeds by the name of the metric: first for RGB, then for
            chroma.
        better: Titles of the metrics by which chroma is better than RGB.
        worse: Titles of the metrics by which chroma is worse than RGB, or equal.
    """

    rgb: str
    chroma: str
    contrast: Contrast
    means: dict[str, tuple[float, float]]
    better: tuple[str, ...]
    worse: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ColorAnswer:
    """Comparison of the networks that color gray images.

    Attributes:
        best: Name of the variant with the smallest validation error.
        base: Name of the variant that ideas are compared with.
        images: Number of test images.
        mse: Test MSE of the best variant, with its interval over seeds.
        ciede2000: Mean color difference ΔE₀₀ of the best variant, with its interval over seeds.
        colorizers: Network and options of each variant, the base first.
        baselines: Means of the metrics over images, by the name of the baseline. The baselines are
            the gray input itself, and the gray input with the mean chroma in every pixel.
        strongest: Name of the best baseline, by the metrics ``mse`` and ``ciede2000``.
        ahead: Metrics by which a baseline is better than every network.
        targets: Comparison of RGB and chroma for every network that was trained with both targets.
        remedies: Names of the variants that try a remedy for what colorizers do badly, by the name
            of the remedy: the keys of ``REMEDIES``.
        ideas: Test MSE of each idea as a multiple of the base's, by the name of the variant, the
            smallest first.
        smaller: Test MSE as a multiple of the base's for the variants with less than half of the
            base's weights, by name, the smallest first.
    """

    best: str
    base: str
    images: int
    mse: Interval
    ciede2000: Interval
    colorizers: tuple[Colorizer, ...]
    baselines: dict[str, dict[str, float]]
    strongest: dict[str, str]
    ahead: tuple[BaselineAhead, ...]
    targets: tuple[TargetAnswer, ...]
    remedies: dict[str, tuple[str, ...]]
    ideas: dict[str, Contrast]
    smaller: dict[str, Contrast]


def answer_colors(variants: Variants, found: Mapping[str, str] | None = None) -> ColorAnswer:
    """Compare the variants of runs that color gray images.

    Args:
        variants: The runs, sorted into variants.
        found: Labels of the networks that were best in studies of architectures, by the text that
            the network has with RGB output.
    """
    base, best = variants.base, variants.best
    contrasts = variants.errors.against(base.label)
    ordered = sorted(contrasts.items(), key=lambda each: each[1].ratio.estimate)
    weights = {each.label: each.first.description.weights for each in variants.all}
    enough = SMALLER * weights[base.label]
    baselines: dict[str, dict[str, float]] = base.first.result["baselines"]
    return ColorAnswer(
        best=best.label,
        base=base.label,
        images=base.first.result["test"]["n"],
        mse=variants.errors.interval(best.label, best.mean("mse").estimate),
        ciede2000=best.mean("ciede2000"),
        colorizers=tuple(
            Colorizer(
                label=each.label,
                network=network_name(each.first),
                text=each.first.description.text,
                found_as=(found or {}).get(rgb_text(each.first), ""),
                options=changed_options(each.first, None if each is base else base.first),
                mse=each.mean("mse").estimate,
            )
            for each in variants.all
        ),
        baselines=baselines,
        strongest={
            metric: min(baselines, key=lambda name: baselines[name][metric])
            for metric in ("mse", "ciede2000")
            if baselines and all(metric in each for each in baselines.values())
        },
        ahead=tuple(_ahead(variants, baselines)),
        targets=tuple(_targets(variants)),
        remedies={
            name: tuple(each.label for each in variants.all if tries(each.first))
            for name, tries in REMEDIES.items()
        },
        ideas={label: idea for label, idea in ordered if weights[label] >= enough},
        smaller={label: other for label, other in ordered if weights[label] < enough},
    )


def _ahead(
    variants: Variants, baselines: Mapping[str, Mapping[str, float]]
) -> Iterator[BaselineAhead]:
    for name in COLUMNS:
        metric = METRICS[name]
        sign = 1 if metric.better == "higher" else -1
        network = max(sign * each.mean(name).estimate for each in variants.all)
        values = {each: sign * means[name] for each, means in baselines.items() if name in means}
        best = max(values, key=lambda each: values[each], default="")
        # If the networks were not measured by the metric, `network` is NaN and nothing is yielded.
        if best and values[best] > network:
            yield BaselineAhead(
                metric=metric.title,
                baseline=best,
                value=sign * values[best],
                network=sign * network,
            )


def _targets(variants: Variants) -> Iterator[TargetAnswer]:
    """Compare variants whose runs differ only in the target: RGB in one, chroma in the other."""
    for rgb, chroma in itertools.permutations(variants.all, 2):
        one, other = rgb.first.config, chroma.first.config
        # Seeds are averaged; the source of the images may be written in different ways.
        data = one.data.model_copy(update={"source": other.data.source})
        same = {"target": other.target, "seed": other.seed, "data": data}
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
            # Colorfulness is best where it equals that of the true images.
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


def _overfitting(variants: Variants) -> list[tuple[str, int, int]]:
    """Return the variants whose best epoch is in the first half of the training.

    Returns:
        For each such variant its name, its best epoch and its number of epochs. If its runs differ,
        these are the latest best epoch and the smallest number of epochs.
    """
    found = []
    for each in variants.all:
        best = max(run.result["best_epoch"] for run in each.runs)
        epochs = min(run.result["epochs"] for run in each.runs)
        if best <= epochs // 2:
            found.append((each.label, best, epochs))
    return found


def comparison_part(variants: Variants, answer: ColorAnswer, images: RunImages) -> Part:
    """Return the part of the report that compares all variants in a table and in pictures.

    Args:
        variants: Runs that color gray images, sorted into variants.
        answer: Comparison of these variants.
        images: Loads the test images and the networks.
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
    # Without images only the pictures are missing: the numbers are in the run directories.
    try:
        pictures = color_pictures(variants, images)
    except InputError as error:
        missing = str(error)
    sizes = {run.result["images"]["validation"] for each in variants.all for run in each.runs}
    context = {
        "answer": answer,
        "pictures": pictures,
        "missing_pictures": missing,
        "left_out": variants.left_out,
        "same_validation": len(sizes) == 1,
        "comparison": rows,
        "overfitting": _overfitting(variants),
        "targets": [
            (target, [(name, *pair) for name, pair in target.means.items()])
            for target in answer.targets
        ],
        "metrics": {name: metric.heading for name, metric in METRICS.items()},
    }
    return Part("colorization", context)


def ideas_part(answer: ColorAnswer) -> Part:
    """Return the part of the report about the effects of ideas on the base's test error."""
    tables = {
        name: [
            (
                label,
                *(each - 1 for each in (idea.ratio.estimate, idea.ratio.low, idea.ratio.high)),
                idea.verdict,
                idea.ratio.n,
                idea.more_seeds,
            )
            for label, idea in contrasts.items()
        ]
        for name, contrasts in (("ideas", answer.ideas), ("smaller", answer.smaller))
    }
    return Part("ideas", {"answer": answer, **tables})


def color_pictures(variants: Variants, images: RunImages) -> dict[str, ImageRows]:
    """Return pictures of test images that networks colored.

    Args:
        variants: Runs that color gray images, sorted into variants.
        images: Loads the test images and the networks.

    Returns:
        ``predicted`` has the outputs of the best variant, ``colors`` the outputs of up to ``ROWS``
        variants, and ``planes`` the true and the predicted chroma planes of the best variant.

    Raises:
        InputError: The images cannot be loaded, or weights or errors of a run are damaged.
    """
    best = variants.best.first
    # Evenly spaced among the test images, so that the choice does not depend on any result.
    chosen = evenly_spaced(IMAGES, len(images.part(best)))
    made = {each.label: images.pictures(each.first, chosen) for each in variants.ranking[:ROWS]}
    first = made[variants.best.label]
    found, true = (chroma_planes(first[name]) for name in ("estimate", "target"))
    colored = {label: pictures["estimate"] for label, pictures in made.items()}
    # Outputs stand between the network's input, the first row, and the true images, the last row.
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
        The pictures of Cb and the pictures of Cr, both of the same shape as ``images``.
    """
    space: ColorSpace = SPACES["ycbcr"]
    chroma, gray = space.chroma(images), np.full_like(images[:, :1], 0.5)
    # Middle gray has no color of its own, so that only the plane gives color to the picture.
    cb, cr = (chroma * one for one in np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1))
    return merge(gray, cb, space), merge(gray, cr, space)
