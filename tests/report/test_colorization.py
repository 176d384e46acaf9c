import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caelab.experiments.config import RunConfig
from caelab.experiments.run import run
from caelab.metrics.ambiguity import Ambiguity, AmbiguityBin
from caelab.metrics.colorization_shortcomings import (
    Bleeding,
    ChromaError,
    ClassError,
    ColorfulnessKept,
    InventedColor,
    ShiftedError,
)
from caelab.metrics.statistics import Interval, effect
from caelab.report.colorization import chroma_planes, comparison_part, judge_ideas, picture_part
from caelab.report.colorization_lessons import lesson_part
from caelab.report.document import Part
from caelab.report.render_markdown import escape, render_markdown
from caelab.report.report import write_report
from caelab.report.restoration import restoration_part
from caelab.report.run_differences import find_variants
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun, read_run
from caelab.report.several_colors import TEMPERATURES, several_colors_part
from caelab.report.shortcomings import Shortcomings, measure_shortcomings, shortcoming_part

Train = Callable[..., Path]
Say = Callable[[Part], str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Train:
    """Train a run of a second; the same options give the same directory."""
    runs = tmp_path_factory.mktemp("runs")

    def train(**options: Any) -> Path:
        usual: dict[str, Any] = {
            "network": "conv4 pool conv4 up conv3",
            "data": str(pictures),
            "size": 16,
            "batch_size": 16,
            "epochs": 1,
        }
        return run(RunConfig().replace(**{**usual, **options}), runs=runs).path

    return train


def read(*paths: Path) -> list[FinishedRun]:
    return [read_run(path) for path in paths]


def test_colorizers_are_compared_with_the_base(trained: Train) -> None:
    chroma = read(*(trained(degradation="gray", target="chroma", seed=seed) for seed in (0, 1)))
    flips = read(
        *(trained(degradation="gray", target="chroma", flip=True, seed=seed) for seed in (0, 1))
    )
    (rgb,) = read(trained(degradation="gray"))
    variants, images = find_variants([*chroma, *flips, rgb]), RunImages()
    context = comparison_part(variants).context
    rows = {row[0]: row for row in context["comparison"]}
    assert rows.keys() == {"base", "flip", "target rgb", "gray copy", "mean chroma", "the truth"}
    assert rows["base"][1] == 2
    assert rows["base"][3] == pytest.approx(np.mean([run.mse for run in chroma]))
    assert rows["gray copy"][3] == pytest.approx(rgb.result["baselines"]["gray copy"]["mse"])
    ideas = {row[0]: row for row in context["ideas"]}
    assert ideas.keys() == {"flip", "target rgb"}
    ratio = math.prod(run.mse for run in flips) / math.prod(run.mse for run in chroma)
    assert ideas["flip"][2] == pytest.approx(math.sqrt(ratio) - 1)
    assert math.isnan(ideas["target rgb"][3])
    changes = [row[2] for row in context["ideas"]]
    assert changes == sorted(changes)
    assert context["verdicts"]["one_seed"] == ["target rgb"]
    assert sum(map(len, context["verdicts"].values())) == 2

    document = render_markdown(
        [
            comparison_part(variants),
            picture_part(variants, images),
            shortcoming_part(measure_shortcomings(variants.best.first, images), "base"),
        ]
    )
    assert set(document.pictures) == {
        "colors.png",
        "color-wins.png",
        "color-losses.png",
        "chroma-planes.png",
    }
    tables = {table["name"]: table["rows"] for table in document.tables}
    assert sorted(row[0] for row in tables["by_class"]) == ["even", "odd"]
    assert tables["by_ambiguity"]


@pytest.mark.parametrize(
    ("ratios", "verdicts"),
    [
        ((0.5, 0.51, 0.49), "lower"),
        ((2.0, 2.1, 1.9), "raise"),
        ((0.5, 2.0, 1.0), "undetermined"),
        ((0.5,), "one_seed"),
    ],
)
def test_an_idea_is_judged_by_its_interval(ratios: Sequence[float], verdicts: str) -> None:
    changed = effect(dict(enumerate(ratios)), dict.fromkeys(range(len(ratios)), 1.0))
    found = judge_ideas([("idea", changed)])
    assert [name for name, labels in found.items() if labels] == [verdicts]


def test_other_numbers_of_training_and_validation_images_are_said(
    trained: Train, tmp_path: Path
) -> None:
    usual, more = (
        trained(degradation="gray", target="chroma", seed=2, **option)
        for option in ({}, {"val_size": 3})
    )
    write_report([usual, more], out=tmp_path)
    said = (tmp_path / "report.md").read_text()
    counts = [read_run(path).result["images"] for path in (usual, more)]
    few, many = (each["train"] for each in counts)
    assert f"| training images | {few} to {many}, not the same for all networks |" in said
    assert f"| test images | {counts[0]['test']} |" in said
    assert "(Not all have the same validation images.)" in said
    write_report([usual], out=tmp_path)
    said = (tmp_path / "report.md").read_text()
    assert f"| training images | {few} |" in said
    assert "same validation images" not in said


def lessons(**changed: Any) -> Part:
    usual = {
        "pairs": [],
        "overfit": 1.0,
        "last_gain": 0.0,
        "colorfulness": 0.9,
        "mse": 0.01,
        "gray": 0.02,
        "variants": 2,
        "one_seed": 0,
    }
    return Part("colorization_lessons", {**usual, **changed})


def pair(**changed: Any) -> dict[str, Any]:
    usual = {
        "network": "conv3",
        "images": 10,
        "seeds": (1, 1),
        "rows": [("MSE", 1.0, 2.0, "lower")],
        "better": ["MSE"],
        "worse": [],
        "bottleneck": True,
        "worse_in_color_alone": False,
    }
    return {**usual, **changed}


def test_why_rgb_is_better_or_worse_is_said_only_where_it_is_so(say: Say) -> None:
    def text(**changed: Any) -> str:
        return say(lessons(pairs=[pair(**changed)]))

    assert "better in every metric" in text()
    assert "through its bottleneck" in text()
    assert "through its bottleneck" not in text(bottleneck=False)
    mixed = text(worse=["chroma MSE"], worse_in_color_alone=True)
    assert "Chroma is better in MSE; RGB is better, or no worse, in chroma MSE." in mixed
    assert "finds no better colors" in mixed
    assert "through its bottleneck" not in mixed
    assert "finds no better colors" not in text(worse=["PSNR", "chroma MSE"])
    assert "RGB is better in every metric" in text(better=[], worse=["MSE"])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"overfit": 1.2}, "1.20 times its training error"),
        ({"last_gain": 0.01}, "by 1.0%"),
        ({"colorfulness": 0.5}, "50% of the true colorfulness"),
        ({"gray": 0.005}, "no smaller than that of the gray image"),
        ({"one_seed": 1}, "1 of 2 variants have one seed"),
    ],
)
def test_what_to_try_next_follows_the_numbers(
    say: Say, changed: dict[str, Any], sentence: str
) -> None:
    assert sentence in say(lessons(**changed))
    assert sentence not in say(lessons())
    assert "Every variant has several seeds" in say(lessons())


def test_targets_are_compared_metric_by_metric(trained: Train) -> None:
    rgb, chroma = (read(trained(degradation="gray", target=each)) for each in ("rgb", "chroma"))
    (compared,) = lesson_part([rgb, chroma]).context["pairs"]
    rows = {row[0]: row[1:] for row in compared["rows"]}
    first, second = (group[0].result["test"] for group in (rgb, chroma))
    assert rows["chroma MSE"] == (first["chroma_mse"], second["chroma_mse"], "lower")
    assert len(compared["better"]) + len(compared["worse"]) == len(rows)
    assert ("PSNR" in compared["better"]) == (second["psnr"] > first["psnr"])
    assert not lesson_part([rgb, rgb]).context["pairs"]


def test_several_plausible_colors_are_measured_and_shown(trained: Train, say: Say) -> None:
    (run,) = read(
        trained(
            degradation="gray",
            target="bins",
            color_space="lab",
            loss="cross_entropy",
            network="conv4 conv3",
        )
    )
    part = several_colors_part(run, RunImages(), "base")
    rows = part.context["temperatures"]
    answer = next(row for row in rows if row[0] == "single answer")
    assert answer[1] == pytest.approx(run.mse, rel=1e-5)
    assert rows[-1][-1] == pytest.approx(run.result["test"]["true_colorfulness"], rel=1e-5)
    for row in rows[: len(TEMPERATURES)]:
        assert row[1] > row[2] > row[3] > row[4]  # of more variants the best is better
        assert row[1] == pytest.approx(
            row[5] + row[6] * 3 / 8, rel=1e-5
        )  # error = that of the mean + variance
        assert row[6] > 0
    assert "variant 1" in part.context["strip"].rows

    def text(diversity: float) -> str:
        own = {"diversity": diversity, "best_of_1_mse": 0.8}
        return say(Part("several_colors", {**part.context, "own": own, "nearer": 0.25}))

    assert "for 25% of 12 test images" in text(0.4)
    assert "50% of the difference" in text(0.4)
    assert "is surer than" in text(0.4)
    assert "is as sure as" in text(0.8)
    assert "is less sure than" in text(1.2)


def test_what_cannot_be_shown_is_said(trained: Train, tmp_path: Path) -> None:
    other, *usual = (
        trained(degradation="gray", target="chroma", **changed)
        for changed in ({"split_seed": 1}, {"seed": 0}, {"seed": 1})
    )
    assert find_variants(read(other, *usual)).left_out == (
        f"{other.name} was measured on other test images.",
    )
    write_report([*usual, other], out=tmp_path, data="photos")  # these are other images
    text = (tmp_path / "report.md").read_text()
    assert f"> **Missing:** {escape(other.name)} was measured on other test images." in text
    assert text.count("> **Missing:** This part is missing: the images at") == 2
    assert "\n## What is missing\n" in text


def test_variants_are_named_by_what_they_change(trained: Train) -> None:
    runs = [
        trained(degradation="gray", target="chroma"),
        trained(degradation="gray", target="chroma", color_space="lab", ema_decay=0.9),
        trained(degradation="gray", target="chroma", network="conv5 conv3"),
        trained(degradation="gray", target="chroma", seed=1),
    ]
    variants = find_variants([read_run(path) for path in runs])
    assert [(each.label, len(each.runs)) for each in variants.all] == [
        ("base", 2),
        ("color space lab, ema decay 0.9", 1),
        ("conv5 conv3", 1),
    ]
    assert variants.base.effect(variants.base, "mse").ratio.estimate == 1
    assert variants.base.by_seed("no such metric") == {}

    named = find_variants(
        [read_run(path) for path in runs], {runs[0].name: "U-Net", runs[1].name: "U-Net, Lab"}
    )
    assert [each.label for each in named.all] == ["U-Net", "U-Net, Lab", "conv5 conv3"]


def test_restoration_is_compared_with_classical_methods_on_the_same_images(
    trained: Train, say: Say
) -> None:
    runs = read(
        *(trained(degradation="downscale2", network="conv4 conv3", seed=seed) for seed in (0, 1))
    )
    part = restoration_part(runs, RunImages(), {})
    assert not part.context["problems"]
    rows = part.context["methods"]
    methods = [row[1].split(",")[0] for row in rows]
    assert methods[:2] == ["the network conv4 conv3", "as given"]
    assert set(methods[2:]) == {"Lanczos", "back-projection"}
    assert rows[0][2] == pytest.approx(np.mean([run.result["test"]["psnr"] for run in runs]))
    assert {row[-1] for row in rows} == {12}
    assert [strip.name for _, strip in part.context["strips"]] == ["restored-downscale2"]
    (found,) = part.context["found"]
    classical = found.baselines[found.best_classical]["psnr"]

    def text(low: float, gain: float, high: float, **changed: Any) -> str:
        low, estimate, high = (classical + each for each in (low, gain, high))
        psnr = Interval(low=low, estimate=estimate, high=high, n=3)
        other = dataclasses.replace(found, network={"psnr": psnr}, **changed)
        return say(Part("restoration", {**part.context, "found": [other]}))

    assert "5.0 dB above the best classical" in text(4, 5, 6)
    assert "5.0 dB below the best classical" in text(-6, -5, -4)
    assert "not to be distinguished from the best classical" in text(-1, 5, 11)
    assert "5.0 dB above the best classical" in text(math.nan, 5, math.nan)
    lone = {"as given": found.baselines["as given"]}
    assert "no classical method" in text(4, 5, 6, baselines=lone)
    named = restoration_part(runs, RunImages(), {runs[0].name: "Sharper"})
    assert named.context["methods"][0][1] == "Sharper"
    assert say(named).count("Sharper") == 2


def shortcomings(**changed: Any) -> Shortcomings:
    def mean(low: float, high: float) -> Interval:
        return Interval(low=low, estimate=(low + high) / 2, high=high, n=50)

    usual = Shortcomings(
        images=100,
        colorfulness=ColorfulnessKept(ratio=0.5, quartiles=(0.3, 0.45, 0.7), n=99),
        classes=(
            ClassError(name="frog", error=mean(3.0, 4.0)),
            ClassError(name="ship", error=mean(1.0, 2.0)),
        ),
        hues=(
            ChromaError(name="red", share=0.2, chroma_mse=0.01, kept=0.6),
            ChromaError(name="blue", share=0.1, chroma_mse=0.02, kept=-0.1),
            ChromaError(name="green", share=0.0001, chroma_mse=0.02, kept=-0.9),
        ),
        ambiguity=Ambiguity(
            bins=(
                AmbiguityBin(spread=0.001, error=0.002, n=9),
                AmbiguityBin(spread=0.01, error=0.008, n=9),
            ),
            spread=0.005,
            error=0.004,
            neighbors_error=0.006,
            rank_correlation=0.5,
            n=18,
            training=99,
        ),
        bleeding=Bleeding(
            edges=ChromaError(name="edges", share=0.1, chroma_mse=0.004, kept=0.3),
            flat=ChromaError(name="flat", share=0.6, chroma_mse=0.002, kept=0.1),
        ),
        shifts=(
            ShiftedError(scale=1, offset=0, chroma_mse=0.002, relative=0.6),
            ShiftedError(scale=0.8, offset=0, chroma_mse=0.003, relative=1.2),
        ),
        invented=InventedColor(chroma=0.02, colorfulness_share=0.4, n=3, of=100),
    )
    return dataclasses.replace(usual, **changed)


def test_sentences_follow_the_numbers(say: Say) -> None:
    text = say(shortcoming_part(shortcomings(), "base"))
    for fact in (
        "paler than the truth: 50%",
        "frog, 3.50 (95% interval 3.00 to 4.00; n = 50 images), is larger than for ship",
        "where it is red, 60%, and the smallest where it is blue, −10% (below zero",
        "80% of it",
        "grows with the ambiguity: from 0.00200 in the least ambiguous of 2 equal groups",
        "Colors run over edges",
        "2.0 times that of flat areas",
        "multiplied by 0.8 it leaves 120%, the most of the changes tried and more than no color",
        "The 3 of 100 test images that are gray in truth get a chroma of 0.0200, 40%",
    ):
        assert fact in text


def test_sentences_do_not_say_what_the_numbers_do_not(say: Say) -> None:
    usual = shortcomings()
    alike = tuple(
        ClassError(name=name, error=Interval(low=1, estimate=2, high=3, n=5))
        for name in ("frog", "ship")
    )
    changed = shortcomings(
        colorfulness=ColorfulnessKept(ratio=1.2, quartiles=(1.0, 1.1, 1.3), n=9),
        classes=alike,
        ambiguity=None,
        bleeding=Bleeding(
            edges=dataclasses.replace(usual.bleeding.edges, kept=0.8),
            flat=usual.bleeding.flat,
        ),
        shifts=(
            usual.shifts[0],
            ShiftedError(scale=1, offset=-0.1, chroma_mse=0.001, relative=0.5),
        ),
        invented=InventedColor(chroma=math.nan, colorfulness_share=math.nan, n=0, of=100),
    )
    text = say(shortcoming_part(changed, "base"))
    assert "more colorful than the truth" in text
    assert "may or may not be larger" in text
    assert "look alike" not in text
    assert "Most of a change of color at an edge is found" in text
    assert "does no harm" in text
    assert "lowered by 0.1" in text
    assert "None of 100 test images is gray" in text
    assert "nan" not in text


def test_pale_colors_do_not_run_over_edges(say: Say) -> None:
    found = shortcomings(
        bleeding=Bleeding(
            edges=ChromaError(name="edges", share=0.1, chroma_mse=0.002, kept=0.3),
            flat=ChromaError(name="flat", share=0.6, chroma_mse=0.003, kept=0.1),
        )
    )
    text = say(shortcoming_part(found, "base"))
    assert "run over edges" not in text
    assert "too little at edges" in text


def test_chroma_planes_are_shown_one_by_one() -> None:
    gray = np.full((1, 3, 2, 2), 0.3, np.float32)
    assert all(np.allclose(plane, 0.5) for plane in chroma_planes(gray))
    blue = np.broadcast_to(
        np.array([0.3, 0.3, 0.6], np.float32)[:, None, None], (1, 3, 2, 2)
    ).copy()
    of_blue, of_red = chroma_planes(blue)
    assert of_blue[0, 2].min() > 0.5 > of_red[0, 0].max()
