import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

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
from caelab.metrics.statistics import Interval
from caelab.report.colorization import (
    answer_colors,
    chroma_planes,
    comparison_part,
    ideas_part,
)
from caelab.report.document import Part
from caelab.report.render_markdown import escape, render_markdown
from caelab.report.report import write_report
from caelab.report.restoration import restoration_part
from caelab.report.run_differences import find_variants
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun, read_run
from caelab.report.shortcomings import (
    Shortcomings,
    _class_colors,
    measure_shortcomings,
    shortcoming_part,
)

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
    answer = answer_colors(variants)
    assert answer.base == "base"
    mean = variants.best.mean("mse")
    assert (answer.mse.estimate, answer.mse.n) == (mean.estimate, mean.n)
    assert 0 < answer.mse.low < mean.estimate < answer.mse.high
    assert answer.baselines == rgb.result["baselines"]
    ratio = math.prod(run.mse for run in flips) / math.prod(run.mse for run in chroma)
    assert answer.ideas["flip"].ratio.estimate == pytest.approx(math.sqrt(ratio))
    changes = [idea.ratio.estimate for idea in answer.ideas.values()]
    assert changes == sorted(changes)

    known = {each.label: each for each in answer.colorizers}
    assert [known[label].options for label in ("flip", "target rgb")] == ["flip", "target rgb"]
    assert known["base"].options.startswith("size 16, degradation gray")
    for metric, name in answer.strongest.items():
        assert all(
            answer.baselines[name][metric] <= each[metric] for each in answer.baselines.values()
        )
    for lead in answer.ahead:
        assert lead.baseline in answer.baselines
    network = known["base"].text.replace("conv2", "conv3")
    tried = {"color classes": (), "labels": (), "brightness": (), "changed images": ("flip",)}
    assert answer.remedies == tried
    found = answer_colors(variants, {network: "the best"}).colorizers
    assert {each.found_as for each in found} == {"the best"}
    errors = {each.label: each.mse for each in found}
    assert errors["base"] == pytest.approx(np.mean([run.mse for run in chroma]))
    assert errors["target rgb"] == rgb.mse

    part = comparison_part(variants, answer, images)
    rows = {row[0]: row for row in part.context["comparison"]}
    assert rows.keys() == {"base", "flip", "target rgb", "gray copy", "mean chroma", "truth"}
    assert rows["base"][-1] == 2
    assert rows["base"][1] == pytest.approx(np.mean([run.mse for run in chroma]))
    shortcomings = shortcoming_part(measure_shortcomings(variants.best, images), answer)
    document = render_markdown([part, shortcomings, ideas_part(answer)])
    assert set(document.pictures) == {"colors.png", "chroma-planes.png"}
    tables = {table["name"]: table["rows"] for table in document.tables}
    assert sorted(row[0] for row in tables["by_class"]) == ["even", "odd"]
    assert len(tables["by_hue"]) == 12
    assert [row[0] for row in tables["ideas"]] == list(answer.ideas)


def test_a_baseline_that_beats_every_network_is_named(trained: Train) -> None:
    runs = read(*(trained(degradation="gray", target=each) for each in ("rgb", "chroma")))
    best = min(run.result["test"]["mae"] for run in runs)
    for each in runs:
        for name, change in (("gray copy", -0.1), ("mean chroma", 0.1)):
            each.result["baselines"][name]["mae"] = best + change
            each.result["baselines"][name]["accuracy2"] = -1.0  # percent: worse than anything
    ahead = {lead.metric: lead for lead in answer_colors(find_variants(runs)).ahead}
    assert ahead["mean absolute error"].baseline == "gray copy"
    assert ahead["mean absolute error"].value == pytest.approx(best - 0.1)
    assert ahead["mean absolute error"].network == best
    assert "pixels within 2%" not in ahead


def test_a_network_that_is_merely_smaller_is_no_idea(trained: Train) -> None:
    base, flips, small = read(
        trained(degradation="gray", target="chroma"),
        trained(degradation="gray", target="chroma", flip=True),
        trained(degradation="gray", target="chroma", network="conv1 conv3"),
    )
    answer = answer_colors(find_variants([base, flips, small]))
    assert [*answer.ideas] == ["flip"]
    assert [*answer.smaller] == ["conv1 conv3"]
    ratio = answer.smaller["conv1 conv3"].ratio.estimate
    assert ratio == pytest.approx(small.mse / base.mse)


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
    assert "Not all networks were chosen by the same validation images." in said
    write_report([usual], out=tmp_path)
    said = (tmp_path / "report.md").read_text()
    assert f"| training images | {few} |" in said
    assert "same validation images" not in said


def test_targets_are_compared_metric_by_metric(trained: Train, say: Say) -> None:
    rgb, chroma = read(*(trained(degradation="gray", target=each) for each in ("rgb", "chroma")))
    variants = find_variants([rgb, chroma])
    answer = answer_colors(variants)
    (target,) = answer.targets
    first, second = (run.result["test"] for run in (rgb, chroma))
    assert target.means["chroma_mse"] == (first["chroma_mse"], second["chroma_mse"])
    assert target.contrast.ratio.estimate == pytest.approx(chroma.mse / rgb.mse)
    assert len(target.better) + len(target.worse) == len(target.means)
    assert ("PSNR" in target.better) == (second["psnr"] > first["psnr"])
    assert not answer_colors(find_variants([rgb])).targets
    fewer = read(trained(degradation="gray", target="rgb", train_size=40))
    assert not answer_colors(find_variants([*fewer, chroma])).targets

    part = comparison_part(variants, answer, RunImages())

    def text(**changed: Any) -> str:
        targets = [(dataclasses.replace(target, **changed), [])]
        return say(Part("colorization", {**part.context, "targets": targets}))

    assert "better with chroma in every metric" in text(better=("MSE",), worse=())
    assert "better with chroma in no metric" in text(better=(), worse=("MSE",))
    mixed = text(better=("MSE",), worse=("PSNR",))
    assert "better with chroma in MSE; RGB is better, or no worse, in PSNR." in mixed


def test_what_cannot_be_shown_is_said(trained: Train, tmp_path: Path) -> None:
    other, *usual = (
        trained(degradation="gray", target="chroma", **changed)
        for changed in ({"split_seed": 1}, {"seed": 0}, {"seed": 1})
    )
    assert find_variants(read(other, *usual)).left_out == (other.name,)
    write_report([*usual, other], out=tmp_path, data="photos")  # these are other images
    text = (tmp_path / "report.md").read_text()
    assert f"> **Missing:** {escape(other.name)} was measured on other test images, so" in text
    assert text.count("> **Missing:** This part is missing: the images at") == 1
    assert "> **Missing:** There are no pictures: the images at" in text
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
    assert math.isnan(variants.base.mean("no such metric").estimate)

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
    (found,), part = restoration_part(runs, RunImages(), {})
    assert not part.context["missing_degradations"]
    rows = part.context["methods"]
    methods = [row[1].split(",")[0] for row in rows]
    assert methods[:2] == ["conv4 conv3", "as given"]
    assert set(methods[2:]) == {"Lanczos", "back-projection"}
    assert rows[0][2] == pytest.approx(np.mean([run.result["test"]["psnr"] for run in runs]))
    assert {row[-1] for row in rows} == {12}
    assert [strip.name for strip in part.context["strips"].values()] == ["restored-downscale2"]
    # Of two seeds that differ much, Student's interval of an error would begin below zero.
    assert 0 < found.network["mse"].low < found.network["mse"].estimate
    classical = found.baselines[found.best_classical]["psnr"]

    def text(low: float, gain: float, high: float, **changed: Any) -> str:
        low, estimate, high = (classical + each for each in (low, gain, high))
        psnr = Interval(low=low, estimate=estimate, high=high, n=3)
        other = dataclasses.replace(found, network={"psnr": psnr}, **changed)
        return say(Part("restoration", {**part.context, "answers": [other]}))

    assert "5.0 dB above the best classical" in text(4, 5, 6)
    assert "5.0 dB below the best classical" in text(-6, -5, -4)
    assert "not to be distinguished from the best classical" in text(-1, 5, 11)
    assert "5.0 dB above the best classical" in text(math.nan, 5, math.nan)
    lone = {"as given": found.baselines["as given"]}
    assert "no classical method" in text(4, 5, 6, baselines=lone)
    _, named = restoration_part(runs, RunImages(), {runs[0].name: "Sharper"})
    assert named.context["methods"][0][1] == "Sharper"
    assert say(named).count("Sharper") == 2


def shortcomings(**changed: Any) -> Shortcomings:
    def mean(low: float, high: float) -> Interval:
        return Interval(low=low, estimate=(low + high) / 2, high=high, n=50)

    usual = Shortcomings(
        label="base",
        images=100,
        side=32,
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
        rarity=Interval(low=0.2, estimate=0.7, high=0.9, n=12),
        class_colors=Interval(low=-0.4, estimate=0.4, high=0.9, n=10),
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


def about(found: Shortcomings) -> Part:
    # Of the colorizers, the part reads only which remedies they tried.
    return shortcoming_part(found, Mock(remedies={}))


def test_the_errors_of_classes_are_compared_with_the_strength_of_their_colors() -> None:
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    colorfulness = np.array([1.0, 3.0, 4.0, 6.0, 9.0, 9.0, 10.0, 40.0])
    errors = np.array([0.1, 0.2, 0.4, 0.2, 0.3, 0.2, 0.5, 0.5])
    found = _class_colors(errors, colorfulness, labels)
    # Means 2, 5, 9, 25 have the ranks 1, 2, 3, 4; errors 0.15, 0.3, 0.25, 0.5 have 1, 3, 2, 4.
    assert (found.estimate, found.n) == (pytest.approx(0.8), 4)
    assert math.isnan(_class_colors(errors, None, labels).estimate)


def test_images_without_classes_have_no_errors_by_class(
    trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = RunImages.part

    def unlabeled(images: RunImages, *which: Any) -> Any:
        found = part(images, *which)
        found.labels = None
        return found

    monkeypatch.setattr(RunImages, "part", unlabeled)
    (run,) = read(trained(degradation="gray", target="chroma"))
    variants = find_variants([run])
    found = measure_shortcomings(variants.best, RunImages())
    assert found.classes == ()
    assert math.isnan(found.class_colors.estimate)
    part = shortcoming_part(found, answer_colors(variants))
    tables = {table["name"] for table in render_markdown([part]).tables}
    assert tables == {"by_hue"}


def test_sentences_follow_the_numbers(say: Say) -> None:
    text = say(about(shortcomings()))
    for fact in (
        "The colors are pale: 50%",
        "Half of the 99 test images that have colors keep less than 45%",
        "larger for frog (3.50) than for ship (1.50)",
        "color is red (60% of it, in 20% of the pixels), least where it is blue (−10% of it",
        "below zero is the opposite color",
        "its error is 0.00600. The network, which sees what is around the patch, has an error of",
        "in the 50% of the patches with the most colors it is 4.0 times that in the 50%",
        "has 30% of the true change of color",
        "there is larger, 2.0 times that of flat areas",
        "raises it, to 120%",
        "Of 100 test images, 3 are gray in truth.",
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
        hues=usual.hues[:1],
        ambiguity=None,
        shifts=(
            usual.shifts[0],
            ShiftedError(scale=1, offset=-0.1, chroma_mse=0.001, relative=0.5),
        ),
        invented=InventedColor(chroma=math.nan, colorfulness_share=math.nan, n=0, of=100),
    )
    text = say(about(changed))
    assert "too strong: 120%" in text
    assert "this difference is not certain" in text
    assert "does not raise it" in text
    for unsaid in ("most similar", "most is found", "gray in truth", "nan"):
        assert unsaid not in text
    assert "as colorful as the truth" in say(
        about(shortcomings(colorfulness=ColorfulnessKept(ratio=1, quartiles=(1, 1, 1), n=9)))
    )
    assert "not measured" in say(about(shortcomings(colorfulness=None)))


@pytest.mark.parametrize(
    ("edges", "said"),
    [(0.004, "larger, 2.0 times"), (0.001, "is 0.50 times"), (0.002, "is about that")],
)
def test_where_the_error_of_colors_sits(say: Say, edges: float, said: str) -> None:
    usual = shortcomings().bleeding
    found = dataclasses.replace(usual, edges=dataclasses.replace(usual.edges, chroma_mse=edges))
    text = say(about(shortcomings(bleeding=found)))
    sentences = ("larger, 2.0 times", "is 0.50 times", "is about that")
    assert [each for each in sentences if each in text] == [said]


@pytest.mark.parametrize(
    ("shift", "said"), [((0.8, 0.0), "multiplied by 0.80"), ((1.0, -0.1), "changed by −0.1")]
)
def test_the_worst_change_of_brightness_is_named(
    say: Say, shift: tuple[float, float], said: str
) -> None:
    first = shortcomings().shifts[0]
    worst = ShiftedError(scale=shift[0], offset=shift[1], chroma_mse=0.003, relative=0.9)
    assert said in say(about(shortcomings(shifts=(first, worst))))


@pytest.mark.parametrize("rank", [0.5, 0.4, -0.5])
def test_whether_the_error_grows_with_the_ambiguity(say: Say, rank: float) -> None:
    patches = shortcomings().ambiguity
    assert patches is not None
    # Without a relation, |ρ| of 18 patches stays below 2 / √18 = 0.47 in 95 of 100 cases.
    changed = shortcomings(ambiguity=dataclasses.replace(patches, rank_correlation=rank))
    text = say(about(changed))
    assert ("with the fewest" in text) == (rank > 0.47)
    assert ("It is not certain that its error is larger" in text) != (rank > 0.47)


def test_chroma_planes_are_shown_one_by_one() -> None:
    gray = np.full((1, 3, 2, 2), 0.3, np.float32)
    assert all(np.allclose(plane, 0.5) for plane in chroma_planes(gray))
    blue = np.broadcast_to(
        np.array([0.3, 0.3, 0.6], np.float32)[:, None, None], (1, 3, 2, 2)
    ).copy()
    of_blue, of_red = chroma_planes(blue)
    assert of_blue[0, 2].min() > 0.5 > of_red[0, 0].max()
