"""Exercise 3: RGB or chroma, and what one would try next, each sentence on a condition that the
runs must meet.
"""

from collections.abc import Iterator, Sequence

from caelab.metrics.image_metrics import METRICS
from caelab.metrics.statistics import mean_interval
from caelab.report.document import Block, Column, Paragraph, Section, Table
from caelab.report.run_reader import FinishedRun, over_seeds
from caelab.report.sentences import significant

OVERFIT = 1.1
"""Validation over training error from which a network has learnt its training images by heart."""

STILL_FALLING = 0.005
"""Share by which the last epoch lowered the validation error, from which more epochs are worth a
try."""

PALE = 0.8
"""Share of the truth's colorfulness below which images are called pale."""

Group = Sequence[FinishedRun]


def lesson_sections(groups: Sequence[Group]) -> list[Section]:
    """Return what is learnt of runs that were given gray images.

    Args:
        groups: Runs that differ in their seed alone; at least one.
    """
    sections = []
    pairs = list(_pairs(groups))
    if pairs:
        blocks = [block for rgb, chroma in pairs for block in _rgb_or_chroma(rgb, chroma)]
        sections.append(
            Section(title="RGB, or chroma merged with the given luminance?", blocks=blocks)
        )
    best = min(groups, key=lambda group: float(group[0].result["validation_mse"]))
    next_steps = [Paragraph(text) for text in _next_steps(best, groups)]
    sections.append(Section(title="What one would try next, and why", blocks=next_steps))
    return sections


def _pairs(groups: Sequence[Group]) -> Iterator[tuple[Group, Group]]:
    """Groups that differ in what the network predicts, and in nothing else."""
    for rgb in groups:
        for chroma in groups:
            told, other = rgb[0].config, chroma[0].config
            if told.target.kind == "rgb" and other.target.kind == "chroma":
                same = {"target": other.target, "seed": other.seed, "data": other.data}
                if told.model_copy(update=same) == other and rgb[0].images == chroma[0].images:
                    yield rgb, chroma


def _rgb_or_chroma(rgb: Group, chroma: Group) -> list[Block]:
    rows: list[tuple[str, float, float, str]] = []
    better: list[str] = []
    worse: list[str] = []
    for name, metric in METRICS.items():
        values = [
            mean_interval(run.result["test"].get(name) or 0.0 for run in group).estimate
            for group in (rgb, chroma)
        ]
        if name not in rgb[0].result["test"] or name not in chroma[0].result["test"]:
            continue
        first, second = values
        if metric.better == "nearer":
            truth = rgb[0].result["test"].get(f"true_{name}")
            if truth is None:
                continue
            gains = abs(first - truth) - abs(second - truth)
        else:
            gains = (first - second) * (1 if metric.better == "lower" else -1)
        (better if gains > 0 else worse).append(name)
        rows.append(
            (
                f"{metric.title}{f', {metric.unit}' if metric.unit else ''}",
                first,
                second,
                metric.better,
            )
        )
    table = Table(
        columns=(
            Column("", align="left"),
            Column("RGB", ".5g"),
            Column("chroma", ".5g"),
            Column("better is"),
        ),
        rows=rows,
        caption=(
            f"The network {rgb[0].config.network_name} with either prediction, means over"
            f" {rgb[0].result['test']['n']:,} test images and n = {len(rgb)} and {len(chroma)}"
            " seeds."
        ),
    )
    return [*map(Paragraph, write_rgb_or_chroma(rgb, better, worse)), table]


def write_rgb_or_chroma(rgb: Group, better: Sequence[str], worse: Sequence[str]) -> Iterator[str]:
    """Return what is to be said of the metrics in which chroma is better than RGB, and of those in
    which it is not.
    """
    if not worse:
        yield "Chroma merged with the given luminance is better in every metric."
    elif not better:
        yield (
            "RGB is better in every metric, although it has to find the luminance that it was"
            " given."
        )
    else:
        titles = [", ".join(METRICS[name].title for name in names) for names in (better, worse)]
        yield f"Chroma is better in {titles[0]}; RGB is better, or no worse, in {titles[1]}."
    if (
        rgb[0].description.code is not None
        and not rgb[0].description.skip_around_code
        and not worse
    ):
        yield (
            "With chroma the luminance is copied, so that all of the error is one of color; a"
            " network that predicts RGB has to pass the luminance through its bottleneck and loses"
            " detail there."
        )
    elif better and worse and all(METRICS[name].color for name in worse):
        yield (
            "What RGB does no worse is of color alone, which both networks have to guess from the"
            " same gray: merging saves the luminance, but finds no better colors."
        )


def _next_steps(best: Group, groups: Sequence[Group]) -> Iterator[str]:
    run = best[0]
    last = run.epochs[-1]
    # Both are of images; training is measured under augmentation and dropout, hence a cautious
    # threshold.
    gap = last["validation_mse"] / last["train_mse"] if last["train_mse"] else 1.0
    if gap > OVERFIT:
        yield (
            f"At its end the validation error of the best network is {significant(gap)} times its"
            " training error: it generalises worse than it fits. More varied training images,"
            " dropout or a smaller network come first."
        )
    if len(run.epochs) > 1:
        fell = 1 - last["validation_mse"] / run.epochs[-2]["validation_mse"]
        if fell > STILL_FALLING:
            yield (
                "Its last epoch still lowered the validation error by"
                f" {significant(fell * 100, 2)}%: a longer training is worth its time."
            )
    test = run.result["test"]
    truth, found = test.get("true_colorfulness"), test.get("colorfulness")
    if truth and found and found < PALE * truth:
        yield (
            f"Its images have {found / truth:.0%} of the truth's colorfulness. Where several colors"
            " are plausible, the squared error rewards their mean, which is pale: a distribution"
            " over quantised colors, sampled or sharpened, would be more colorful, at the price of"
            " a larger squared error where the guess is wrong."
        )
    gray = run.result["baselines"].get("gray copy", {}).get("mse")
    if gray and over_seeds(best).estimate >= gray:
        yield (
            "Its error is no smaller than that of the gray image itself: it has learnt no color"
            " that one could rely on. More training comes before any idea."
        )
    single = sum(len(group) == 1 for group in groups)
    if single and len(groups) > 1:
        yield (
            f"{single} of {len(groups)} variants have one seed: before an effect is believed, it"
            " takes more seeds (`caelab lab --budget full` has three)."
        )
    if max(len(group) for group in groups) > 1 and not single:
        yield (
            "Every variant has several seeds: what the intervals leave open takes more of them, or"
            " larger changes."
        )
