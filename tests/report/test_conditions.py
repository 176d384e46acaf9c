"""Each condition of the templates is rendered from data on both of its sides, in every language."""

import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace as Values
from typing import Any

import pytest
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame

from caelab.metrics.moderated import Contrast, Verdict
from caelab.metrics.statistics import Interval
from caelab.report.document import Part, Picture
from caelab.report.inputs import LabRecord
from caelab.report.language import TEMPLATES
from caelab.report.render_markdown import environment, render_lines, render_markdown

LANGUAGES = sorted(file.parent.name for file in TEMPLATES.glob("*/report.md.j2"))
PICTURE = Picture(name="drawn", data=b"", format="svg", alt="a drawing")
NAN = math.nan


def interval(estimate: float, spread: float = 0.1, n: int = 2) -> Interval:
    return Interval(estimate=estimate, low=estimate - spread, high=estimate + spread, n=n)


def alone(estimate: float) -> Interval:
    """An estimate from one seed."""
    return Interval(estimate=estimate, n=1)


def contrast(verdict: Verdict, ratio: float = 0.5, **changed: Any) -> Contrast:
    usual = {"ratio": interval(ratio), "more_seeds": None}
    return Contrast(verdict=verdict, **{**usual, **changed})


VERDICTS = {
    "lower": contrast(Verdict.LOWER),
    "higher": contrast(Verdict.HIGHER, 2.0),
    "equal": contrast(Verdict.EQUIVALENT, 1.01),
    "open": contrast(Verdict.UNDECIDED, 1.2, more_seeds=7),
    "hopeless": Contrast(ratio=alone(0.9), verdict=Verdict.UNDECIDED, more_seeds=None),
}


def network(label: str, **changed: Any) -> Values:
    mse = interval(0.004, 0.001)
    return Values(**{"label": label, "mse": mse, "code_size": 1024, "weights": 5, **changed})


def effect(verdict: str, **changed: Any) -> Values:
    usual = {"factor": "kernel", "same_code": True, "contrast": VERDICTS[verdict]}
    return Values(**{**usual, "architecture": network(f"{verdict} one"), **changed})


A, B = network("a"), network("b", weights=7)
SHAPES = Values(size=768, ranking=[A, B], maps=[A, B], doubling=VERDICTS["lower"])
NO_SHAPES = Values(size=0, ranking=[], maps=[], doubling=None)


def code_size(rho: float = 0.0, **changed: Any) -> Values:
    usual = {"architectures": [A, B], "skipped": [], "codeless": [], "spearman": interval(rho)}
    others = {"confounders": {"area": interval(0.0), "weights": interval(0.0)}}
    return Values(**{**usual, **others, "held": interval(rho), **changed})


def analysis(**changed: Any) -> Values:
    networks = {"architectures": [Values(label="bad", failed=1)], "measured": [A, B], "front": [A]}
    usual = {**networks, "base": A, "best": A, "effects": [], "family": None}
    return Values(**{**usual, "code_size": code_size(), "equal_size": SHAPES, **changed})


FAMILY = Values(architectures=[A, B], doubling=VERDICTS["lower"])
IMAGES = {"train": (8, 8), "validation": (1, 1), "test": (1, 1)}


def data(**changed: Any) -> Values:
    usual: dict[str, Any] = {"name": "cifar10", "note": "", "fingerprint": "0f", "side": 32}
    split = {"images": IMAGES, "split": "pooled", "split_seed": 0, "others": []}
    return Values(**{**usual, **split, "mean": (0.5,) * 3, "std": (0.2,) * 3, **changed})


def place(size: int, row: int = 1) -> Values:
    return Values(shape=(size, 1, 1), size=size, row=row)


def size(code: Any, narrowest: Any, *, skip: bool = False) -> Values:
    inputs = {"input": (3, 4, 4), "inputs": 48}
    return Values(code=code, narrowest=narrowest, skip_around_code=skip, **inputs)


SIZES = [
    size(None, place(8)),
    size(place(8), place(8), skip=True),
    size(place(16, 2), place(8, 1)),
    size(place(16, 2), place(8, 3)),
]


def reconstruction(**changed: Any) -> Values:
    sites = Values(flat=0.03, steep_share=0.5, lowest=0.1, highest=0.5, border=1.0)
    usual = {"name": "net", "images": 9, "validation": (0.9, 0.5), "end_ratio": 1.0}
    numbers = {
        "mse": interval(0.004, 0.001),
        "psnr": interval(24.0),
        "linear": {4: 0.002, 8: 0.001},
    }
    return Values(**{**usual, **numbers, "sites": sites, **changed})


BASELINES = {
    "gray copy": {"mse": 0.008, "ciede2000": 12.0},
    "mean chroma": {"mse": 0.007, "ciede2000": 11.0},
}


def colors(**changed: Any) -> Values:
    usual = {"best": "U-Net", "base": "base", "images": 9, "mse": interval(0.004, 0.001)}
    others = {"ciede2000": interval(9.0), "baselines": BASELINES, "targets": [], "ideas": {}}
    return Values(**{**usual, **others, **changed})


def target(better: list[str], worse: list[str]) -> Values:
    return Values(contrast=VERDICTS["lower"], better=better, worse=worse)


def hue(name: str, kept: float, chroma_mse: float = 0.01) -> Values:
    return Values(name=name, share=0.1, kept=kept, chroma_mse=chroma_mse)


def chroma_class(name: str, error: float) -> Values:
    return Values(name=name, error=interval(error, 0.5))


def shortcomings(**changed: Any) -> Values:
    classes = [chroma_class("frog", 4.0), chroma_class("ship", 1.0)]
    usual: dict[str, Any] = {
        "label": "U-Net",
        "images": 9,
        "colorfulness": Values(ratio=0.5, quartiles=(0.3, 0.45, 0.7), n=9),
        "classes": classes,
        "hues": [],
        "main_hues": [hue("blue", -0.1), hue("red", 0.6)],
        "ambiguity": Values(spread=0.01, error=0.02, rank_correlation=0.5, n=100),
        "bleeding": Values(edges=hue("edges", 0.3, 0.004), flat=hue("flat", 0.1, 0.002)),
        "shifts": [Values(relative=0.5)],
        "worst_shift": Values(scale=0.8, offset=0.0, relative=0.8),
        "invented": Values(n=3, of=9, colorfulness_share=0.4),
    }
    return Values(**{**usual, **changed})


def restoration(psnr: Interval, **changed: Any) -> Values:
    baselines = {"as given": {"psnr": 20.0}, "median": {"psnr": 22.0}}
    usual = {"degradation": "noise25", "label": "net", "best_classical": "median"}
    return Values(**{**usual, "network": {"psnr": psnr}, "baselines": baselines, **changed})


def answers(**changed: Any) -> Values:
    missing = dict.fromkeys(("reconstruction", "size", "colors", "shortcomings"))
    return Values(**{"data": data(), **missing, "studies": {}, "restorations": (), **changed})


# A part for each template, and values in place of the usual ones that turn a condition.


def study(**changed: Any) -> Part:
    pictures = ("effects", "code_size", "equal_size", "front")
    usual: dict[str, Any] = {f"{name}_figure": PICTURE for name in pictures}
    usual |= {"study": Values(question="", rows=[1], planned=1), "analysis": analysis()}
    usual |= {"suffix": "", "above": False, "architectures": [], "effects": [], "no_linear": ""}
    usual |= {"compared": 0, "better": [], "at_size": {}, "grid": None, "grid_networks": [A]}
    return Part("study", {**usual, "grid_by": A, "not_in_grid": {}, **changed})


def opening(**changed: Any) -> Part:
    usual = {"answers": answers(colors=colors()), "inputs": inputs(), "problems": [], "unshown": []}
    pictures = ("grid", "grid_networks", "samples", "effects_figure", "predicted")
    return Part("report", {**usual, "bitmaps": True, **dict.fromkeys(pictures), **changed})


def inputs(lab: LabRecord | None = None, studies: Any = ()) -> Values:
    return Values(lab=lab or LabRecord(), studies=list(studies))


UNFINISHED = Values(
    name="s",
    rows=[],
    planned=3,
    unfinished=[("a", 0), ("a", 1), ("b", 0)],
    failures=[("a", 0, "lost")],
)
EVERYTHING = {"limit": None, "networks": None, "ideas": None}


def data_part(answer: Values | None = None, **changed: Any) -> Part:
    run = Values(environment={"device": "cpu"}, result={"seconds": 60.0}, name="run")
    usual = {"answers": answers(data=answer or data()), "inputs": inputs(), "runs": [run]}
    return Part("data", {**usual, "main": run, "command": "", **changed})


def first_part(answer: Values | None = None, **changed: Any) -> Part:
    described = Values(text="conv3", rows=[1], weights=84, multiply_accumulates=9)
    usual = {"answer": answer or reconstruction(), "network": described, "drawing": PICTURE}
    usual |= {"layers": [], "curves": PICTURE, "errors": [], "samples": PICTURE, "above": False}
    run = Values(name="run", config=Values(seed=0))
    usual |= {"run": run, "missing_sites": "no images", "sites_figure": PICTURE}
    return Part("reconstruction", {**usual, **changed})


def sites(**changed: float) -> Part:
    usual = {"flat": 0.03, "steep_share": 0.5, "lowest": 0.1, "highest": 0.1, "border": 1.0}
    return first_part(reconstruction(sites=Values(**{**usual, **changed})))


def color_part(answer: Values | None = None, **changed: Any) -> Part:
    usual = {"answer": answer or colors(), "left_out": [], "network": "unet", "options": ""}
    usual |= {"same_validation": True, "text": "conv3", "comparison": [], "missing_pictures": ""}
    usual |= {"pictures": {"colors": PICTURE, "planes": PICTURE}, "targets": [], "ideas": []}
    return Part("colorization", {**usual, "metrics": {}, **changed})


def shortcomings_part(**changed: Any) -> Part:
    limits = {"chroma": 10.0, "edge": 0.1, "flat": 0.05, "side": 8}
    return Part("shortcomings", {"answer": shortcomings(**changed), "limits": limits})


def restoration_part(answer: Values) -> Part:
    methods = [("noise25", "net", 25.0, 0.9, 0.001, 9)]
    shared = {"missing_degradations": [], "strips": {"noise25": PICTURE}}
    return Part("restoration", {"answers": [answer], "methods": methods, **shared})


def table(**changed: Any) -> Part:
    return Part("answers", {"answers": answers(**changed)})


def effects(*verdicts: str, **changed: Any) -> Values:
    return analysis(effects=[effect(each, **changed) for each in verdicts])


def lab(**amount: Any) -> LabRecord:
    return LabRecord(budget="own", amount={**EVERYTHING, **amount}, impossible=("ten classes",))


def bleeding(edges: float, kept: float = 0.3) -> Part:
    found = Values(edges=hue("edges", kept, edges), flat=hue("flat", 0.1, 0.002))
    return shortcomings_part(bleeding=found)


CASES = [
    # What cannot be answered is not asked.
    (table(), "1.1", "1.2"),
    (table(reconstruction=reconstruction()), "mean color alone 0.0300.", "2.1"),
    (table(reconstruction=reconstruction(sites=None)), "0.00200.", "mean color"),
    (table(reconstruction=reconstruction(linear={}, mse=alone(0.1))), "one seed", "compar"),
    *((table(size=each), "How large", "2.2") for each in SIZES),
    (table(data=data(split="official", mean=())), "official", "80 / 10 / 10"),
    (table(data=data(images={**IMAGES, "train": (4, 4)})), "not all training images", "official"),
    (table(data=data()), "80 / 10 / 10%);", "not all training images"),
    # Effects
    (table(studies={"s": effects("lower")}), "lowers the test MSE most", "raises"),
    (
        table(studies={"s": effects("higher")}),
        "raises the test MSE most",
        "lowers the test MSE most",
    ),
    (table(studies={"s": effects("equal", "open")}), "higher error: 0;", "most ("),
    (table(studies={"s": effects("open")}), "needs 7 or more", "no interval"),
    (table(studies={"s": effects("hopeless")}), "no interval", "or more"),
    (table(studies={"s": effects("lower")}), "At the base's code size", "another code size"),
    (table(studies={"s": effects("lower", same_code=False)}), "another code size", "At the base"),
    (
        table(
            studies={"s": analysis(effects=[effect("lower")], base=network("a", code_size=None))}
        ),
        "Impact of the filter size",
        "At the base",
    ),
    (table(studies={"s": effects("lower", factor="code")}), "matters most", "Impact of"),
    (table(studies={"s": effects("lower", factor="device")}), "Impact of the device", "kernel"),
    (table(studies={"one": analysis(family=FAMILY), "two": analysis()}), ": two", "matters most"),
    # The size of the code
    (table(studies={"s": analysis(family=FAMILY)}), "each doubling of the code lowers", "larger c"),
    (
        table(studies={"s": analysis(code_size=code_size(-0.5))}),
        "smaller error",
        "each doubling of the code",
    ),
    (table(studies={"s": analysis(code_size=code_size(0.5))}), "larger error", "smaller error"),
    (
        table(studies={"s": analysis(code_size=code_size(spearman=alone(0.5)))}),
        "ρ = 0.50.",
        "larger error",
    ),
    (table(studies={"s": analysis(code_size=code_size(held=alone(NAN)))}), "ρ", "held"),
    (table(studies={"s": analysis(code_size=code_size(spearman=alone(NAN)))}), "shape", "ρ"),
    (table(studies={"s": analysis(equal_size=NO_SHAPES)}), "go with", "shape matter"),
    (
        table(studies={"s": analysis(family=FAMILY, code_size=code_size(spearman=alone(NAN)))}),
        "each doubling of the code",
        "Across all",
    ),
    # Colors, shortcomings and other restorations
    (table(colors=colors()), "50% of that of the gray image", "no less"),
    (table(colors=colors(mse=interval(0.01))), "no less than that of the gray image", "% of that"),
    (table(colors=colors(baselines={})), "ΔE₀₀ is 9.0.", "the gray image"),
    (table(colors=colors(ciede2000=alone(NAN))), "colorizer", "ΔE₀₀"),
    (table(colors=colors(targets=[target(["MSE"], [])])), "predict chroma", "ideas"),
    (table(colors=colors(ideas={"a": VERDICTS["lower"]})), "“a” helps most", "None of"),
    (table(colors=colors(ideas={"a": VERDICTS["higher"]})), "Higher error: “a”.", "helps most"),
    (table(shortcomings=shortcomings()), "where it is blue: −10%", "1.2"),
    (table(shortcomings=shortcomings(main_hues=[hue("red", 0.6)])), "pale", "where it is"),
    (table(shortcomings=shortcomings()), "larger for frog than for ship", "1.2"),
    (table(shortcomings=shortcomings(classes=[])), "pale", "larger for"),
    (table(shortcomings=shortcomings(colorfulness=None)), "not measured", "pale:"),
    (table(restorations=[restoration(interval(25.0))]), "reaches 25.0 dB", "3.1"),
    (restoration_part(restoration(interval(25.0))), "3.0 dB above", "no interval"),
    (restoration_part(restoration(interval(21.0))), "1.0 dB below", "above"),
    (restoration_part(restoration(interval(22.1, 1.0))), "not to be distinguished", "dB above"),
    (restoration_part(restoration(alone(25.0))), "no interval", "95%"),
    (restoration_part(restoration(alone(25.0), best_classical=None)), "no classical", "dB above"),
    (
        Part("restoration", {**restoration_part(restoration(alone(25.0))).context, "methods": []}),
        "25.00",
        "Means over",
    ),
    (color_part(), "The base of comparisons is the network unet.", "“base”"),
    (color_part(colors(base="U-Net")), "is “U-Net”: the network", "is the network"),
    (color_part(options="flip"), "unet, with flip.", "Missing"),
    (color_part(same_validation=False), "same validation images", "Missing"),
    (color_part(missing_pictures="gone."), "no pictures: gone.", "evenly spaced"),
    (color_part(left_out=["other"]), "other was measured on other", "no pictures"),
    *(
        (color_part(targets=[(target(*sides), [])]), said, "Ideas")
        for sides, said in (
            ((["MSE"], []), "better in every metric"),
            (([], ["MSE"]), "better in no metric"),
            ((["MSE"], ["PSNR"]), "no worse, in PSNR"),
        )
    ),
    (color_part(colors(ideas={"a": VERDICTS["lower"]})), "Ideas that were tried", "Missing"),
    (shortcomings_part(), "Half of 9 images", "not certain"),
    (
        shortcomings_part(colorfulness=Values(ratio=1.2, n=9, quartiles=(1, 1, 1))),
        "too strong",
        "pale",
    ),
    (
        shortcomings_part(colorfulness=Values(ratio=1.0, n=9, quartiles=(1, 1, 1))),
        "about as",
        "pale",
    ),
    (shortcomings_part(colorfulness=Values(ratio=NAN, n=0)), "not measured", "Half of"),
    (
        shortcomings_part(classes=[chroma_class("frog", 1.1), chroma_class("ship", 1.0)]),
        "this difference is not certain",
        "is larger for",
    ),
    (shortcomings_part(classes=[]), "pale", "frog"),
    (shortcomings_part(), "below zero", "this difference"),
    (shortcomings_part(main_hues=[hue("blue", 0.1), hue("red", 0.6)]), "red, 60%", "below zero"),
    (shortcomings_part(main_hues=[]), "pale", "The largest share"),
    (shortcomings_part(), "It grows", "not certain to grow"),
    *(
        (shortcomings_part(ambiguity=found), said, unsaid)
        for found, said, unsaid in (
            (
                Values(spread=1.0, error=1.0, rank_correlation=0.1, n=100),
                "not certain to grow",
                "It grows",
            ),
            (Values(spread=1.0, error=1.0, rank_correlation=NAN, n=100), "look alike", "grow"),
            (None, "pale", "look alike"),
        )
    ),
    (bleeding(0.004), "larger there", "smaller there"),
    (bleeding(0.001), "smaller there", "larger there"),
    (bleeding(0.002), "about that of flat", "smaller there"),
    (bleeding(0.002, kept=NAN), "pale", "change of color is found"),
    (shortcomings_part(), "80% with the pixels times 0.80", "plus"),
    (
        shortcomings_part(worst_shift=Values(scale=1.0, offset=-0.1, relative=0.8)),
        "plus −0.1",
        "times 0.8",
    ),
    (
        shortcomings_part(worst_shift=Values(scale=0.8, offset=0.0, relative=0.51)),
        "does not raise it",
        "with the pixels",
    ),
    (shortcomings_part(worst_shift=Values(relative=NAN)), "pale", "brightness"),
    (shortcomings_part(invented=Values(n=0)), "pale", "gray in truth"),
    (Part("shortcomings", {"missing": "no images"}), "is missing: no images", "pale"),
    # The reference network and the size of its code
    (first_part(), "In epoch 2, the last one, the validation error changed by −44%", "Missing"),
    (first_part(reconstruction(validation=(0.9,))), "times the training error", "the last one"),
    (first_part(), "Two seeds leave one degree", "Missing"),
    (first_part(reconstruction(mse=interval(0.004, n=3))), "Student", "Two seeds"),
    (first_part(reconstruction(linear={4: 0.004, 8: 0.0})), "about the error of PCA", "8 numbers"),
    (
        first_part(reconstruction(linear={4: 0.002})),
        "2.0 times the error of PCA",
        "about the error",
    ),
    (first_part(above=True), "Where the error sits", "each above its"),
    (first_part(samples=None), "has no samples.png", "each above its"),
    (first_part(reconstruction(sites=None)), "cannot be shown", "carries"),
    (sites(highest=0.5), "Fine detail goes first", "a larger share"),
    (sites(lowest=0.5), "larger share of the images' power is lost in the lowest", "Fine detail"),
    (sites(), "carries 50%", "outermost"),
    (sites(border=1.3), "1.3 times the error of the others", "Fine detail"),
    (sites(border=0.8), "0.80 times the error of the others", "Fine detail"),
    *(
        (Part("representation_sizes", {"answer": each, "sizes": []}), said, "Missing")
        for each, said in zip(
            SIZES, ("marks no", "bottleneck", "before it", "after it"), strict=True
        )
    ),
    # A study
    (study(), "No level of a factor", "Which"),
    (study(study=Values(question="Which?", rows=[], planned=1)), "Which?", "Beware"),
    (study(analysis=analysis(best=None)), "nothing can be said yet", "the best"),
    (study(analysis=analysis(measured=[A])), "The only network", "the best by"),
    (study(analysis=analysis(architectures=[])), "the best by validation", "left out"),
    (study(), "left out; there are some of “bad”", "Beware"),
    (
        study(analysis=analysis(measured=[network("a", mse=alone(0.1))], effects=[effect("open")])),
        "There is one seed for each network",
        "hold together",
    ),
    (study(analysis=analysis(base=None)), "nothing to measure effects from", "No level"),
    (study(analysis=effects("lower")), "of all 1 changes hold together", "No level"),
    (study(analysis=effects("lower")), "simultaneous", "No level"),
    (study(analysis=effects("lower"), above=True), "hold together", "simultaneous"),
    (study(analysis=analysis(family=FAMILY)), "Where only the code changes", "another"),
    (study(analysis=analysis(code_size=code_size(0.5))), "an effect of its own", "no effect of"),
    (study(analysis=analysis(code_size=code_size())), "no effect of the size itself", "of its own"),
    (study(analysis=analysis(code_size=code_size(held=alone(NAN)))), "Area of", "weights held"),
    (
        study(analysis=analysis(code_size=code_size(spearman=alone(NAN)))),
        "do not both vary",
        "Area",
    ),
    (
        study(analysis=analysis(code_size=code_size(spearman=alone(NAN), architectures=[A]))),
        "Fewer than two",
        "vary",
    ),
    (
        study(analysis=analysis(code_size=code_size(skipped=["u"]))),
        "runs around the code: “u”",
        "no code:",
    ),
    (
        study(analysis=analysis(code_size=code_size(codeless=["p", "q", "r"]))),
        "have no code: “p”, “q” and “r”",
        "runs around the code:",
    ),
    (study(), "with linear codes", "could not be measured"),
    (study(no_linear="gone."), "could not be measured: gone.", "with linear codes"),
    (study(compared=2, better=["a"]), "Better than PCA of the same size: “a”", "No network is"),
    (study(compared=2), "No network is better", "Better than PCA"),
    (study(analysis=analysis(equal_size=NO_SHAPES)), "Error against cost", "at half the channels"),
    (study(), "differ in their number of weights", "Horizontal lines"),
    (study(at_size={"PCA": 0.1}), "Horizontal lines are linear codes", "Beware"),
    (
        study(analysis=analysis(equal_size=Values(**{**vars(SHAPES), "maps": [A, A]}))),
        "judged by",
        "number of weights, too",
    ),
    (study(analysis=analysis(front=[A, B])), "); “b”", "Beware"),
    (study(grid=PICTURE), "at even steps of the error of “a”", "no pictures"),
    (study(grid=PICTURE, above=True), "Error against cost", "at even steps"),
    (study(not_in_grid={"b": "gone."}), "no pictures of “b”: gone.", "at even steps"),
    # The beginning, the data, and what is missing
    (opening(), "a report", "the lab"),
    (opening(inputs=inputs(LabRecord(studies=("s",)))), "the lab", "a report"),
    *(
        (opening(answers=answers(data=data(name=name))), said, "Some runs")
        for name, said in (("photos", "scikit-image"), ("folder", "pictures of a"), ("m", "of m."))
    ),
    (opening(answers=answers(data=data(note="Half."))), "Half.", "Some runs"),
    (opening(answers=answers(data=data(others=["m"]))), "with the rest: m.", "not CIFAR-10"),
    (opening(problems=["gone"]), "last section", "left out"),
    (opening(unshown=[("codes", "gone")]), "last section", "left out"),
    (opening(inputs=inputs(studies=[UNFINISHED])), "last section", "left out"),
    (opening(bitmaps=False), "may not be passed on", "last section"),
    (opening(grid=PICTURE, grid_networks=[A], samples=PICTURE), "by 1 networks", "above its"),
    (opening(samples=PICTURE), "each above its reconstruction", "networks"),
    (opening(effects_figure=PICTURE), "hold for all of them together", "colors that"),
    (opening(predicted=PICTURE), "the colors that “U-Net” predicts", "hold for all"),
    (data_part(), "subtracted before", "Beware"),
    (data_part(data(mean=(), split="official")), "none: pixels stay", "subtracted"),
    (data_part(data(images={**IMAGES, "train": (4, 8)})), "4 to 8, not the same", "Beware"),
    (data_part(command="caelab lab"), "caelab lab", "Beware"),
    (
        data_part(inputs=inputs(lab(limit=64, networks=["a"], ideas=["b"], color_epochs=5))),
        "64 images at most",
        "repeats",
    ),
    (data_part(inputs=inputs(LabRecord(budget="b", amount=EVERYTHING))), "| b. |", "at most"),
    (
        data_part(
            runs=[Values(environment={"device": each}, result={}) for each in ("cpu", "cuda")]
        ),
        "the same device",
        "the same torch",
    ),
    (Part("problems", {"inputs": inputs(), "problems": [], "unshown": []}), "", "missing"),
    (
        Part(
            "problems",
            {
                "inputs": inputs(studies=[UNFINISHED]),
                "problems": ["gone."],
                "unshown": [("codes", "lost.")],
            },
        ),
        "a (seed 0, 1); b (seed 0).",
        "[",
    ),
]

LARGER = {"name": "full", "minutes": 9, "study_seeds": (0, 1), "networks": ("a", "b"), "limit": 64}
TERMINAL = [
    (answers(), LabRecord(), "1.1", "1.2"),
    (answers(), LabRecord(larger=LARGER), "trains 2 networks in exercise 2 on 64 images", "all"),
    (
        answers(),
        LabRecord(larger={**LARGER, "networks": None, "limit": None}),
        "trains all networks of exercise 2 on all training images",
        "64",
    ),
    (answers(reconstruction=reconstruction(), size=SIZES[0]), LabRecord(), "1.2", "2.2"),
    (
        answers(studies={"s": effects("lower")}),
        LabRecord(),
        "lowers the test MSE most",
        "each doubling",
    ),
    (answers(studies={"s": analysis(family=FAMILY)}), LabRecord(), "each doubling", "Across"),
    (answers(studies={"s": analysis()}), LabRecord(), "Across all", "each doubling"),
    (
        answers(studies={"s": analysis(code_size=code_size(spearman=alone(NAN)))}),
        LabRecord(),
        "1.1",
        "2.2",
    ),
    (answers(colors=colors(targets=[target([], [])])), LabRecord(), "instead of", "3.2"),
    (answers(colors=colors(ideas={"a": VERDICTS["lower"]})), LabRecord(), "helps most", "pale"),
    (answers(shortcomings=shortcomings()), LabRecord(), "pale", "helps most"),
    (answers(restorations=[restoration(interval(25.0))]), LabRecord(), "from 20.0 dB", "3.1"),
]


def plain(part: Part, language: str = "en") -> str:
    """The text of a part on one line, without escapes."""
    return " ".join(render_markdown([part], language=language).text.replace("\\", "").split())


@pytest.mark.parametrize(("part", "said", "unsaid"), CASES)
def test_a_sentence_stands_where_the_data_say_so(
    part: Part, said: str, unsaid: str, same_numbers: Callable[[str, str], None]
) -> None:
    text = plain(part)
    assert said in text
    assert unsaid not in text
    for language in LANGUAGES:
        if language != "en":
            same_numbers(text, plain(part, language))


@pytest.mark.parametrize(("found", "lab", "said", "unsaid"), TERMINAL)
def test_a_line_stands_in_the_terminal(
    found: Any, lab: LabRecord, said: str, unsaid: str, same_numbers: Callable[[str, str], None]
) -> None:
    context = {"answers": found, "lab": lab, "file": "report.html"}
    text = render_lines("terminal", context)
    assert said in text
    assert unsaid not in text
    for language in LANGUAGES:
        if language != "en":
            same_numbers(text, render_lines("terminal", context, language))


class Recording(CodeGenerator):
    """Compiles templates so that each condition records which way it goes."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        # Before anything is written: a template's beginning names the filters that are in it.
        for each in node.find_all((nodes.If, nodes.CondExpr)):
            each.test = self.recorded(each.test)
        super().visit_Template(node, frame)

    def recorded(self, test: nodes.Expr) -> nodes.Expr:
        conditions = self.environment.conditions  # type: ignore[attr-defined]
        name = f"{self.name}, line {test.lineno}, condition {len(conditions)}"
        conditions[name] = set()
        return nodes.Filter(test, "record", [nodes.Const(name)], [], None, None, lineno=test.lineno)


@pytest.fixture(params=LANGUAGES)
def conditions(request: pytest.FixtureRequest) -> Iterator[dict[str, set[bool]]]:
    """Outcomes of each condition of a language's templates by its place."""
    found: dict[str, set[bool]] = {}

    def record(value: Any, name: str) -> Any:
        found[name].add(bool(value))
        return value

    made = environment(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "code_generator_class", Recording)
        patch.setattr(made, "conditions", found, raising=False)
        patch.setitem(made.filters, "record", record)
        made.cache.clear()
        for name in made.list_templates(extensions=["j2"]):
            made.get_template(name)
        for part, *_ in CASES:
            render_markdown([part], language=request.param)
        for found_answers, record_of_lab, *_ in TERMINAL:
            context = {"answers": found_answers, "lab": record_of_lab, "file": ""}
            render_lines("terminal", context, request.param)
        yield found
    made.cache.clear()


def test_every_condition_goes_both_ways(conditions: dict[str, set[bool]]) -> None:
    assert len(conditions) > 100
    assert {name: each for name, each in conditions.items() if each != {True, False}} == {}
