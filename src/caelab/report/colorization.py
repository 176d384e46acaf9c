"""Exercise 3: runs that color gray images, compared in numbers and pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from caelab.color import SPACES, ColorSpace, merge
from caelab.data.image_set import evenly_spaced
from caelab.metrics.statistics import Effect
from caelab.report.document import Cell, ImageRows, Part
from caelab.report.run_differences import Variant, Variants, network_name, options_in_words
from caelab.report.run_images import RunImages

METRICS = (
    "mse",
    "psnr_of_mean",
    "mae",
    "chroma_mse",
    "ciede2000",
    "accuracy2",
    "accuracy5",
    "colorfulness",
)
"""Metrics of the table, in the order of its columns; each a mean over the test images."""

CHANGES = ("mse", "chroma_mse", "ciede2000")
"""Metrics whose change each idea is judged by: errors, of which less is better."""

IMAGES = 10
"""Number of test images in a strip."""

ROWS = 6
"""Largest number of variants in a strip: the best by validation."""


def comparison_part(variants: Variants) -> Part:
    """Return the part with all colorizers in one table, and what each idea changes.

    Args:
        variants: Colorizing runs, sorted.
    """
    base = variants.base.first
    baselines: dict[str, dict[str, float]] = base.result["baselines"]
    unknown = [None] * (len(METRICS) + 1)
    ideas = [
        (each.label, [each.effect(variants.base, metric) for metric in CHANGES])
        for each in variants.all[1:]
    ]
    ideas.sort(key=lambda idea: idea[1][0].ratio.estimate)
    return Part(
        "colorization",
        {
            "variants": variants,
            "network": network_name(base),
            "options": options_in_words(base),
            "mse": variants.best.mean("mse"),
            "comparison": [
                *map(_means, sorted(variants.all, key=lambda each: each.mean("mse").estimate)),
                *(
                    (name, None, None, *(values.get(metric) for metric in METRICS))
                    for name, values in baselines.items()
                ),
                ("the truth", *unknown, base.result["test"].get("true_colorfulness")),
            ],
            "ideas": [_changes(label, effects) for label, effects in ideas],
            "verdicts": judge_ideas([(label, effects[0]) for label, effects in ideas]),
        },
    )


def _means(variant: Variant) -> tuple[Cell, ...]:
    means = (variant.mean(metric).estimate for metric in METRICS)
    return (variant.label, len(variant.runs), variant.first.description.weights, *means)


def _changes(label: str, effects: Sequence[Effect]) -> tuple[Cell, ...]:
    mse, *others = (effect.ratio for effect in effects)
    changes = [mse.estimate, mse.low, mse.high, *(ratio.estimate for ratio in others)]
    paired = "" if effects[0].paired else ", not paired"
    return (label, f"{min(effects[0].seeds)}{paired}", *(change - 1 for change in changes))


def judge_ideas(ideas: Sequence[tuple[str, Effect]]) -> dict[str, list[str]]:
    """Sort ideas by what the interval of the MSE says of them."""
    sides = ("undetermined", "raise", "lower")
    verdicts: dict[str, list[str]] = {name: [] for name in (*sides, "one_seed")}
    for label, effect in ideas:
        verdict = "one_seed" if effect.ratio.undetermined else sides[effect.ratio.side(1.0)]
        verdicts[verdict].append(label)
    return verdicts


def picture_part(variants: Variants, images: RunImages) -> Part:
    """Return the part with the same test images colored by several networks.

    Raises:
        InputError: The images cannot be had, or weights or errors of a run are damaged.
    """
    best, other = variants.best, _other(variants)
    chosen = evenly_spaced(IMAGES, len(images.part(best.first)))
    shown = sorted(variants.all, key=_validation_error)[:ROWS]
    pictures = images.pictures(best.first, chosen)
    found, true = (chroma_planes(pictures[name]) for name in ("estimate", "target"))
    planes = {
        "truth": pictures["target"],
        "true Cb": true[0],
        "Cb found": found[0],
        "true Cr": true[1],
        "Cr found": found[1],
    }
    context: dict[str, Any] = {
        "best": best.label,
        "other": other.label if other else None,
        "seed": best.first.config.seed,
        "count": len(chosen),
        "colors": _strip("colors", shown, chosen, images),
        "planes": ImageRows("chroma-planes", planes),
    }
    if other:
        gains = other.first.measures["mse"] - best.first.measures["mse"]
        order = np.argsort(gains)
        count = max(1, min(IMAGES, len(order) // 2))
        wins, losses = order[: -count - 1 : -1].copy(), order[:count]
        context |= {
            "images": len(gains),
            "nearer": float((gains > 0).mean()),
            "wins": _strip("color-wins", [other, best], wins, images),
            "losses": _strip("color-losses", [other, best], losses, images),
        }
    return Part("colored_pictures", context, level=2)


def _other(variants: Variants) -> Variant | None:
    """Return what the best is compared with: the base, or the second best if that is the best."""
    others = sorted(
        (each for each in variants.all if each is not variants.best), key=_validation_error
    )
    return variants.base if variants.base in others else next(iter(others), None)


def _validation_error(variant: Variant) -> float:
    """Return the error of the run whose pictures are shown."""
    return float(variant.first.result["validation_mse"])


def _strip(name: str, shown: Sequence[Variant], chosen: np.ndarray, images: RunImages) -> ImageRows:
    pictures = [images.pictures(each.first, chosen) for each in shown]
    estimates = {each.label: made["estimate"] for each, made in zip(shown, pictures, strict=True)}
    gray, truth = pictures[0]["degraded"], pictures[0]["target"]
    return ImageRows(name, {"gray": gray, **estimates, "truth": truth})


def chroma_planes(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Cb and Cr of RGB images as pictures, each plane alone on a mid gray.

    Args:
        images: ``float32 (K, 3, H, W)`` in [0, 1].

    Returns:
        Two arrays of the same shape.
    """
    space: ColorSpace = SPACES["ycbcr"]
    chroma, gray = space.chroma(images), np.full_like(images[:, :1], 0.5)
    cb, cr = (chroma * one for one in np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1))
    return merge(gray, cb, space), merge(gray, cr, space)
