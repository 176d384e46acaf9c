"""Lessons of exercise 3: RGB or chroma, and what one would try next."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from caelab.metrics.image_metrics import METRICS, Metric
from caelab.metrics.statistics import mean_interval
from caelab.report.document import Cell, Part
from caelab.report.run_reader import FinishedRun, over_seeds

Group = Sequence[FinishedRun]
"""Runs that differ in their seed alone."""


def lesson_part(groups: Sequence[Group]) -> Part:
    """Return the part with the lessons of runs that color gray images.

    Args:
        groups: Groups of runs; at least one.
    """
    best = min(groups, key=lambda group: float(group[0].result["validation_mse"]))
    run, last = best[0], best[0].epochs[-1]
    before = run.epochs[-2]["validation_mse"] if len(run.epochs) > 1 else last["validation_mse"]
    test = run.result["test"]
    truth, found = test.get("true_colorfulness"), test.get("colorfulness")
    return Part(
        "colorization_lessons",
        {
            "pairs": [compare_targets(rgb, chroma) for rgb, chroma in _pairs(groups)],
            # Augmentation and dropout raise the training error, but not the validation error.
            "overfit": last["validation_mse"] / last["train_mse"] if last["train_mse"] else 1.0,
            "last_gain": 1 - last["validation_mse"] / before,
            "colorfulness": found / truth if truth and found else None,
            "mse": over_seeds(best).estimate,
            "gray": run.result["baselines"].get("gray copy", {}).get("mse"),
            "variants": len(groups),
            "one_seed": sum(len(group) == 1 for group in groups),
        },
        level=2,
    )


def _pairs(groups: Sequence[Group]) -> Iterator[tuple[Group, Group]]:
    """Find groups that differ in what the network predicts, and in nothing else."""
    for rgb in groups:
        for chroma in groups:
            one, other = rgb[0].config, chroma[0].config
            if one.target.kind == "rgb" and other.target.kind == "chroma":
                same = {"target": other.target, "seed": other.seed, "data": other.data}
                if one.model_copy(update=same) == other and rgb[0].images == chroma[0].images:
                    yield rgb, chroma


def compare_targets(rgb: Group, chroma: Group) -> dict[str, Any]:
    """Compare a network that predicts RGB with the same network that predicts chroma.

    Args:
        rgb: Runs that predict RGB.
        chroma: Runs that predict chroma.

    Returns:
        What the template says of them: ``rows`` of metrics, and by which of these each is better.
    """
    first = rgb[0]
    rows: list[tuple[Cell, ...]] = []
    better: list[Metric] = []
    worse: list[Metric] = []
    for name, metric in METRICS.items():
        means = (_mean(rgb, name), _mean(chroma, name))
        gain = _gain(metric, *means, first.result["test"].get(f"true_{name}"))
        if gain is not None and math.isfinite(gain):
            (better if gain > 0 else worse).append(metric)
            rows.append((metric.heading, *means, metric.better))
    description = first.description
    return {
        "network": first.config.network_name,
        "images": first.result["test"]["n"],
        "seeds": (len(rgb), len(chroma)),
        "rows": rows,
        "better": [metric.title for metric in better],
        "worse": [metric.title for metric in worse],
        "bottleneck": description.code is not None and not description.skip_around_code,
        "worse_in_color_alone": all(metric.color for metric in worse),
    }


def _mean(group: Group, metric: str) -> float:
    """Return a mean over seeds; NaN where a run does not state the metric."""
    return mean_interval(run.result["test"].get(metric, math.nan) for run in group).estimate


def _gain(metric: Metric, rgb: float, chroma: float, truth: float | None) -> float | None:
    """Return how much better the second mean is; ``None`` without a truth."""
    if metric.better == "nearer":
        return None if truth is None else abs(rgb - truth) - abs(chroma - truth)
    return rgb - chroma if metric.better == "lower" else chroma - rgb
