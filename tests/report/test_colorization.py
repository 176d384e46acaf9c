import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caelab.degrade.degradation import parse_degradation
from caelab.experiments.config import RunConfig
from caelab.experiments.run import run
from caelab.metrics.ambiguity import Ambiguity, AmbiguityBin
from caelab.metrics.colorization_shortcomings import (
    Bleeding,
    ClassError,
    ColorfulnessKept,
    HueError,
    InventedColor,
    Neighbors,
    ShiftedError,
)
from caelab.metrics.statistics import Interval
from caelab.report.colorization import colorization_sections
from caelab.report.document import Note, Paragraph, Picture, Section, Table
from caelab.report.exercise3 import write_rgb_or_chroma
from caelab.report.image_strips import chroma_planes
from caelab.report.report import write_report
from caelab.report.restoration import compare, restoration_sections, write_restoration
from caelab.report.run_differences import find_variants
from caelab.report.run_reader import read_run
from caelab.report.several_colors import TEMPERATURES, SeveralColors, write_several_colors
from caelab.report.shortcoming_tables import Shortcomings, percent
from caelab.report.shortcomings import write_shortcomings
from caelab.report.test_images import Album


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Callable[..., Path]:
    """Train a run of a second; the same options give the same directory."""
    runs = tmp_path_factory.mktemp("runs")

    def train(**options: Any) -> Path:
        usual: dict[str, Any] = {
            "network": "conv4 pool conv4 up conv3", "data": str(pictures), "size": 16, "batch_size": 16, "epochs": 1
        }  # fmt: skip
        return run(RunConfig().replace(**{**usual, **options}), runs=runs).path

    return train


def blocks(sections: list[Section], kind: type) -> list[Any]:
    return [block for section in sections for block in section.blocks if isinstance(block, kind)]


def in_per_cent(cell: str) -> float:
    return float(cell.split("%")[0].replace("−", "-"))


def test_colorization_from_runs_to_sections(trained: Callable[..., Path]) -> None:
    chroma = [trained(degradation="gray", target="chroma", seed=seed) for seed in (0, 1)]
    flips = [trained(degradation="gray", target="chroma", flip=True, seed=seed) for seed in (0, 1)]
    rgb = trained(degradation="gray")
    sections = colorization_sections([*chroma, *flips, rgb, trained()])
    assert not blocks(sections, Note)
    comparison, ideas, *others = blocks(sections, Table)
    labels = {row[0]: row for row in comparison.rows}
    assert labels.keys() == {"base", "flip", "target rgb", "gray copy", "mean chroma", "the truth"}
    mse = [read_run(path).mse for path in chroma]
    assert labels["base"][1] == 2
    assert labels["base"][3] == pytest.approx(np.mean(mse))
    assert labels["gray copy"][3] == pytest.approx(
        read_run(rgb).result["baselines"]["gray copy"]["mse"]
    )
    told = {row[0]: row for row in ideas.rows}
    assert told.keys() == {"flip", "target rgb"}
    assert [column.name for column in ideas.columns[2:]] == ["MSE", "chroma MSE", "ΔE₀₀"]
    ratio = math.prod(read_run(path).mse for path in flips) / math.prod(mse)
    assert in_per_cent(told["flip"][2]) == pytest.approx(100 * (math.sqrt(ratio) - 1), abs=0.051)
    assert "n = 1" in told["target rgb"][2]
    changes = [in_per_cent(row[2]) for row in ideas.rows]
    assert changes == sorted(changes)
    assert {picture.name for picture in blocks(sections, Picture)} == {
        "colors", "color-wins", "color-losses", "chroma-planes"
    }  # fmt: skip
    assert all(picture.data.startswith(b"\x89PNG") for picture in blocks(sections, Picture))
    classes = next(table for table in others if table.columns[0].name == "class")
    assert sorted(row[0] for row in classes.rows) == ["even", "odd"]
    assert any("8×8 pixels that look alike" in each.text for each in blocks(sections, Paragraph))


def test_other_numbers_of_training_and_validation_images_are_said(
    trained: Callable[..., Path], tmp_path: Path
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


def test_why_rgb_is_better_or_worse_is_said_only_where_it_is_so(
    trained: Callable[..., Path],
) -> None:
    rgb = [read_run(trained(degradation="gray", network="conv4 pool conv4 | up conv3"))]
    skipping = [read_run(trained(degradation="gray", network="conv4 conv3"))]
    assert "every metric" in (said := list(write_rgb_or_chroma(rgb, ["mse", "chroma_mse"], [])))[0]
    assert "through its bottleneck" in said[1]
    assert len(list(write_rgb_or_chroma(skipping, ["mse", "chroma_mse"], []))) == 1
    first, why = write_rgb_or_chroma(rgb, ["mse", "psnr"], ["chroma_mse"])
    assert first == "Chroma is better in MSE, PSNR; RGB is better, or no worse, in chroma MSE."
    assert why.startswith("What RGB does no worse is of color alone")
    assert len(list(write_rgb_or_chroma(rgb, ["psnr"], ["mse", "chroma_mse"]))) == 1
    (only,) = write_rgb_or_chroma(rgb, [], ["mse"])
    assert only.startswith("RGB is better in every metric")


def test_several_plausible_colors_are_measured_and_shown(trained: Callable[..., Path]) -> None:
    bins = trained(
        degradation="gray",
        target="bins",
        color_space="lab",
        loss="cross_entropy",
        network="conv4 conv3",
    )
    *_, section = colorization_sections([trained(degradation="gray", target="chroma"), bins])
    assert section.title == "Several plausible colors"
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    answer = next(row for row in table.rows if row[0] == "the one answer")
    run = read_run(bins)
    assert answer[1] == pytest.approx(run.mse, rel=1e-5)
    assert table.rows[-1][-1] == pytest.approx(run.result["test"]["true_colorfulness"], rel=1e-5)
    for row in table.rows[: len(TEMPERATURES)]:
        assert row[1] > row[2] > row[3] > row[4]  # of more variants the best is better
        assert row[1] == pytest.approx(
            row[5] + row[6] * 3 / 8, rel=1e-5
        )  # error = that of the mean + variance
        assert row[6] > 0
    (strip,) = (block for block in section.blocks if isinstance(block, Picture))
    assert "variant" in strip.alt

    found = SeveralColors(
        images=10,
        by_temperature={
            each: {"mse": 0.5, "best_of_1_mse": 0.8, "best_of_4_mse": 0.4, "diversity": 0.4}
            for each in TEMPERATURES
        },
        true_colorfulness=30,
        nearer=0.25,
    )
    first, second = write_several_colors(found, "the base")
    assert first.startswith("The base gives a distribution over colors.")
    assert "for 25% of 10 test images" in first
    assert (
        "50% of what a variant differs from the truth by: the network is surer than it ought to be."
        in second
    )


def test_runs_that_cannot_be_used_are_said(trained: Callable[..., Path], tmp_path: Path) -> None:
    (section,) = colorization_sections([trained(), tmp_path / "nowhere"])
    said = [note.text for note in section.blocks if isinstance(note, Note)]
    assert said[0].endswith("nowhere.")
    assert said[1] == "There is no finished run that gives colors to gray images."
    other = trained(degradation="gray", target="chroma", split_seed=1)
    sections = colorization_sections(
        [other, *(trained(degradation="gray", target="chroma", seed=seed) for seed in (0, 1))],
        data=str(tmp_path),
    )
    first, *_, last = blocks(sections, Note)
    assert first.text == f"{other.name} was measured on other test images."
    assert last.text.startswith("Pictures and shortcomings are missing: ")


def test_variants_are_named_by_what_they_change(trained: Callable[..., Path]) -> None:
    runs = [
        trained(degradation="gray", target="chroma"),
        trained(degradation="gray", target="chroma", color_space="lab", ema_decay=0.9),
        trained(degradation="gray", target="chroma", network="conv5 conv3"),
        trained(degradation="gray", target="chroma", seed=1),
    ]
    variants = find_variants([read_run(path) for path in runs])
    assert [(each.label, len(each.runs)) for each in variants.all] == [
        ("base", 2), ("color space lab, ema decay 0.9", 1), ("conv5 conv3", 1)
    ]  # fmt: skip
    assert variants.base.effect(variants.base, "mse").ratio.estimate == 1
    assert variants.base.by_seed("no such metric") == {}

    named = find_variants(
        [read_run(path) for path in runs], {runs[0].name: "U-Net", runs[1].name: "U-Net, Lab"}
    )
    assert [each.label for each in named.all] == ["U-Net", "U-Net, Lab", "conv5 conv3"]


def test_restoration_stands_beside_classical_methods_on_the_same_images(
    trained: Callable[..., Path],
) -> None:
    paths = [trained(degradation="downscale2", network="conv4 conv3", seed=seed) for seed in (0, 1)]
    sections = restoration_sections([*paths, trained()])
    assert not blocks(sections, Note)
    (table,) = blocks(sections, Table)
    methods = [row[1].split(",")[0] for row in table.rows]
    assert methods[:2] == ["the network conv4 conv3", "as given"]
    assert set(methods[2:]) == {"Lanczos", "back-projection"}
    assert table.rows[0][2] == pytest.approx(
        np.mean([read_run(path).result["test"]["psnr"] for path in paths])
    )
    assert {row[-1] for row in table.rows} == {12}
    assert [picture.name for picture in blocks(sections, Picture)] == ["restored-downscale2"]
    found = compare(parse_degradation("downscale2"), [read_run(path) for path in paths], Album())
    for psnr, words in (
        (90.0, "dB above the best classical"),
        (1.0, "dB below the best classical"),
    ):
        sure = dataclasses.replace(
            found, network={"psnr": Interval(low=psnr, estimate=psnr, high=psnr, n=3)}
        )
        assert words in write_restoration(sure)
    unsure = dataclasses.replace(
        found, network={"psnr": Interval(low=1, estimate=30, high=90, n=3)}
    )
    assert "not to be told from the best classical method" in write_restoration(unsure)
    named = restoration_sections(paths, names={paths[0].name: "Sharper"})
    assert blocks(named, Table)[0].rows[0][1] == "Sharper"
    assert " dB Sharper comes to " in blocks(named, Paragraph)[0].text
    (missing,) = restoration_sections([trained()])[0].blocks
    assert missing == Note("There is no finished run that restores images.", "missing")


def shortcomings(**changed: Any) -> Shortcomings:
    def mean(low: float, high: float) -> Interval:
        return Interval(low=low, estimate=(low + high) / 2, high=high, n=50)

    usual = Shortcomings(
        images=100,
        colorfulness=ColorfulnessKept(ratio=0.5, quartiles=(0.3, 0.45, 0.7), n=99),
        classes=(ClassError(name="frog", error=mean(3, 4)), ClassError(name="ship", error=mean(1, 2))),
        hues=(
            HueError(name="red", share=0.2, chroma_mse=0.01, kept=0.6),
            HueError(name="blue", share=0.1, chroma_mse=0.02, kept=-0.1),
            HueError(name="green", share=0.0001, chroma_mse=0.02, kept=-0.9),
        ),
        ambiguity=Ambiguity(
            bins=(AmbiguityBin(spread=0.001, error=0.002, n=9), AmbiguityBin(spread=0.01, error=0.008, n=9)),
            spread=0.005, error=0.004, neighbors_error=0.006, rank_correlation=0.5, n=18, training=99,
        ),
        bleeding=Bleeding(
            edges=Neighbors(share=0.1, chroma_mse=0.004, contrast_kept=0.3),
            flat=Neighbors(share=0.6, chroma_mse=0.002, contrast_kept=0.1),
        ),
        shifts=(
            ShiftedError(scale=1, offset=0, chroma_mse=0.002, relative=0.6),
            ShiftedError(scale=0.8, offset=0, chroma_mse=0.003, relative=1.2),
        ),
        invented=InventedColor(chroma=0.02, colorfulness_share=0.4, n=3, of=100),
    )  # fmt: skip
    return dataclasses.replace(usual, **changed)


def test_sentences_follow_the_numbers() -> None:
    colors, classes, hues, patches, growth, edges, shifts, gray = write_shortcomings(shortcomings())
    assert "paler than the truth: 50%" in colors
    assert (
        "frog, 3.50 (95% interval 3.00 to 4.00; n = 50 images), is larger than for ship" in classes
    )
    assert (
        "most is found where it is red, 60%, and least where it is blue, −10% (below zero" in hues
    )
    assert "80% of it" in patches
    assert (
        "grows with the ambiguity: from 0.00200 in the least ambiguous of 2 equal groups" in growth
    )
    assert "Colors run over edges" in edges
    assert "2.0 times that of flat places" in edges
    assert (
        "multiplied by 0.8 it leaves the most of those tried, 120%, more than no color at all"
        in shifts
    )
    assert (
        "The 3 of 100 test images that are gray to begin with get a chroma of 0.0200, 40%" in gray
    )


def test_sentences_do_not_say_what_the_numbers_do_not() -> None:
    usual = shortcomings()
    alike = tuple(
        ClassError(name=name, error=Interval(low=1, estimate=2, high=3, n=5))
        for name in ("frog", "ship")
    )
    said = write_shortcomings(
        shortcomings(
            colorfulness=ColorfulnessKept(ratio=1.2, quartiles=(1.0, 1.1, 1.3), n=9),
            classes=alike,
            ambiguity=None,
            bleeding=Bleeding(
                edges=dataclasses.replace(usual.bleeding.edges, contrast_kept=0.8),
                flat=usual.bleeding.flat,
            ),
            shifts=(
                usual.shifts[0],
                ShiftedError(scale=1, offset=-0.1, chroma_mse=0.001, relative=0.5),
            ),
            invented=InventedColor(chroma=math.nan, colorfulness_share=math.nan, n=0, of=100),
        )
    )
    text = "\n".join(said)
    assert "more colorful than the truth" in text
    assert "may or may not be larger" in text
    assert "look alike" not in text
    assert "Most of a change of color at an edge is found" in text
    assert "does no harm" in text
    assert "lowered by 0.1" in text
    assert "None of 100 test images is gray" in text
    assert "nan" not in text


def test_chroma_planes_are_shown_one_by_one() -> None:
    gray = np.full((1, 3, 2, 2), 0.3, np.float32)
    assert all(np.allclose(plane, 0.5) for plane in chroma_planes(gray))
    blue = np.broadcast_to(
        np.array([0.3, 0.3, 0.6], np.float32)[:, None, None], (1, 3, 2, 2)
    ).copy()
    of_blue, of_red = chroma_planes(blue)
    assert of_blue[0, 2].min() > 0.5 > of_red[0, 0].max()


def test_percent() -> None:
    assert [percent(value) for value in (0.5, -0.5, 0.012, math.nan)] == [
        "50%",
        "−50%",
        "1.2%",
        "–",
    ]
