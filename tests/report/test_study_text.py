"""The words of a study's report: which answer is given, and with which numbers."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caelab.errors import InputError
from caelab.experiments.study_results import StudyRow
from caelab.report import study_report
from caelab.report.inputs import StudyResults
from caelab.report.number_format import significant, size_in_words
from caelab.report.render_markdown import render_markdown
from caelab.report.study_report import study_part


def rows(
    label: str,
    errors: Sequence[float],
    *,
    level: str = "",
    code: tuple[int, int, int] | None = (16, 8, 8),
    weights: int = 5000,
    macs: int = 10_000,
    skip: bool = False,
    first_seed: int = 0,
) -> list[StudyRow]:
    """Return the rows of one network, an error a seed; with a level it is one of the kernel's."""
    size = math.prod(code) if code else None
    return [
        StudyRow(
            label=label,
            factor="kernel" if level else "",
            level=level,
            network=label,
            seed=seed,
            run="",
            code_size=size,
            code_shape=code,
            narrowest=size or 768,
            skip_around_code=skip,
            weights=weights,
            multiply_accumulates=macs,
            seconds_per_epoch=2.5,
            epochs=10,
            validation_mse=error,
            test_mse=error,
            test_psnr=20.0,
        )
        for seed, error in enumerate(errors, first_seed)
    ]


class NoImages:
    """Stands for images that cannot be had."""

    def __getattr__(self, name: str) -> Any:
        raise InputError("no images here.")


RUN = SimpleNamespace(
    name="run",
    images=("0", 32, "pooled", 0),
    source={"fingerprint": "0"},
    result={"images": {"train": 8, "validation": 1, "test": 1}, "data": "folder", "seconds": 60},
    config=SimpleNamespace(data=SimpleNamespace(size=32)),
    environment={"cores": 2},
    measures={"mse": np.arange(4.0)},
)


def text_of(study: list[StudyRow]) -> str:
    """Return the Markdown of a study's part, without escapes, a paragraph a line."""
    results: Any = StudyResults(
        folder=Path("nowhere"),
        name="s",
        question="",
        rows=tuple(study),
        runs={"": RUN},
        planned=len(study) + 3,
        unfinished=(("c", 2), ("b", 0), ("c", 1)),
    )
    images: Any = NoImages()
    part = study_part(results, images, level=0)
    text = re.sub(r"\\(.)", r"\1", render_markdown([part]).text)
    return "\n".join(re.sub(r"\n(?!- )", " ", paragraph) for paragraph in text.split("\n\n"))


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("effects", "code_size", "equal_size", "front"):
        monkeypatch.setattr(study_report, f"draw_{name}", lambda *_: None)


def section(study: list[StudyRow], title: str) -> list[str]:
    """Return the paragraphs and list items of a section."""
    (found,) = re.findall(rf"^## {title}.*?\n(.*?)(?=^## |\Z)", text_of(study), re.M | re.S)
    return found.strip().splitlines()


def effects(study: list[StudyRow]) -> list[str]:
    return section(study, "What each choice does")


def code_size(study: list[StudyRow]) -> list[str]:
    return section(study, "Does the error go with the code size")


def equal_size(study: list[StudyRow]) -> list[str]:
    return section(study, "Area or channels")


BASE = rows("base", [0.0040, 0.0042, 0.0041])


# Effects


@pytest.mark.parametrize(
    ("errors", "verdict", "numbers"),
    [
        ([0.0030, 0.0032, 0.0031], "lowers", ["24%", "23%", "26%"]),
        ([0.0090, 0.0080, 0.0087], "raises", ["110%", "69%", "160%"]),
        ([0.0040, 0.0041, 0.0043], "undetermined", ["+0.79%", "−7.9%", "+10%"]),
        ([0.0040, 0.0042, 0.0041], "exactly as it is", []),
    ],
)
def test_an_effect_reads_as_its_interval_has_it(
    errors: list[float], verdict: str, numbers: list[str]
) -> None:
    (sentence,) = effects([*BASE, *rows("kernel 5", errors, level="5")])
    assert sentence.startswith("- kernel 5")
    assert [word for word in VERDICTS if word in sentence] == [verdict]
    assert re.findall(r"[+−]?[\d.]+%(?! interval)", sentence) == numbers
    assert "n = 3 seeds" in sentence
    assert sentence.endswith("at equal cost and code size.")


VERDICTS = ("lowers", "raises", "undetermined", "exactly as it is")


def test_other_seeds_are_not_paired() -> None:
    (sentence,) = effects([*BASE, *rows("kernel 5", [0.002, 0.0021], level="5", first_seed=3)])
    assert "lowers" in sentence
    assert "n = 2 and 3 seeds, not paired" in sentence


def test_what_else_a_level_changes_is_named() -> None:
    level = rows("kernel 5", [0.002, 0.0021], level="5", code=(4, 8, 8), weights=10_000)
    (sentence,) = effects([*BASE, *level])
    assert "2.0 times the weights and 0.25 times the numbers in the code" in sentence


def test_a_base_without_a_code_has_no_multiples_of_it() -> None:
    base = rows("base", [0.004, 0.0041], code=None)
    (sentence,) = effects([*base, *rows("kernel 5", [0.002, 0.0021], level="5")])
    assert "lowers" in sentence
    assert "times" not in sentence


def test_levels_of_one_seed_share_a_sentence_in_the_order_of_their_changes() -> None:
    levels = [*rows("kernel 3", [0.008], level="3"), *rows("kernel 5", [0.002], level="5")]
    (sentence,) = effects([*rows("base", [0.004]), *levels])
    assert "2 levels" in sentence
    assert sentence.index("kernel 5 −50%") < sentence.index("kernel 3 +100%")
    assert not any(verdict in sentence for verdict in ("lowers", "raises"))


def test_many_intervals_come_with_a_warning() -> None:
    levels = [row for level in "357" for row in rows(level, [0.003, 0.0031], level=level)]
    *sentences, warning = effects([*BASE, *levels])
    assert len(sentences) == 3
    assert "one misses the truth; there are 3 here" in warning


def test_without_a_base_or_levels_nothing_is_claimed() -> None:
    (no_base,) = effects(rows("kernel 5", [0.002], level="5"))
    (no_level,) = effects(BASE)
    assert "base has no run" in no_base
    assert "No level" in no_level


# Code size


def sizes(exponent: float, count: int = 8) -> list[StudyRow]:
    costs = [31, 7, 25, 11, 5, 19, 13, 2]
    return [
        row
        for place, cost in zip(range(count), costs, strict=False)
        for row in rows(
            f"c{place}",
            [0.1 * (2**place) ** exponent * (1.02, 0.97)[place % 2]],
            code=(2**place, 8, 8),
            weights=1000 * cost,
            macs=100 * costs[-place],
        )
    ]


@pytest.mark.parametrize(
    ("exponent", "direction", "rho", "doubling"),
    [
        (-0.5, "smaller", "−1.0", "lowers the test MSE by 29%"),
        (0.5, "larger", "1.0", "raises the test MSE by 41%"),
    ],
)
def test_the_direction_of_the_code_size(
    exponent: float, direction: str, rho: str, doubling: str
) -> None:
    ranks, _, law, *_ = code_size(sizes(exponent))
    assert f"the {direction} the error" in ranks
    assert f"ρ = {rho} " in ranks
    assert "n = 8 networks" in ranks
    assert doubling in law


def test_no_relation_is_undetermined() -> None:
    errors = [3, 1, 4, 1.5, 5, 2.6, 3.5, 2]
    study = [
        row
        for index, error in enumerate(errors)
        for row in rows(f"c{index}", [error / 1000], code=(2**index, 8, 8))
    ]
    sentences = code_size(study)
    assert "undetermined: Spearman" in sentences[0]
    assert not any(word in " ".join(sentences) for word in ("larger", "lowers", "raises"))


def test_few_networks_are_too_few() -> None:
    sentence = code_size(sizes(-0.5, count=4))[0]
    assert "undetermined: 4 networks are too few" in sentence
    assert "ρ = −1.0 (n = 4 networks)" in sentence


def test_networks_without_a_bottleneck_are_left_out_by_name() -> None:
    study = [*rows("plain", [0.1], code=None), *rows("u-net", [0.1], skip=True)]
    undetermined, around, codeless = code_size(study)
    assert "undetermined: no network" in undetermined
    assert "1 network (u-net)" in around
    assert "1 network without a code (plain)" in codeless


def test_all_equal_has_nothing_to_correlate() -> None:
    study = [row for index in range(8) for row in rows(f"c{index}", [0.004])]
    (sentence,) = code_size(study)
    assert "do not both vary among the 8 networks" in sentence


# Area or channels

SHAPES = {
    "2×2×192": (192, 2, 2),
    "4×4×48": (48, 4, 4),
    "8×8×12": (12, 8, 8),
    "16×16×3": (3, 16, 16),
}


def shapes(means: Sequence[float], seeds: int = 3) -> list[StudyRow]:
    luck = [(1.00, 1.01, 0.99), (1.01, 0.99, 1.0), (1.0, 1.0, 1.01), (0.99, 1.0, 1.0)]
    return [
        row
        for (label, code), mean, factors in zip(SHAPES.items(), means, luck, strict=False)
        for row in rows(label, [mean * factor for factor in factors[:seeds]], code=code)
    ]


@pytest.mark.parametrize(
    ("means", "verdict", "doubling", "steps"),
    [
        ([0.008, 0.006, 0.005, 0.004], "holds here:", "lowers", 0),
        ([0.004, 0.005, 0.006, 0.008], "does not hold here:", "raises", 3),
        ([0.008, 0.006, 0.007, 0.004], "not at every step:", "lowers", 1),
        ([0.005, 0.004, 0.004, 0.005], "is undetermined here:", "undetermined", 3),
        ([0.004, 0.004, 0.004, 0.004], "is undetermined here:", "undetermined", 3),
    ],
)
def test_the_claim_is_judged_by_its_interval(
    means: list[float], verdict: str, doubling: str, steps: int
) -> None:
    ranking, judged, *rest = equal_size(shapes(means))
    assert "n = 3 seeds each" in ranking
    assert verdict in judged
    assert doubling in judged.split(verdict)[1]
    assert "n = 3 seeds, 4 networks" in judged
    assert [each for each in rest if each.startswith("- Going from")] == rest[:steps]
    assert "differ in depth, weights" in rest[-1]


def test_the_step_against_the_claim_is_named() -> None:
    step = equal_size(shapes([0.008, 0.006, 0.007, 0.004]))[2]
    assert step.startswith("- Going from 4×4×48 to 8×8×12 raises the test MSE by 17% ")


def test_one_seed_cannot_judge() -> None:
    judged = equal_size(shapes([0.008, 0.006, 0.005, 0.004], seeds=1))[1]
    assert "is undetermined here" in judged
    assert "n = 1 seed, 4 networks, no interval" in judged


def test_equal_errors_are_no_effect_of_area() -> None:
    study = [
        row for label, code in SHAPES.items() for row in rows(label, [0.1 + 0.2] * 3, code=code)
    ]
    assert "is undetermined here" in equal_size(study)[1]


def test_it_takes_two_areas() -> None:
    (none,) = equal_size(BASE)
    assert none == "No network has a code of 768 numbers."
    (one,) = equal_size(rows("a", [0.1], code=(12, 8, 8)))
    assert "is undetermined: it takes" in one
    apart = [*rows("a", [0.1], code=(12, 8, 8)), *rows("b", [0.2], code=(48, 4, 4), first_seed=1)]
    assert "undetermined here: the 2 networks have no seed in common" in equal_size(apart)[1]


# The best, fronts, the runs


def test_the_best_network_comes_with_its_n() -> None:
    (sentence,) = [line for line in section(BASE, "What is best") if "base:" in line]
    assert "only network" in sentence
    assert "0.00410 (95% interval 0.00385 to 0.00435; n = 3 seeds)" in sentence
    study = [
        *BASE,
        *rows("kernel 5", [0.002], level="5"),
        *rows("k7", [math.nan, math.inf], level="7"),
    ]
    best, failed, *_ = section(study, "What is best")
    assert "Of 2 networks" in best
    assert "kernel 5: test MSE 0.00200 (n = 1 seed, too few for an interval)" in best
    assert "k7 (2 runs)" in failed


def test_a_study_without_errors_makes_no_claim() -> None:
    text = text_of(rows("base", [math.nan]))
    assert "nothing can be said yet" in text
    assert "## Does the error" not in text


def test_fronts_are_listed_by_rising_cost() -> None:
    study = [*BASE, *rows("small", [0.005], weights=90), *rows("bad", [0.006], weights=9000)]
    weights, macs, seconds = section(study, "Error against cost")
    assert "small (90; test MSE 0.00500); base (5,000; test MSE 0.00410)." in weights
    assert "n = 1 to 3 seeds each" in weights
    assert "this one is beaten by no other in both multiply-accumulates" in macs
    assert "base (2.50 s; test MSE 0.00410)" in seconds


def test_unfinished_runs_are_named() -> None:
    runs = section(BASE, "The runs")
    assert runs[0].startswith("3 of 6 runs are finished: 1 network, seeds 0, 1 and 2, 10 epochs")
    assert "b (seed 0); c (seeds 1 and 2)." in runs[-1]


def test_missing_images_are_named_where_they_are_missed() -> None:
    text = text_of(BASE)
    assert "could not be measured: no images here." in text
    assert "There are no pictures: " in text


# Numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0045, "0.00450"),
        (0.5, "0.500"),
        (-0.004, "−0.00400"),
        (1234567.0, "1230000"),
        (0, "0"),
        (99.97, "100"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text


@given(st.floats(-1e9, 1e9).filter(lambda value: abs(value) > 1e-12), st.integers(1, 6))
def test_what_is_printed_is_the_number_and_keeps_its_sign(value: float, digits: int) -> None:
    printed = float(significant(value, digits).replace("−", "-"))
    assert printed == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits))
    assert (printed > 0) == (value > 0)


def test_the_size_of_a_change_never_claims_that_nothing_is_left() -> None:
    assert [size_in_words(ratio) for ratio in (0.76, 2.1, 0.0009)] == ["24%", "110%", "99.91%"]


# Anything

ERRORS = st.lists(
    st.one_of(st.floats(1e-5, 0.1), st.sampled_from([0.004, 0.0041, math.nan])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(ERRORS, ERRORS)
def test_an_effect_never_contradicts_the_errors(base: list[float], level: list[float]) -> None:
    study = [*rows("base", base), *rows("kernel 5", level, level="5")]
    if not any(row.test_mse > 0 for row in study):
        return
    pairs = [(a, b) for a, b in zip(level, base, strict=False) if a > 0 and b > 0]
    text = effects(study)[0]
    if "not paired" in text or not text.startswith(("- kernel", "Undetermined")):
        return
    mean = sum(math.log(a / b) for a, b in pairs)
    if "lowers" in text:
        assert len(pairs) > 1
        assert mean < 0
    elif "raises" in text:
        assert len(pairs) > 1
        assert mean > 0
    else:
        assert "ndetermined" in text or all(a == b for a, b in pairs)
    if len(pairs) == 1:
        assert "Undetermined, as one seed has no interval" in text


CODE = st.sampled_from(
    [None, (12, 8, 8), (48, 4, 4), (768, 1, 1), (3, 16, 16), (16, 8, 8), (1, 1, 1)]
)
NETWORK = st.tuples(ERRORS, st.sampled_from(["", "5"]), CODE, st.integers(0, 10**6), st.booleans())


@settings(max_examples=40, deadline=None)
@given(st.lists(NETWORK, min_size=1, max_size=9))
def test_any_study_has_a_text(
    networks: list[tuple[list[float], str, tuple[int, int, int] | None, int, bool]],
) -> None:
    study = [
        row
        for index, (errors, level, code, cost, skip) in enumerate(networks)
        for row in rows(
            f"n{index}" if index else "base",
            errors,
            level=level if index else "",
            code=code,
            weights=cost,
            skip=skip and code is not None,
        )
    ]
    text = text_of(study)
    assert not re.search(r"\b(nan|inf|None|Undefined)\b", text)
    assert "  " not in text
