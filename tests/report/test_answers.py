"""The answers: their schema, their sentences on both sides of each condition, and the terminal."""

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.run import run
from caelab.metrics.moderated import Contrast, Verdict
from caelab.metrics.statistics import Interval
from caelab.networks import describe
from caelab.networks.parser import parse
from caelab.report.answers import Answers, DataAnswer, results_json, results_schema
from caelab.report.architectures import Analysis, analyze
from caelab.report.colorization import ColorAnswer, Colorizer, TargetAnswer
from caelab.report.document import Part
from caelab.report.inputs import LabRecord, ReportInputs, StudyResults, gather
from caelab.report.language import TEMPLATES
from caelab.report.reconstruction import ReconstructionAnswer, SitesAnswer
from caelab.report.render_markdown import render_lines
from caelab.report.report import write_report
from caelab.report.representation_sizes import size_part
from caelab.report.training_options import TrainingAnswer

Say = Callable[[Part], str]
SCHEMA = Path(__file__).parents[2] / "docs" / "results-schema.json"


def contrast(verdict: Verdict, ratio: float = 0.5, more_seeds: int | None = None) -> Contrast:
    interval = Interval(low=ratio * 0.9, estimate=ratio, high=ratio * 1.1, n=2)
    return Contrast(ratio=interval, verdict=verdict, more_seeds=more_seeds, alone=interval)


DATA = DataAnswer(
    name="cifar10",
    note="",
    fingerprint="0",
    side=32,
    images={"train": (48_000, 48_000), "validation": (6000, 6000), "test": (6000, 6000)},
    split="pooled",
    split_seed=0,
    mean=(0.5, 0.5, 0.5),
    std=(0.2, 0.2, 0.2),
    others=(),
)
MSE = Interval(low=0.003, estimate=0.004, high=0.005, n=3)
RECONSTRUCTION = ReconstructionAnswer(
    name="reference",
    network="reference",
    weights=4911,
    images=6000,
    training=(0.012, 0.006, 0.004),
    validation=(0.009, 0.005, 0.004),
    end_ratio=1.0,
    mse=MSE,
    psnr=MSE,
    linear={768: 0.002, 1024: 0.001},
    sites=SitesAnswer(flat=0.03, steep_share=0.5, steepness=9, lowest=0.1, highest=0.5, border=1),
)
COLORS = ColorAnswer(
    best="U-Net",
    base="base",
    images=6000,
    mse=MSE,
    ciede2000=Interval(low=8, estimate=9, high=10, n=3),
    colorizers=(
        Colorizer(label="base", network="unet", text="conv3", found_as="", options="", mse=0.004),
        Colorizer(
            label="U-Net", network="unet", text="conv3", found_as="", options="flip", mse=0.004
        ),
    ),
    strongest={"mse": "mean chroma", "ciede2000": "mean chroma"},
    ahead=(),
    smaller={},
    baselines={
        "gray copy": {"mse": 0.008, "ciede2000": 12.0},
        "mean chroma": {"mse": 0.007, "ciede2000": 11.0},
    },
    targets=(),
    remedies={},
    ideas={},
)


def answers(**changed: Any) -> Answers:
    usual = Answers(
        data=DATA,
        training=TrainingAnswer(tasks=(), options={}),
        reconstruction=None,
        size=None,
        studies={},
        linear={},
        colors=None,
        shortcomings=None,
        restorations=(),
    )
    return dataclasses.replace(usual, **changed)


@pytest.fixture
def answered(say: Say) -> Callable[..., str]:
    """The table of answers, without the escapes of Markdown."""
    return lambda **changed: say(Part("answers", {"answers": answers(**changed)})).replace("\\", "")


# The schema


def test_the_schema_in_the_documentation_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == results_schema()


def test_results_name_no_place_on_this_machine(tmp_path: Path) -> None:
    inputs = ReportInputs(lab=LabRecord(budget="quick", runs=str(tmp_path)))
    content = results_json(inputs, answers(), [])
    assert "quick" in content
    assert str(tmp_path) not in content


def test_results_follow_the_schema(small_study: Any, pictures: Path, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    folder = tmp_path / "study-tiny"
    shutil.copytree(small_study.folder, folder)
    options = {
        "network": "conv4 pool conv4 up conv3", "data": str(pictures), "size": 16, "batch_size": 16,
        "epochs": 1, "degradation": "gray", "target": "chroma",
    }  # fmt: skip
    gray = run(RunConfig().replace(**options), runs=tmp_path / "runs").path
    write_report([folder, gray], out=tmp_path / "out", runs=small_study.runs)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    jsonschema.validate(results, results_schema())
    found = results["answers"]
    assert found["studies"]["tiny"]["base"] == "base"
    assert found["shortcomings"]["images"] == 12
    assert found["colors"]["base"] == "base"


# The table


def test_what_cannot_be_answered_is_not_asked(answered: Callable[..., str]) -> None:
    text = answered()
    assert text.count("[evidence]") == 1
    assert "1.1" in text
    assert not any(number in text for number in ("1.2", "2.1", "2.2", "3.1", "3.2"))


def test_split_and_normalization(answered: Callable[..., str]) -> None:
    usual = answered()
    assert "48,000 images for training, 6,000 for validation and 6,000 for the test" in usual
    assert "80 / 10 / 10%" in usual
    assert "normalized by the mean" in usual
    other = answered(data=dataclasses.replace(DATA, split="official", mean=(), std=()))
    assert "official test images" in other
    assert "80 / 10 / 10%" not in other
    assert "pixels stay in [0, 1]" in other


def test_the_error_of_the_reference_network(answered: Callable[..., str]) -> None:
    text = answered(reconstruction=RECONSTRUCTION)
    assert "0.00900 after epoch 1 and 0.00400 after epoch 3" in text
    assert "0.00400 (mean of 3 seeds; 95% interval 0.00300 to 0.00500)" in text
    assert "PCA with 1,024 numbers has 0.00100, PCA with 768 numbers has 0.00200" in text
    assert "mean color alone 0.0300" in text
    one = Interval(estimate=0.004, n=1)
    bare = dataclasses.replace(RECONSTRUCTION, mse=one, sites=None, linear={})
    text = answered(reconstruction=bare)
    assert "0.00400 (one seed, so no interval)" in text
    assert "For comparison" not in text
    assert "mean color alone" not in text


@pytest.mark.parametrize(
    ("network", "said", "unsaid"),
    [
        ("reference", "8 · 8 · 16 = 1,024 numbers; the narrowest representation,", "runs"),
        ("conv8 pool conv4 | up conv3", "16 · 16 · 4 = 1,024 numbers, and no", "narrowest"),
        ("conv8 conv3", "marks no code", "runs around"),
        ("conv8 [pool conv4 | up] conv3", "so it is no bottleneck", "marks no code"),
    ],
)
def test_the_size_of_the_latent_space(
    answered: Callable[..., str], network: str, said: str, unsaid: str
) -> None:
    size, _ = size_part({network: describe(parse(network))})
    text = answered(size=size)
    assert said in text
    assert unsaid not in text.split("latent space?")[1]


@pytest.fixture
def analysis(small_study: Any) -> Analysis:
    from caelab.experiments.study_results import read_rows

    return analyze(read_rows(small_study.folder / "results.csv"))


def test_several_studies_are_told_apart(answered: Callable[..., str], analysis: Analysis) -> None:
    assert "(#what-each-choice-does)" in answered(studies={"one": analysis})
    both = answered(studies={"one": analysis, "two": analysis})
    assert "(#what-each-choice-does-one)" in both
    assert "(#what-each-choice-does-two)" in both


VERDICTS = [
    (contrast(Verdict.LOWER, 0.5), "lowers the test MSE by 50% (−55% to −45%)"),
    (contrast(Verdict.HIGHER, 2.0), "raises the test MSE by 100% (+80% to +120%)"),
    (contrast(Verdict.EQUIVALENT, 1.0), "has no effect larger than 3%"),
    (contrast(Verdict.UNDECIDED, 1.0, 4), "; 4 further seeds of each network may decide it)"),
    (contrast(Verdict.UNDECIDED, 1.0), "has no certain effect"),
]


@pytest.mark.parametrize(("found", "said"), VERDICTS)
def test_each_verdict_has_its_words(
    answered: Callable[..., str], analysis: Analysis, found: Contrast, said: str
) -> None:
    (effect,) = analysis.effects
    effects = tuple(
        dataclasses.replace(effect, contrast=found, same_code=same) for same in (True, False)
    )
    text = answered(studies={"s": dataclasses.replace(analysis, effects=effects)})
    others = [words for _, words in VERDICTS[:3] if words != said]
    impact = text.split("Impact of the filter size (kernel)")[1].split("[evidence]")[0]
    assert impact.count(said) == 2
    assert not any(words in impact for words in others)
    assert "At the base's code size" in impact
    assert "With another code size" in impact
    alone = dataclasses.replace(analysis, effects=effects[:1])
    assert "With another code size" not in answered(studies={"s": alone})


def test_colors_are_compared_with_the_best_answer_without_a_network(
    answered: Callable[..., str],
) -> None:
    text = answered(colors=COLORS)
    assert "57% of that of the gray image in one color everywhere" in text
    assert "ΔE₀₀ is 9.0; the gray image in one color everywhere" in text
    worse = dataclasses.replace(
        COLORS,
        baselines={"gray copy": {"mse": 0.002, "ciede2000": 1.0}},
        strongest={"mse": "gray copy", "ciede2000": "gray copy"},
    )
    assert "no less than that of the gray image itself, 0.00200" in answered(colors=worse)
    nothing = Interval(estimate=math.nan, n=1)
    bare = dataclasses.replace(COLORS, baselines={}, strongest={}, ciede2000=nothing)
    text = answered(colors=bare)
    assert "gray image itself" not in text
    assert "ΔE" not in text
    assert "nan" not in text


def test_chroma_against_rgb_is_a_verdict(answered: Callable[..., str]) -> None:
    target = TargetAnswer(
        rgb="a", chroma="b", contrast=contrast(Verdict.LOWER), means={}, better=(), worse=()
    )
    text = answered(colors=dataclasses.replace(COLORS, targets=(target,)))
    assert "copying the luminance of the input lowers the test MSE by 50%" in text
    assert "predict chroma" not in answered(colors=COLORS)


def test_every_idea_has_a_verdict(answered: Callable[..., str]) -> None:
    ideas = {
        "flips": contrast(Verdict.LOWER, 0.5),
        "zoom": contrast(Verdict.EQUIVALENT, 1.0),
        "shift": contrast(Verdict.UNDECIDED, 1.1),
        "noise": contrast(Verdict.HIGHER, 2.0),
    }
    text = answered(colors=dataclasses.replace(COLORS, ideas=ideas))
    for said in (
        "“flips” helps most",
        "“noise” raises the test MSE by 100%",
        "“zoom” has no effect larger than 3%",
        "“shift” has no certain effect (test MSE 10% higher",
    ):
        assert said in text
    del ideas["flips"]
    none = answered(colors=dataclasses.replace(COLORS, ideas=ideas))
    assert "None of the 3 ideas is certain to lower the error of “base”" in none
    assert "Which ideas help" not in answered(colors=COLORS)


# The beginning, and what is missing


def opening(say: Say, **changed: Any) -> str:
    usual: dict[str, Any] = {
        "answers": answers(data=changed.pop("data", DATA)),
        "inputs": ReportInputs(),
        "problems": [],
        "unshown": [],
        "bitmaps": True,
        **dict.fromkeys(("grid", "grid_networks", "samples", "effects_figure", "predicted")),
    }
    return say(Part("report", {**usual, **changed}, level=0))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": dataclasses.replace(DATA, name="photos")}, "photographs that scikit-image"),
        ({"data": dataclasses.replace(DATA, name="folder")}, "pictures of a folder"),
        ({"data": dataclasses.replace(DATA, name="digits")}, "images are those of digits"),
        ({"data": dataclasses.replace(DATA, note="Half of it.")}, "**Beware:** Half of it."),
        ({"data": dataclasses.replace(DATA, others=("mnist",))}, "compared with the rest: mnist"),
        ({"problems": ["gone"]}, "(#what-is-missing)"),
        ({"unshown": [("codes", "gone")]}, "(#what-is-missing)"),
        ({"bitmaps": False}, "may not be passed on"),
        ({"inputs": ReportInputs(lab=LabRecord(studies=("a",)))}, "autoencoders: the lab"),
    ],
)
def test_the_beginning_warns_where_it_must(say: Say, changed: dict[str, Any], said: str) -> None:
    assert said in opening(say, **changed)
    assert said not in opening(say)


def test_what_failed_or_is_unfinished_is_named(say: Say, analysis: Analysis) -> None:
    study = StudyResults(
        folder=Path(),
        name="tiny",
        question="",
        rows=(),
        runs={},
        planned=3,
        unfinished=(("a|b", 0), ("c", 1), ("a|b", 1)),
        failures=(("c", 1, "out of memory"),),
    )
    inputs = ReportInputs(studies=[study])
    unshown = [("codes", "no weights.")]
    text = say(Part("problems", {"inputs": inputs, "problems": ["gone."], "unshown": unshown}))
    assert "> **Missing:** gone." in text
    assert "code: no weights." in text
    assert "0 of 3 runs are finished" in text
    assert "a\\|b (seed 0, 1); c (seed 1)." in text
    assert "c, seed 1, failed: out of memory" in text
    nothing = {"inputs": ReportInputs(), "problems": [], "unshown": []}
    assert say(Part("problems", nothing)) == ""


@pytest.mark.parametrize("content", ["{", "[]", '{"studies": 5}', '{"budget": ["a"]}'])
def test_a_damaged_record_of_a_lab_is_said(small_study: Any, tmp_path: Path, content: str) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "lab.json").write_text(content)
    inputs = gather([tmp_path / "lab", small_study.run("base")])
    assert len(inputs.all_runs) == 1
    (problem,) = inputs.problems
    assert "lab.json is damaged" in problem
    with pytest.raises(InputError, match="no finished run was found"):
        gather([tmp_path / "lab"])


def test_a_damaged_list_of_failures_is_said(small_study: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study-tiny"
    shutil.copytree(small_study.folder, folder)
    (folder / "failed.csv").write_text("label,seed,run,message\na,0,b,out of memory\n")
    (study,) = gather([folder], runs=small_study.runs).studies
    assert study.failures == (("a", 0, "out of memory"),)
    (folder / "failed.csv").write_text("label,seed\na\n")
    inputs = gather([folder], runs=small_study.runs)
    assert len(inputs.studies[0].rows) == 6
    assert "failed.csv is damaged" in inputs.problems[0]


# The terminal


def test_the_terminal_has_an_answer_a_line(analysis: Analysis) -> None:
    found = answers(
        reconstruction=RECONSTRUCTION,
        size=size_part({"reference": describe(parse("reference"))})[0],
        studies={"s": analysis},
        colors=dataclasses.replace(COLORS, ideas={"a*b": contrast(Verdict.LOWER)}),
    )
    larger = {"name": "standard", "minutes": 35, "networks": ("a", "b"), "limit": None}
    lab = LabRecord(larger={**larger, "study_seeds": (0, 1)})
    text = render_lines("terminal", {"answers": found, "lab": lab, "file": "out/report.html"})
    lines = text.splitlines()
    assert len(lines) <= 10
    assert [line[:3] for line in lines[:4]] == ["1.1", "1.2", "2.1", "2.2"]
    assert "“a*b” helps most" in text
    assert lines[-2].startswith("A larger budget: --budget standard, about 35 minutes")
    assert lines[-1] == "report: out/report.html"
    short = render_lines("terminal", {"answers": answers(), "lab": LabRecord(), "file": "f"})
    assert len(short.splitlines()) == 2


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ({"limit": 6400}, "on 6,400 images at most"),
        ({"networks": ("a",)}, "Exercise 2 trains 1 networks"),
        ({"ideas": ("a",), "color_epochs": 5}, "trains 1 networks, for 5 epochs"),
    ],
)
def test_what_a_budget_leaves_out(amount: dict[str, Any], said: str) -> None:
    everything = {"limit": None, "networks": None, "ideas": None}
    assert said in render_lines("budget", {"lab": LabRecord(amount={**everything, **amount})})
    assert render_lines("budget", {"lab": LabRecord(amount=everything)}) == ""


def test_every_template_is_read() -> None:
    """A template that nothing renders is a sentence that nobody sees."""
    folder = TEMPLATES / "en"
    texts = {file.name: file.read_text() for file in folder.glob("*.j2")}
    code = "".join(file.read_text() for file in TEMPLATES.parent.glob("*.py"))
    code += (TEMPLATES.parents[1] / "commands" / "lab_view.py").read_text()
    for name in texts:
        stem = name.partition(".")[0]
        used = any(f'"{name}"' in text for text in texts.values())
        assert used or f'"{stem}"' in code, name
