"""Exercise 3: colors for gray images. Runs side by side, what each idea does, pictures, and what is
still bad.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from caelab.data.pixels import evenly_spaced
from caelab.errors import InputError
from caelab.metrics.statistics import Effect, Interval
from caelab.report.document import Block, Code, Column, Note, Paragraph, Section, Table
from caelab.report.image_strips import chroma_planes, draw_strips
from caelab.report.run_differences import (
    BASE,
    Variant,
    Variants,
    find_variants,
    network_name,
    options_in_words,
)
from caelab.report.run_reader import is_colorization, read_measures, read_runs
from caelab.report.sentences import change_in_words, mean_in_words, significant
from caelab.report.several_colors import several_colors_section
from caelab.report.shortcoming_tables import percent
from caelab.report.shortcomings import shortcoming_section
from caelab.report.test_images import Album

METRICS = {
    "mse": Column(name="MSE", format=".5f"),
    "psnr_of_mean": Column(name="PSNR of it, dB", format=".2f"),
    "mae": Column(name="MAE, %", format=".2f"),
    "chroma_mse": Column(name="chroma MSE", format=".5f"),
    "ciede2000": Column(name="ΔE₀₀", format=".2f"),
    "accuracy2": Column(name="within 2%, %", format=".1f"),
    "accuracy5": Column(name="within 5%, %", format=".1f"),
    "colorfulness": Column(name="colorfulness", format=".1f"),
}
"""The metrics of the table, by name: means over the test images."""

CHANGES = ("mse", "chroma_mse", "ciede2000")
"""The metrics whose change is told of each idea: errors, less is better."""

IMAGES = 10
"""Test images in a strip."""

ROWS = 6
"""Variants in a strip, at most: the best by validation."""


def colorization_sections(
    runs: Sequence[Path], *, names: Mapping[str, str] | None = None, data: str | None = None
) -> list[Section]:
    """Return the sections about runs that were given gray images; runs of other tasks are passed
    over.

    Args:
        runs: Run directories.
        names: What runs are called, by the name of their folder.
        data: Where the images are, if not where the runs had them.
    """
    read, problems = read_runs(runs)
    colorizing = [run for run in read if is_colorization(run)]
    if not colorizing:
        problems.append("There is no finished run that gives colors to gray images.")
        return [
            Section(
                title="Colors for gray images", blocks=[Note(text, "missing") for text in problems]
            )
        ]
    variants = find_variants(colorizing, names)
    missing = [Note(text, "missing") for text in (*problems, *variants.left_out)]
    sections = [Section(title="Colors for gray images", blocks=[*missing, *_comparison(variants)])]
    if len(variants.all) > 1:
        sections.append(Section(title="What each idea does", blocks=list(_ideas(variants))))
    album = Album(data)
    best = variants.best
    try:
        sections.append(
            Section(title="The same images in color", blocks=list(_pictures(variants, album)))
        )
        sections.append(shortcoming_section(best.first, album, _called(best)))
        if several := [each for each in variants.all if each.first.config.target.kind == "bins"]:
            drawn = min(several, key=_validation_error)
            sections.append(several_colors_section(drawn.first, album, _called(drawn)))
    except InputError as error:
        note = Note(f"Pictures and shortcomings are missing: {error}", "missing")
        sections.append(Section(title="Pictures and shortcomings", blocks=[note]))
    return sections


# Side by side


def _comparison(variants: Variants) -> Iterable[Block]:
    first, best = variants.base.first, variants.best
    options = options_in_words(first)
    called = "" if variants.base.label == BASE else f"{variants.base.label}: "
    yield Paragraph(
        f"The base is {called}the network"
        f" {network_name(first)}{', with ' + options if options else ''}:"
    )
    yield Code(first.description.text)
    ranked = sorted(variants.all, key=lambda each: each.mean("mse").estimate)
    yield Table(
        columns=(
            Column("", align="left"),
            Column("seeds"),
            Column("weights", ","),
            *METRICS.values(),
        ),
        rows=[
            *(
                (each.label, len(each.runs), each.first.description.weights, *_numbers(each))
                for each in ranked
            ),
            *(
                (name, None, None, *(_number(told.get(metric)) for metric in METRICS))
                for name, told in first.result["baselines"].items()
            ),
            (
                "the truth",
                *[None] * (len(METRICS) + 1),
                _number(first.result["test"].get("true_colorfulness")),
            ),
        ],
        caption=_caption(variants),
    )
    yield Paragraph(_best(variants, best))


def _caption(variants: Variants) -> str:
    test = variants.base.first.result
    note = f" ({test['data_note']})" if test.get("data_note") else ""
    return (
        f"Means over {test['test']['n']:,} test images of {test.get('data', 'unnamed data')}{note}"
        " and over seeds. Below the networks, what looks at no more than the gray: the gray image"
        " itself, and one color everywhere. Within 2% and 5%: pixels that are so near the truth in"
        " each of L, a and b."
    )


def _best(variants: Variants, best: Variant) -> str:
    said = f"By validation {_called(best)} is best: test MSE {mean_in_words(best.mean('mse'))}."
    if (
        len(
            {run.result["images"]["validation"] for variant in variants.all for run in variant.runs}
        )
        > 1
    ):
        said += " (Not all have the same validation images.)"
    gray = variants.base.first.result["baselines"].get("gray copy", {}).get("mse")
    if not gray:
        return said
    ratio = best.mean("mse").estimate / gray
    verdict = f"That is {percent(ratio)} of the gray copy's, {significant(gray)}."
    return f"{said} {verdict if ratio < 1 else f'The gray copy, {significant(gray)}, is no worse.'}"


def _numbers(variant: Variant) -> list[float | None]:
    return [
        _number(variant.mean(metric).estimate if variant.by_seed(metric) else None)
        for metric in METRICS
    ]


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _called(variant: Variant) -> str:
    return "the base" if variant.label == BASE else variant.label


# What each idea does


def _ideas(variants: Variants) -> Iterable[Block]:
    base = variants.base
    ideas = [
        (each.label, [each.effect(base, metric) for metric in CHANGES]) for each in variants.all[1:]
    ]
    ideas.sort(key=lambda idea: idea[1][0].ratio.estimate)
    yield Table(
        columns=(
            Column(name="beside the base", align="left"),
            Column(name="seeds"),
            *(Column(name=METRICS[metric].name) for metric in CHANGES),
        ),
        rows=[
            (label, _seeds(effects[0]), *(_change(each.ratio) for each in effects))
            for label, effects in ideas
        ],
        caption=(
            "How much more or less than the base's: of geometric means over seeds, with 95%"
            " intervals (Student's t); below 0 is better. One seed has none."
        ),
    )
    ratios = [(label, effects[0].ratio) for label, effects in ideas]
    for side, verb in ((-1, "lowers the error"), (1, "raises the error")):
        certain = [label for label, ratio in ratios if ratio.side(1.0) == side]
        if certain:
            yield Paragraph(f"What {verb}, by the interval of the MSE: {'; '.join(certain)}.")
    single = [label for label, ratio in ratios if ratio.undetermined]
    covering = [label for label, ratio in ratios if not ratio.undetermined and not ratio.side(1.0)]
    if covering:
        yield Paragraph(f"Undetermined, as the interval covers 0: {'; '.join(covering)}.")
    if single:
        which = "everything here" if len(single) == len(ratios) else "; ".join(single)
        yield Paragraph(f"Undetermined, as one seed has no interval: {which}.")


def _seeds(effect: Effect) -> str:
    return f"{min(effect.seeds)}{'' if effect.paired else ', not paired'}"


def _change(ratio: Interval) -> str | None:
    if not np.isfinite(ratio.estimate):
        return None
    if ratio.undetermined:
        return f"{change_in_words(ratio.estimate)} (n = {ratio.n})"
    return (
        f"{change_in_words(ratio.estimate)} ({change_in_words(ratio.low)} to"
        f" {change_in_words(ratio.high)})"
    )


# Pictures


def _pictures(variants: Variants, album: Album) -> Iterable[Block]:
    best = variants.best
    count = len(album.test(best.first).pixels)
    shown = sorted(variants.all, key=_validation_error)[:ROWS]
    chosen = evenly_spaced(IMAGES, count)
    yield _strip(
        "colors", shown, chosen, album,
        f"The same {len(chosen)} test images, evenly spaced: given in gray, colored, and as they were.",
    )  # fmt: skip
    if other := _other(variants, best):
        yield from _wins_and_losses(best, other, album)
    pictures = album.pictures(best.first, chosen)
    (blue, red), (true_blue, true_red) = (
        chroma_planes(pictures[name]) for name in ("estimate", "target")
    )
    rows = {
        "truth": pictures["target"],
        "true Cb": true_blue,
        "Cb found": blue,
        "true Cr": true_red,
        "Cr found": red,
    }
    yield draw_strips(
        rows,
        caption=(
            f"The chroma planes that {_called(best)} finds, each alone on a mid gray, beside the"
            " true ones."
        ),
        alt=(
            f"Rows of {len(chosen)} small pictures: the truth, then the true and the found Cb,"
            " and Cr."
        ),
    ).picture("chroma-planes", "png")


def _other(variants: Variants, best: Variant) -> Variant | None:
    """Return whom the best is compared with: the base, or if that is the best itself, the second
    best.
    """
    others = [each for each in variants.all if each is not best]
    if not others or best is not variants.base:
        return variants.base if others else None
    return min(others, key=_validation_error)


def _validation_error(variant: Variant) -> float:
    """Return that of the run whose pictures are shown."""
    return float(variant.first.result["validation_mse"])


def _wins_and_losses(best: Variant, other: Variant, album: Album) -> Iterable[Block]:
    gains = read_measures(other.first)["mse"] - read_measures(best.first)["mse"]
    order = np.argsort(gains)
    count = max(1, min(IMAGES, len(order) // 2))
    share = float((gains > 0).mean())
    yield Paragraph(
        f"Image by image {_called(best)} is nearer to the truth than {_called(other)} for"
        f" {percent(share)} of {len(gains):,} test images (seed {best.first.config.seed})."
    )
    for name, chosen, verb in (
        ("wins", order[: -count - 1 : -1].copy(), "wins"),
        ("losses", order[:count], "loses"),
    ):
        text = (
            f"Where {_called(best)} {verb} most against {_called(other)}, by MSE, the largest"
            " difference first."
        )
        yield _strip(f"color-{name}", [other, best], chosen, album, text)


def _strip(
    name: str, shown: Sequence[Variant], chosen: np.ndarray, album: Album, caption: str
) -> Block:
    pictures = [album.pictures(each.first, chosen) for each in shown]
    rows = {"gray": pictures[0]["given"]}
    rows |= {each.label: made["estimate"] for each, made in zip(shown, pictures, strict=True)}
    rows["truth"] = pictures[0]["target"]
    alt = (
        f"Rows of {len(chosen)} small pictures: gray, {', '.join(each.label for each in shown)},"
        " and the truth."
    )
    return draw_strips(rows, caption=caption, alt=alt).picture(name, "png")
