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
    usual = {"ratio": interval(ratio), "more_seeds": None, "alone": interval(ratio)}
    return Contrast(verdict=verdict, **{**usual, **changed})


VERDICTS = {
    "lower": contrast(Verdict.LOWER),
    "higher": contrast(Verdict.HIGHER, 2.0),
    "equal": contrast(Verdict.EQUIVALENT, 1.01),
    "open": contrast(Verdict.UNDECIDED, 1.2, more_seeds=7, alone=interval(1.2, 0.3)),
    "unsure alone": contrast(Verdict.UNDECIDED, 0.8, more_seeds=1, alone=interval(0.5)),
    "unsure above": contrast(Verdict.UNDECIDED, 1.2, more_seeds=2),
    "hopeless": Contrast(
        ratio=alone(0.9), verdict=Verdict.UNDECIDED, more_seeds=None, alone=alone(0.9)
    ),
}


def network(label: str, **changed: Any) -> Values:
    mse = interval(0.004, 0.001)
    usual = {"code_size": 1024, "narrowest": 768, "expands": False, "weights": 5}
    return Values(**{"label": label, "mse": mse, **usual, **changed})


def effect(verdict: str, **changed: Any) -> Values:
    usual = {"factor": "kernel", "same_code": True, "also": (), "contrast": VERDICTS[verdict]}
    return Values(**{**usual, "architecture": network(f"{verdict} one"), **changed})


A, B = network("a"), network("b", weights=7)
STEPS = [Values(first=A, second=B, doubling=VERDICTS[each]) for each in ("lower", "open")]
SHAPES = Values(size=768, ranking=[A, B], maps=[A, B], doubling=VERDICTS["lower"], steps=STEPS)
NO_SHAPES = Values(size=0, ranking=[], maps=[], doubling=None, steps=[])


def code_size(rho: float = 0.0, **changed: Any) -> Values:
    usual = {"architectures": [A, B], "skipped": [], "codeless": [], "spearman": interval(rho)}
    others = {"confounders": {"area": interval(0.0), "weights": interval(0.0)}}
    return Values(**{**usual, **others, "held": interval(rho), **changed})


def analysis(**changed: Any) -> Values:
    networks = {"architectures": [Values(label="bad", failed=1)], "measured": [A, B], "front": [A]}
    usual = {**networks, "base": A, "best": A, "effects": [], "ranking": [], "family": None}
    usual |= {"interactions": [], "smallest_alike": None, "open": []}
    return Values(**{**usual, "code_size": code_size(), "equal_size": SHAPES, **changed})


def family(verdict: str = "lower", *, capped: bool = False, flattens: bool = False) -> Values:
    largest = A if capped else None
    steps = {"steps": STEPS, "capped": largest, "flattens": flattens}
    return Values(architectures=[A, B], doubling=VERDICTS[verdict], **steps)


FAMILY = family()
IMAGES = {"train": (8, 8), "validation": (1, 1), "test": (1, 1)}


def data(**changed: Any) -> Values:
    usual: dict[str, Any] = {"name": "cifar10", "note": "", "fingerprint": "0f"}
    usual |= {"pixels": "32×32", "channels": 3}
    split = {"images": IMAGES, "split": "pooled", "split_seed": 0, "others": []}
    return Values(**{**usual, **split, "mean": (0.5,) * 3, "std": (0.2,) * 3, **changed})


def place(size: int, row: int = 1) -> Values:
    return Values(shape=(size, 1, 1), size=size, row=row)


EXAMPLE = Values(network="net", layer="conv3s2", calculation="(⌊(6 − 3 + 0)/2⌋ + 1)² · 3 = 12")


def size(code: Any, narrowest: Any, *, skip: bool = False, example: Any = EXAMPLE) -> Values:
    inputs = {"input": (3, 4, 4), "inputs": 48, "example": example}
    return Values(code=code, narrowest=narrowest, skip_around_code=skip, **inputs)


SIZES = [
    size(None, place(8), example=None),
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


REMEDIES = {"labels": (), "brightness": ("a", "b", "c"), "changed images": ("d",)}


def colorizer(label: str = "U-Net", text: str = "conv3", **changed: Any) -> Values:
    usual = {"network": "unet", "found_as": "", "options": "", "mse": 0.005}
    return Values(**{"label": label, "text": text, **usual, **changed})


def colors(**changed: Any) -> Values:
    usual = {"best": "U-Net", "base": "U-Net", "images": 9, "mse": interval(0.004, 0.001)}
    usual |= {"colorizers": [colorizer()], "ahead": []}
    usual |= {"strongest": {"mse": "mean chroma", "ciede2000": "gray copy"}, "smaller": {}}
    others = {"ciede2000": interval(9.0), "baselines": BASELINES, "targets": [], "ideas": {}}
    usual |= {"remedies": REMEDIES}
    return Values(**{**usual, **others, **changed})


def ahead(baseline: str) -> list[Values]:
    metrics = ("PSNR", "pixels within 2%")
    return [Values(metric=each, baseline=baseline, value=26.0, network=25.0) for each in metrics]


def target(better: list[str], worse: list[str], verdict: str = "lower") -> Values:
    return Values(chroma="U-Net", contrast=VERDICTS[verdict], better=better, worse=worse)


def hue(name: str, kept: float, chroma_mse: float = 0.01) -> Values:
    return Values(name=name, share=0.1, kept=kept, chroma_mse=chroma_mse)


def chroma_class(name: str, error: float) -> Values:
    return Values(name=name, error=interval(error, 0.5))


def ambiguity(rank: float = 0.5, errors: tuple[float, ...] = (1.0, 3.0)) -> Values:
    bins = [Values(error=error) for error in errors]
    return Values(neighbors_error=0.03, error=0.02, rank_correlation=rank, n=100, bins=bins)


def shortcomings(**changed: Any) -> Values:
    classes = [chroma_class("frog", 4.0), chroma_class("ship", 1.0)]
    usual: dict[str, Any] = {
        "label": "U-Net",
        "images": 9,
        "side": 32,
        "colorfulness": Values(ratio=0.5, quartiles=(0.3, 0.45, 0.7), n=9),
        "classes": classes,
        "hues": [],
        "main_hues": [hue("blue", -0.1), hue("red", 0.6)],
        "rarity": interval(0.5),
        "class_colors": interval(0.5),
        "ambiguity": ambiguity(),
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
    usual = {"data": data(), **missing, "studies": {}, "linear": {}, "restorations": ()}
    return Values(**{**usual, **changed})


LINEAR = Values(compared=2, better=())


# A part for each template, and values in place of the usual ones that turn a condition.


def study(**changed: Any) -> Part:
    pictures = ("effects", "code_size", "equal_size", "front")
    usual: dict[str, Any] = {f"{name}_figure": PICTURE for name in pictures}
    usual |= {"study": Values(question="", rows=[1], planned=1), "analysis": analysis()}
    usual |= {"suffix": "", "above": False, "architectures": [], "effects": [], "no_linear": ""}
    usual |= {"interactions": [("a × b", 0.2, 0.1, 0.3, Verdict.HIGHER, None, 0.004)]}
    usual |= {"linear": Values(compared=0, better=()), "at_size": {}, "grid": None}
    usual |= {"grid_networks": [A], "rates": [0.008]}
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
    described = Values(text="conv3", rows=[1], weights=84, multiply_accumulates=9, input=(3, 4, 4))
    usual = {"answer": answer or reconstruction(), "network": described, "drawing": PICTURE}
    usual |= {"layers": [], "curves": PICTURE, "errors": [], "samples": PICTURE, "above": False}
    usual |= {"epochs": [(1, 0.9, 0.8)]}
    run = Values(name="run", config=Values(seed=0))
    usual |= {"run": run, "missing_sites": "no images", "sites_figure": PICTURE}
    return Part("reconstruction", {**usual, **changed})


def sites(**changed: float) -> Part:
    usual = {"flat": 0.03, "steep_share": 0.5, "lowest": 0.1, "highest": 0.1, "border": 1.0}
    return first_part(reconstruction(sites=Values(**{**usual, **changed})))


def color_part(answer: Values | None = None, **changed: Any) -> Part:
    usual = {"answer": answer or colors(), "left_out": [], "same_validation": True}
    usual |= {"comparison": [], "missing_pictures": "", "targets": [], "overfitting": []}
    usual |= {"pictures": {"colors": PICTURE, "planes": PICTURE}}
    return Part("colorization", {**usual, "metrics": {}, **changed})


def ideas_part(**changed: Any) -> Part:
    return Part("ideas", {"answer": colors(**changed), "ideas": [], "smaller": []})


def shortcomings_part(**changed: Any) -> Part:
    limits = {"chroma": 10.0, "edge": 0.1, "side": 8, "share": 0.02}
    values = {"answer": shortcomings(**changed), "limits": limits, "colors": colors()}
    return Part("shortcomings", values)


def training(*values: tuple[Any, ...], layers: Any = ()) -> Part:
    answer = Values(tasks=["reconstruct", "color"], options={"ema_decay": values})
    return Part("training", {"answer": answer, "layers": dict(layers)})


def restoration_part(answer: Values) -> Part:
    methods = [("noise25", "net", 25.0, 0.9, 0.001, 9)]
    shared = {"missing_degradations": [], "strips": {"noise25": PICTURE}}
    return Part("restoration", {"answers": [answer], "methods": methods, **shared})


def table(**changed: Any) -> Part:
    return Part("answers", {"answers": answers(**changed)})


def effects(*verdicts: str, code: int | None = 1024, **changed: Any) -> Values:
    found = [effect(each, **changed) for each in verdicts]
    decided = [each for each in found if each.contrast.verdict in ("lower", "higher")]
    ranking = [each for each in decided if each.same_code]
    return analysis(effects=found, ranking=ranking, base=network("a", code_size=code))


def lab(**amount: Any) -> LabRecord:
    return LabRecord(budget="own", amount={**EVERYTHING, **amount}, impossible=("ten classes",))


def bleeding(edges: float, kept: float = 0.3, flat: float = 0.1) -> Part:
    found = Values(edges=hue("edges", kept, edges), flat=hue("flat", flat, 0.002))
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
    (
        table(studies={"s": effects("lower", "higher")}),
        (
            "At the base's code size, 1,024 numbers, the choice that matters most by itself is the"
            " filter size (kernel): “lower one” lowers the test MSE by 50% (−60% to −40%)."
            " Next: filter size (kernel) (“higher one”: 100% higher)."
        ),
        "Not changed alone",
    ),
    (
        table(studies={"s": effects("lower", "higher", "lower")}),
        "(“higher one”: 100% higher), filter size (kernel) (“lower one”: 50% lower).",
        "ithout a certain",
    ),
    (table(studies={"s": effects("lower")}), "lowers the test MSE by 50%", "Next:"),
    (
        table(studies={"s": effects("lower", code=None)}),
        "the choice that matters most",
        "At the base's",
    ),
    (
        table(studies={"s": effects("open")}),
        "At the base's code size, 1,024 numbers, no effect is certain.",
        "by itself",
    ),
    (table(studies={"s": effects("open", code=None)}), "no effect is certain", "At the base's"),
    (
        table(studies={"s": effects("lower", also=("narrowest",))}),
        (
            "At the base's code size, 1,024 numbers, no choice has a certain effect by itself."
            " Not changed alone: filter size (kernel) (“lower one”: 50% lower), together with the"
            " size of the narrowest representation."
        ),
        "matters most by",
    ),
    (
        table(
            studies={
                "s": analysis(
                    effects=[effect("lower")],
                    ranking=[
                        *(effect(each, also=("decoder",)) for each in ("lower", "higher", "lower")),
                        effect("lower", also=("narrowest",), factor="stride"),
                    ],
                )
            }
        ),
        (
            "Not changed alone: filter size (kernel) (“lower one”: 50% lower), filter size (kernel)"
            " (“higher one”: 100% higher) and filter size (kernel) (“lower one”: 50% lower),"
            " together with the layers of the decoder; stride (“lower one”: 50% lower), together"
            " with the size of the narrowest representation."
        ),
        "matters most by",
    ),
    *(
        (
            table(
                studies={
                    "s": analysis(
                        base=network("a", weights=10),
                        effects=[effect("lower")],
                        ranking=[effect("lower")],
                        smallest_alike=network("small", weights=5, mse=interval(mse, 0.001)),
                    )
                }
            ),
            f"“small” has 50% of the base's weights, and its test MSE is {words}.",
            "Not changed alone",
        )
        for mse, words in ((0.0041, "2.5% higher"), (0.002, "50% lower"))
    ),
    (table(studies={"s": effects("lower")}), "by itself", "Can weights be saved"),
    (
        table(studies={"s": effects("unsure alone")}),
        (
            "lowers the test MSE by 20%, but not certainly (−30% to −10%; as the only comparison it"
            " would be certain, −60% to −40%; 1 further seed of each network may decide it)"
        ),
        "has no certain effect",
    ),
    (table(studies={"s": effects("unsure above")}), "raises the test MSE by 20%, but", "20% lower"),
    (
        table(
            studies={
                "s": analysis(
                    effects=[effect("lower")],
                    ranking=[effect("lower")],
                    open=[
                        effect("unsure alone", factor="stride"),
                        effect("equal", factor="stride"),
                        effect("open", factor="padding"),
                    ],
                )
            }
        ),
        (
            " Changed alone, but without a certain effect: padding (“open one”: 20% higher, +10% to"
            " +30%); stride (“unsure alone one”: 20% lower, −30% to −10%, as the only comparison"
            " −60% to −40%; “equal one”: no effect larger than 3%, −9.0% to +11%)."
        ),
        "Not changed alone",
    ),
    (
        table(
            studies={
                "s": analysis(
                    effects=[effect("lower")],
                    ranking=[effect("lower")],
                    open=[effect("open", factor="stride", also=("decoder",))],
                )
            }
        ),
        (
            " Without a certain effect: stride (“open one”: 20% higher, +10% to +30%, together with"
            " the layers of the decoder)."
        ),
        "Changed alone",
    ),
    (
        table(studies={"s": effects("lower", "higher", same_code=False)}),
        (
            "Where the size of the code changes, too, “lower one” (code 1,024) lowers the test MSE"
            " most, by 50%; “higher one” (code 1,024) raises the test MSE most, by 100%."
        ),
        "matters most by itself",
    ),
    (
        table(
            studies={
                "s": effects(
                    "lower", same_code=False, architecture=network("x", code_size=9, expands=True)
                )
            }
        ),
        "“x” (code 9, more numbers than an image has) lowers the test MSE most, by 50%.",
        "raises",
    ),
    *(
        (
            table(
                studies={
                    "s": effects(
                        verdict, same_code=False, architecture=network("x", code_size=None)
                    )
                }
            ),
            f"“x” (no code) {changes} the test MSE most",
            "(code",
        )
        for verdict, changes in (("lower", "lowers"), ("higher", "raises"))
    ),
    (
        table(studies={"s": effects("higher", same_code=False)}),
        "raises the test",
        "lowers the test MSE most",
    ),
    (table(studies={"s": effects("lower")}), "decoder stay as they are", "Beside this"),
    (
        table(studies={"s": effects("lower", also=("code shape", "narrowest", "decoder"))}),
        (
            "Beside this choice, “lower one” changes the shape of the code, the size of the"
            " narrowest representation and the layers of the decoder. No comparison at the base's"
            " code size"
        ),
        "Only",
    ),
    (
        table(studies={"s": effects("lower", "open", also=("decoder",))}),
        "“lower one” and “open one” change the layers of the decoder.",
        "Only",
    ),
    *(
        (
            table(
                studies={
                    "s": analysis(
                        effects=[
                            effect("lower", also=("decoder",)),
                            *(effect(each) for each in unchanged),
                        ],
                        ranking=[effect("lower", also=("decoder",))],
                    )
                }
            ),
            said,
            "No comparison",
        )
        for unchanged, said in (
            (["open"], "Only “open one” leaves these as they are."),
            (["open", "equal"], "and “open one” leave these as they are."),
        )
    ),
    (table(studies={"s": effects("open")}), "; 7 further seeds of each network may", "no interval"),
    (
        table(studies={"s": effects("hopeless")}),
        "no interval; more seeds would hardly",
        "may decide",
    ),
    (table(studies={"s": effects("lower")}), "At the base's code size", "another code size"),
    (table(studies={"s": effects("lower", same_code=False)}), "another code size", "by itself"),
    (
        table(studies={"s": effects("lower", code=None)}),
        "Impact of the filter size",
        "At the base",
    ),
    (table(studies={"s": effects("lower", factor="code")}), "matters most", "Impact of"),
    (table(studies={"s": effects("lower", factor="device")}), "Impact of the device", "kernel"),
    (table(studies={"one": analysis(family=FAMILY), "two": analysis()}), ": two", "matters most"),
    # The size of the code
    (
        table(studies={"s": analysis(family=FAMILY)}),
        "each doubling of the code lowers",
        "numbers on",
    ),
    (
        study(analysis=analysis(family=FAMILY)),
        "becomes 50% lower from 1,024 to 1,024 numbers, 20% higher (not certain) from 1,024",
        "flattest",
    ),
    (
        study(analysis=analysis(family=family(capped=True, flattens=True))),
        (
            "From 1,024 numbers on, the narrowest representation keeps its 768 numbers, and there"
            " the curve is flattest"
        ),
        "not flattest",
    ),
    (study(analysis=analysis(family=family(capped=True))), "not flattest", "and there"),
    (
        table(studies={"s": analysis(family=FAMILY)}),
        "interval −0.10 to 0.10), but a larger code lowers the error where nothing else changes.",
        "Yes",
    ),
    (
        table(studies={"s": analysis(family=family("open"))}),
        "no correlation is certain (a rank correlation of ρ = 0, 95% interval −0.10 to 0.10).",
        "a larger code lowers",
    ),
    (
        table(studies={"s": analysis(code_size=code_size(-0.5))}),
        "Yes: across all 2 architectures, a larger code goes with a smaller error",
        "is certain",
    ),
    (
        table(studies={"s": analysis(code_size=code_size(-0.5, held=interval(0.0)))}),
        "no effect of the size alone is certain",
        "effect of its own",
    ),
    (
        table(studies={"s": analysis(code_size=code_size(0.5, held=alone(NAN)))}),
        "Yes, but across all 2 architectures, a larger code goes with a larger error",
        "weights held",
    ),
    (
        table(studies={"s": analysis()}, linear={"s": LINEAR}),
        "No network is better than PCA of its size (2 compared).",
        "Better than PCA",
    ),
    (
        table(studies={"s": analysis()}, linear={"s": Values(compared=2, better=("a",))}),
        "Better than PCA of their size: 1 of 2 networks (“a”).",
        "No network is better",
    ),
    (
        table(studies={"s": analysis()}, linear={"s": Values(compared=0, better=())}),
        "Across all",
        "than PCA",
    ),
    (
        table(studies={"s": analysis()}),
        "the error becomes 50% lower from “a” to “b”, 20% higher (not certain) from “a” to “b”.",
        "than PCA",
    ),
    (
        table(studies={"s": analysis(equal_size=Values(**{**vars(SHAPES), "steps": STEPS[:1]}))}),
        "at half the channels",
        "With each doubling of the area",
    ),
    (
        table(studies={"s": analysis(code_size=code_size(-0.5))}),
        "smaller error",
        "each doubling of the code",
    ),
    (table(studies={"s": analysis(code_size=code_size(0.5))}), "larger error", "smaller error"),
    (
        table(studies={"s": analysis(code_size=code_size(spearman=alone(0.5)))}),
        "ρ = 0.50).",
        "larger error",
    ),
    (table(studies={"s": analysis(code_size=code_size(held=alone(NAN)))}), "ρ", "held"),
    (table(studies={"s": analysis(code_size=code_size(spearman=alone(NAN)))}), "shape", "ρ ="),
    (table(studies={"s": analysis(equal_size=NO_SHAPES)}), "correlated", "shape matter"),
    (
        table(studies={"s": analysis(family=FAMILY, code_size=code_size(spearman=alone(NAN)))}),
        "each doubling of the code",
        "Across all",
    ),
    # Colors, shortcomings and other restorations
    (
        table(colors=colors()),
        "57% of that of the gray image in one color everywhere, the best answer without a network.",
        "no less",
    ),
    (
        table(colors=colors()),
        (
            "ΔE₀₀ is 9.0; the gray image itself, the best answer without a network by this measure,"
            " has 12.0."
        ),
        "no less",
    ),
    *(
        (
            table(colors=colors(colorizers=[colorizer(each, found_as="x") for each in labels])),
            f"The best network of 2.2: {said}",
            "no less",
        )
        for labels, said in (("a", "“a” has 0.00500."), ("ab", "“a” has 0.00500, “b” has 0.00500."))
    ),
    (table(colors=colors()), "best answer without a network.", "The best network of 2.2"),
    (table(colors=colors(mse=interval(0.01))), "no less than that of the gray image", "% of that"),
    (table(colors=colors(baselines={}, strongest={})), "ΔE₀₀ is 9.0.", "the gray image"),
    (
        table(colors=colors(ahead=ahead("gray copy"))),
        (
            "better than every network: the gray image itself by PSNR (26.0; the best network has"
            " 25.0),"
            " the gray image itself by pixels within 2% (26.0; the best network has 25.0)."
        ),
        "no less",
    ),
    (color_part(colors()), "“U-Net” is the network unet.", "the best of 2.2"),
    (color_part(overfitting=[("a", 2, 6)]), "“a” overfits: of 6 epochs, the", "“U-Net” overfits"),
    (study(analysis=effects("lower"), rates=[0.002, 0.008]), "from 0.00200 to", "every rate"),
    *(
        (training(values, (True,)), f"(EMA) (ema_decay). | {said} | yes |", "conv8")
        for values, said in (
            ((None,), "none"),
            ((None, 0.9), "none or 0.9"),
            ((False, 0.05), "no or 0.05"),
            ((0.002, 0.004, 0.0053333), "0.002 to 0.00533"),
            (("soap", "linear", "own"), "SOAP or falls linearly to 0 or own"),
        )
    ),
    (training(layers={"conv": "", "own": "a layer."}), "| conv8 | A convolution with", "max-pool"),
    (training(layers={"conv": "", "own": "a layer."}), "| own | a layer. |", "max-pool"),
    (
        table(
            studies={
                "s": analysis(
                    effects=[effect("lower")],
                    ranking=[
                        effect("lower", also=("decoder",)),
                        effect("higher", factor="padding"),
                    ],
                )
            }
        ),
        (
            "by itself is the padding: “higher one” raises the test MSE by 100% (+90% to +110%)."
            " Not changed alone: filter size (kernel) (“lower one”: 50% lower), together with the"
            " layers of the decoder."
        ),
        "No effect",
    ),
    (
        color_part(
            colors(colorizers=[colorizer(), colorizer("a", options="flip, translate 2, unheard")])
        ),
        "“a” is “U-Net”, with mirrored images, images moved by up to 2 pixels, unheard.",
        "the best of 2.2",
    ),
    (
        color_part(colors(colorizers=[colorizer(), colorizer("a", "conv5 conv3")])),
        "“a” is the network unet.",
        "unet, with",
    ),
    (
        color_part(colors(colorizers=[colorizer(found_as="one pooling stage")])),
        "“U-Net” is the network “one pooling stage”, the best of 2.2.",
        "the network unet",
    ),
    (table(colors=colors(ciede2000=alone(NAN))), "colorizer", "ΔE₀₀"),
    *(
        (table(colors=colors(targets=[target([], [], each) for each in verdicts])), said, unsaid)
        for verdicts, said, unsaid in (
            (["lower"], "Yes: compared with predicting RGB, predicting", "with the network of"),
            (
                ["lower", "higher"],
                (
                    "With some networks: compared with predicting RGB, predicting chroma and"
                    " copying the luminance of the input lowers the test MSE by 50% (−60% to −40%)"
                    " with the network of “U-Net”; it raises the test MSE by 100% (+90% to +110%)"
                    " with the network of “U-Net”."
                ),
                "Yes",
            ),
            (["open", "higher"], "No: compared with", "Yes"),
            (["open"], "Not certainly: compared with", "with the network of"),
        )
    ),
    (table(colors=colors()), "Brackets hold 95% intervals", "helps most"),
    (table(), "1.1", "Brackets hold"),
    (table(colors=colors(ideas={"a": VERDICTS["lower"]})), "“a” helps most", "None of"),
    (table(colors=colors(ideas={"a": VERDICTS["open"]})), "The one idea is not certain", "None of"),
    (
        table(colors=colors(ideas=dict.fromkeys("ab", VERDICTS["open"]))),
        "None of the 2 ideas is certain",
        "The one idea",
    ),
    (
        table(colors=colors(ideas={"a": VERDICTS["lower"], "b": VERDICTS["higher"]})),
        "The other ideas: “b” raises the test MSE by 100% (+90% to +110%). |",
        "Each idea",
    ),
    (
        table(
            colors=colors(ideas={"a": VERDICTS["lower"], **dict.fromkeys("bc", VERDICTS["equal"])})
        ),
        "“b” has no effect larger than 3% (−9.0% to +11%); “c” has",
        "Each idea",
    ),
    (
        table(colors=colors(ideas={"a": VERDICTS["higher"]})),
        "Each idea: “a” raises the test MSE by 100%",
        "helps most",
    ),
    (table(shortcomings=shortcomings()), "true color is blue: −10% of it.", "1.2"),
    (table(shortcomings=shortcomings(main_hues=[hue("red", 0.6)])), "pale", "true color is"),
    (table(shortcomings=shortcomings()), "The rarer a hue is, the less", "1.2"),
    (table(shortcomings=shortcomings(rarity=interval(0.0))), "pale", "The rarer"),
    (table(shortcomings=shortcomings()), "which is paler than they are", "1.2"),
    *(
        (table(shortcomings=shortcomings(colorfulness=found)), said, "paler than")
        for found, said in (
            (Values(ratio=1.2, n=9), "too strong"),
            (Values(ratio=NAN, n=0), "not measured"),
        )
    ),
    (table(shortcomings=shortcomings()), "larger for frog (4.00) than for ship (1.00)", "1.2"),
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
    (color_part(), "The base of comparisons is “U-Net”. - “U-Net” is the network unet.", "nearly"),
    (color_part(colors(ahead=ahead("gray copy"))), "that are nearly gray in truth", "Missing"),
    (color_part(colors(ahead=ahead("mean chroma"))), "in one color everywhere by PSNR", "nearly"),
    (color_part(same_validation=False), "same validation images", "Missing"),
    (color_part(missing_pictures="gone."), "no pictures: gone.", "evenly spaced"),
    (color_part(left_out=["other"]), "other was measured on other", "no pictures"),
    *(
        (color_part(targets=[(target(*sides), [])]), said, "Ideas")
        for sides, said in (
            ((["MSE"], []), "better with chroma in every metric"),
            (([], ["MSE"]), "better with chroma in no metric"),
            ((["MSE"], ["PSNR"]), "no worse, in PSNR"),
        )
    ),
    *(
        (color_part(targets=[(target(["MSE"], []), [])] * count), said, unsaid)
        for count, said, unsaid in (
            (1, "RGB or chroma Yes", "the network of “U-Net”"),
            (2, "RGB or chroma: the network of “U-Net” Yes", "chroma Yes"),
        )
    ),
    (ideas_part(ideas={"a": VERDICTS["lower"]}), "“a” helps most", "less than half"),
    (
        ideas_part(ideas={"a": VERDICTS["lower"]}, smaller={"b": VERDICTS["open"]}, best="U-Net"),
        (
            "| tried: “a”, test MSE 50% lower; “b”, test MSE 20% higher, not certain; “c” |"
            " | overfitting | mirrored, shifted and zoomed training images | tried: “d” |"
        ),
        "None of",
    ),
    (
        ideas_part(),
        "recognizes things | not tried; `caelab study colorize-ideas` does it |",
        "most",
    ),
    (ideas_part(smaller={"a": VERDICTS["higher"]}), "less than half", "helps most"),
    (shortcomings_part(), "Half of the 9 test images", "not certain"),
    (shortcomings_part(), "a mean of several colors is paler", "not certain"),
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
    (
        shortcomings_part(),
        "the stronger the true colors of a class are, the larger is its error (a rank correlation",
        "strong true colors.",
    ),
    (
        shortcomings_part(class_colors=interval(0.05, n=10)),
        "Over 10 classes, the mean colorfulness of the true images and the chroma error have a",
        "the stronger the true",
    ),
    (shortcomings_part(class_colors=alone(0.5)), "larger for frog", "true colors of a class"),
    (shortcomings_part(), "below zero", "this difference"),
    (
        shortcomings_part(main_hues=[hue("blue", 0.1), hue("red", 0.6)]),
        "red (60% of it, in 10% of the pixels), least where it is blue (10% of it",
        "below zero",
    ),
    (shortcomings_part(main_hues=[]), "pale", "Which colors are missed"),
    (
        shortcomings_part(),
        "The rarer a hue is, the less of it is found (a rank correlation of ρ = 0.50",
        "less is found",
    ),
    (shortcomings_part(rarity=interval(0.0)), "that less is found of rarer", "The rarer a hue"),
    (shortcomings_part(rarity=alone(0.5)), "Which colors are missed", "rarer"),
    (shortcomings_part(), "it is 3.0 times that in the 50% with the fewest", "not certain that"),
    *(
        (shortcomings_part(ambiguity=found), said, unsaid)
        for found, said, unsaid in (
            (ambiguity(0.1), "not certain that its error is larger", "with the fewest"),
            (ambiguity(NAN), "not certain that its error is larger", "with the fewest"),
            (
                ambiguity(errors=(1.0,)),
                "differ more in color (a rank correlation ρ = 0.50).",
                "with the fewest",
            ),
            (
                ambiguity(errors=(0.0, 1.0)),
                "differ more in color (a rank correlation ρ = 0.50).",
                "with the fewest",
            ),
            (None, "pale", "the most similar ones"),
        )
    ),
    (shortcomings_part(), "Images of at most 32 pixels a side show few", "not certain that"),
    (shortcomings_part(side=96), "the most similar ones", "show few"),
    (bleeding(0.004), "there is larger, 2.0 times", "about that"),
    (bleeding(0.001), "there is 0.50 times that of flat", "about that"),
    (bleeding(0.002), "about that of flat", "times that of"),
    (bleeding(0.002, kept=NAN), "pale", "true change of color"),
    (bleeding(0.002, kept=0.05), "which two colors meet there", "no special weakness"),
    (bleeding(0.002), "areas it has 10%. So edges are no special weakness", "which two colors"),
    (bleeding(0.002, flat=NAN), "of the true change of color.", "in flat areas it"),
    (bleeding(0.002, kept=0.8), "has 80% of the true change of color", "which two colors"),
    (shortcomings_part(), "80% if all pixels are multiplied by 0.80", "changed by"),
    (
        shortcomings_part(worst_shift=Values(scale=1.0, offset=-0.1, relative=0.8)),
        "changed by −0.1",
        "multiplied by 0.8",
    ),
    (
        shortcomings_part(worst_shift=Values(scale=0.8, offset=0.0, relative=0.51)),
        "does not raise it",
        "if all pixels",
    ),
    (shortcomings_part(worst_shift=Values(relative=NAN)), "pale", "brightness"),
    (shortcomings_part(invented=Values(n=0)), "pale", "gray in truth"),
    (Part("shortcomings", {"missing": "no images"}), "is missing: no images", "pale"),
    # The reference network and the size of its code
    (first_part(), "In epoch 2, the last one, the validation error fell by 44%", "Missing"),
    (first_part(reconstruction(validation=(0.9,))), "times the training error", "the last one"),
    (first_part(reconstruction(validation=(0.5, 0.6))), "validation error rose by 20%", "fell"),
    (first_part(), "Two seeds leave one degree", "Missing"),
    (first_part(reconstruction(mse=interval(0.004, n=3))), "Student", "Two seeds"),
    (first_part(reconstruction(linear={4: 0.004, 8: 0.0})), "about the error of PCA", "PCA with 8"),
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
    (table(size=SIZES[1]), "conv3s2 of the network “net” has (⌊(6 − 3 + 0)/2⌋ + 1)²", "marks no"),
    (table(size=SIZES[0]), "marks no code", "For example"),
    (first_part(), "with 8 numbers it stores 384 weights, the network 84.", "Missing"),
    (first_part(reconstruction(linear={})), "measured once.", "fitted to whole images"),
    # A study
    (study(), "No level of a factor", "Which"),
    (study(study=Values(question="Which?", rows=[], planned=1)), "Which?", "Beware"),
    (study(analysis=analysis(best=None)), "nothing can be said yet", "the best"),
    (study(analysis=analysis(measured=[A])), "The only network", "the best by"),
    (
        study(analysis=analysis(best=network("a", expands=True))),
        "Its code has 1,024 numbers, more than an image",
        "The only network",
    ),
    (study(analysis=analysis(architectures=[])), "the best by validation", "left out"),
    (study(), "left out; there are some of “bad”", "Beware"),
    (
        study(analysis=analysis(measured=[network("a", mse=alone(0.1))], effects=[effect("open")])),
        "There is one seed for each network",
        "hold together",
    ),
    (study(analysis=analysis(base=None)), "nothing to measure effects from", "No level"),
    (study(analysis=effects("lower")), "of all 1 changes hold together", "No level"),
    (study(analysis=effects("lower", "open", "equal")), "lower error: 1; higher error: 0", "No l"),
    (study(analysis=effects("lower")), "simultaneous", "Two changes at once"),
    (
        study(analysis=analysis(effects=[effect("lower")], interactions=[effect("higher")])),
        "Two changes at once",
        "No level",
    ),
    (study(analysis=effects("lower"), above=True), "hold together", "simultaneous"),
    (study(analysis=analysis(family=FAMILY)), "Where only the code changes", "another"),
    (study(analysis=analysis(family=FAMILY)), "the thin line joins the networks where", "another"),
    (study(analysis=analysis(code_size=code_size(0.5))), "an effect of its own", "no effect of"),
    (study(analysis=analysis(code_size=code_size())), "no effect of the size alone", "of its own"),
    (
        study(
            analysis=analysis(
                code_size=code_size(confounders={"area": alone(NAN), "weights": interval(0.0)})
            )
        ),
        "The area of the code and the error have no rank correlation, as one of both does not vary",
        "NaN",
    ),
    (
        study(analysis=analysis(code_size=code_size(held=alone(NAN)))),
        "The area of the code and",
        "weights held",
    ),
    (
        study(analysis=analysis(code_size=code_size(spearman=alone(NAN)))),
        "do not both vary",
        "and the error have",
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
    (
        study(linear=Values(compared=2, better=("a",))),
        "Better than PCA of their size: 1 of 2 networks (“a”)",
        "No network is",
    ),
    (study(linear=LINEAR), "No network is better", "Better than PCA"),
    (study(analysis=analysis(equal_size=NO_SHAPES)), "Error against cost", "at half the channels"),
    (study(), "differ in their number of weights", "Horizontal lines"),
    (study(at_size={"PCA": 0.1}), "Horizontal lines are linear codes", "Beware"),
    (
        study(analysis=analysis(equal_size=Values(**{**vars(SHAPES), "maps": [A, A]}))),
        "judged by",
        "number of weights, too",
    ),
    (study(analysis=analysis(front=[A, B])), "); “b”", "Beware"),
    (study(grid=PICTURE), "to the largest error of “a”", "no pictures"),
    (study(grid=PICTURE, above=True), "Error against cost", "to the largest"),
    (study(not_in_grid={"b": "gone."}), "no pictures of “b”: gone.", "to the largest"),
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
        "the choice that matters most by itself is the filter size (kernel)",
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
    (answers(colors=colors(targets=[target([], [])])), LabRecord(), "Yes: compared", "3.2"),
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
