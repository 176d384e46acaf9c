"""Exercise 3: runs that color gray images, compared in numbers and pictures."""

import itertools
from collections.abc import Iterator, Mapping
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

COLUMNS = ("mse", "psnr", "mae", "chroma_mse", "ciede2000", "accuracy2", "accuracy5")
"""Metrics of the table besides colorfulness, in the order of its columns."""

IMAGES = 10
"""Number of test images in a strip."""

ROWS = 6
"""Largest number of variants in a strip: the best by validation."""

SMALLER = 0.5
"""A network with a smaller share of the base's weights is no idea on it, but another network."""


@dataclass(frozen=True, kw_only=True)
class Colorizer:
    """What a variant's name stands for.

    Attributes:
        label: Name of the variant.
        network: Name of the network, or the beginning of its text.
        text: Text of the network.
        found_as: Name of the network in the study of architectures that found it best; empty for
            other networks.
        options: Options in which it differs from the base; those of the base from the defaults.
    """

    label: str
    network: str
    text: str
    found_as: str
    options: str


@dataclass(frozen=True, kw_only=True)
class BaselineAhead:
    """A metric by which a baseline is better than every network.

    Attributes:
        metric: Title of the metric.
        baseline: Name of the baseline.
        value: Its mean over images.
        network: Mean over images of the network that is best by this metric.
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
        colorizers: What the names of the variants stand for, the base first.
        baselines: Mean metrics of the gray input itself, and of one color in all pixels.
        strongest: Name of the best baseline by metric: ``mse`` and ``ciede2000``.
        ahead: Metrics by which a baseline is better than every network.
        targets: Comparison of RGB and chroma for every network that was trained with both.
        ideas: Test error of each other variant as a multiple of the base's, the best first.
        smaller: Such multiples for networks with a smaller share of its weights than ``SMALLER``.
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
    ideas: dict[str, Contrast]
    smaller: dict[str, Contrast]


def answer_colors(variants: Variants, found: Mapping[str, str] | None = None) -> ColorAnswer:
    """Compare colorizing runs.

    Args:
        variants: The runs, sorted into variants.
        found: Names of the networks that studies of architectures found best, by text.
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
        # A metric that was not measured is NaN, which is larger than nothing.
        if best and values[best] > network:
            yield BaselineAhead(
                metric=metric.title,
                baseline=best,
                value=sign * values[best],
                network=sign * network,
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


def _overfitting(variants: Variants) -> list[tuple[str, int, int]]:
    """Return names, best epochs and epochs of variants that are best in the first half."""
    found = []
    for each in variants.all:
        best = max(run.result["best_epoch"] for run in each.runs)
        epochs = min(run.result["epochs"] for run in each.runs)
        if best <= epochs // 2:
            found.append((each.label, best, epochs))
    return found


def comparison_part(variants: Variants, answer: ColorAnswer, images: RunImages) -> Part:
    """Return the part with all colorizers in one table, and pictures.

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
        "same_validation": len(alike) == 1,
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
    """Return the part about what changes the base's error."""
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
