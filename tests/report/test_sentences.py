import math
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caelab.experiments.study_results import StudyRow
from caelab.metrics.statistics import Interval
from caelab.report.architectures import analyze
from caelab.report.sentences import CLAIM, Sentences, mean_in_words, significant, write_sentences


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


def told(study: list[StudyRow]) -> Sentences:
    return write_sentences(analyze(study))


BASE = rows("base", [0.0040, 0.0042, 0.0041])


# Effects


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        (
            [0.0030, 0.0032, 0.0031],
            "kernel 5 lowers the test MSE by 24% (95% interval 23% to 26%; n = 3 seeds)",
        ),
        (
            [0.0090, 0.0080, 0.0087],
            "kernel 5 raises the test MSE by 110% (95% interval 69% to 160%; n = 3 seeds)",
        ),
        (
            [0.0040, 0.0041, 0.0043],
            (
                "kernel 5: undetermined; the test MSE changes by +0.79% (95% interval −7.9% to"
                " +10%; n = 3 seeds)"
            ),
        ),
        ([0.0040, 0.0042, 0.0041], "kernel 5 leaves the test MSE exactly as it is (n = 3 seeds)"),
    ],
)
def test_an_effect_is_told_as_its_interval_has_it(errors: list[float], sentence: str) -> None:
    told_effect = told([*BASE, *rows("k5", errors, level="5")]).effects[0]
    assert told_effect == f"{sentence}, at equal cost and code size."


def test_other_seeds_are_said_not_to_be_paired() -> None:
    (sentence,) = told([*BASE, *rows("k5", [0.002, 0.0021], level="5", first_seed=3)]).effects
    assert "lowers" in sentence
    assert "n = 2 and 3 seeds, not paired" in sentence


def test_what_else_a_level_changes_is_said() -> None:
    (sentence,) = told(
        [*BASE, *rows("k5", [0.002, 0.0021], level="5", code=(4, 8, 8), weights=10_000)]
    ).effects
    assert sentence.endswith(", with 2.0 times the weights and 0.25 times the numbers in the code.")


def test_a_base_without_a_code_has_no_multiples_of_it() -> None:
    (sentence,) = told(
        [*rows("base", [0.004, 0.0041], code=None), *rows("k5", [0.002, 0.0021], level="5")]
    ).effects
    assert sentence.startswith("kernel 5 lowers")
    assert "times" not in sentence


def test_levels_of_one_seed_share_a_sentence_in_the_order_of_their_changes() -> None:
    levels = [
        row
        for level, error in (("3", 0.008), ("5", 0.002))
        for row in rows(level, [error], level=level)
    ]
    (sentence,) = told([*rows("base", [0.004]), *levels]).effects
    assert (
        sentence
        == "Undetermined, as one seed has no interval: 2 levels. The test MSE changes by, from the"
        " largest fall to the largest rise: kernel 5 −50%; kernel 3 +100%."
    )


def test_many_intervals_come_with_a_warning() -> None:
    levels = [row for level in "357" for row in rows(level, [0.003, 0.0031], level=level)]
    assert (
        told([*BASE, *levels]).effects[-1]
        == "Of twenty such intervals about one misses the truth; there are 3 here."
    )


def test_without_a_base_or_levels_nothing_is_claimed() -> None:
    assert told(rows("k5", [0.002], level="5")).effects == (
        "The base has no run with a finite error, so there is nothing to measure effects from.",
    )
    assert told(BASE).effects == ("No level of a factor has been measured yet.",)


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
    ("exponent", "first", "doubling"),
    [
        (
            -0.5,
            "The larger the code, the smaller the error: Spearman's ρ = −1.0 ",
            "lowers the test MSE by 29%",
        ),
        (
            0.5,
            "The larger the code, the larger the error: Spearman's ρ = 1.0 ",
            "raises the test MSE by 41%",
        ),
    ],
)
def test_the_direction_of_the_code_size_is_told(exponent: float, first: str, doubling: str) -> None:
    sentences = told(sizes(exponent)).code_size
    assert sentences[0].startswith(first)
    assert "n = 8 networks" in sentences[0]
    assert f"As a power law, each doubling of the code {doubling}" in sentences[2]


def test_no_relation_is_undetermined() -> None:
    errors = [3, 1, 4, 1.5, 5, 2.6, 3.5, 2]
    study = [
        row
        for place, error in enumerate(errors)
        for row in rows(f"c{place}", [error / 1000], code=(2**place, 8, 8))
    ]
    sentences = told(study).code_size
    assert sentences[0].startswith(
        "Whether the error goes with the code size is undetermined: Spearman's ρ = "
    )
    assert not any(word in " ".join(sentences) for word in ("larger", "lowers", "raises"))


def test_few_networks_are_too_few() -> None:
    sentences = told(sizes(-0.5, count=4)).code_size
    assert (
        sentences[0]
        == "Whether the error goes with the code size is undetermined: 4 networks are too few for"
        " an interval; Spearman's ρ = −1.0 (n = 4 networks)."
    )


def test_no_code_and_a_skip_around_it_are_left_out_in_so_many_words() -> None:
    study = [*rows("plain", [0.1], code=None), *rows("u-net", [0.1], skip=True)]
    assert told(study).code_size == (
        (
            "Whether the error goes with the code size is undetermined: no network has a code that"
            " is a bottleneck."
        ),
        (
            "Left out: 1 network (u-net), as it has a bracket around the code, which then is no"
            " bottleneck."
        ),
        "Left out: 1 network without a code (plain).",
    )


def test_all_equal_has_nothing_to_correlate() -> None:
    study = [row for place in range(8) for row in rows(f"c{place}", [0.004])]
    assert told(study).code_size == (
        (
            "Whether the error goes with the code size is undetermined: code size and error do not"
            " both vary among the 8 networks with a code."
        ),
    )


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
    ("means", "verdict", "steps"),
    [
        (
            [0.008, 0.006, 0.005, 0.004],
            "holds here: each doubling of the area at half the channels lowers",
            0,
        ),
        (
            [0.004, 0.005, 0.006, 0.008],
            "does not hold here: each doubling of the area at half the channels raises",
            3,
        ),
        (
            [0.008, 0.006, 0.007, 0.004],
            "holds here on the whole, though not at every step: each doubling",
            1,
        ),
        (
            [0.005, 0.004, 0.004, 0.005],
            "is undetermined here: each doubling of the area at half the channels: undet",
            3,
        ),
        ([0.004, 0.004, 0.004, 0.004], "is undetermined here", 3),
    ],
)
def test_the_claim_is_judged_by_its_interval(means: list[float], verdict: str, steps: int) -> None:
    ranking, judged, *rest = told(shapes(means)).equal_size
    assert ranking.startswith(
        "With a code of 768 numbers, by mean test MSE, best first (n = 3 seeds each): "
    )
    assert judged.startswith(
        "That a code's area matters more than its channels (Walking the Tightrope, arXiv"
        f" 1911.07460) {verdict}"
    )
    assert "n = 3 seeds, 4 networks" in judged
    assert len(rest) == steps + 1
    assert rest[-1].startswith("These networks differ in depth, weights")


def test_the_step_against_the_claim_is_named() -> None:
    sentences = told(shapes([0.008, 0.006, 0.007, 0.004])).equal_size
    assert sentences[2].startswith(
        "Going from 4×4×48 to 8×8×12 raises the test MSE by 17% (95% interval "
    )


def test_one_seed_cannot_judge() -> None:
    sentences = told(shapes([0.008, 0.006, 0.005, 0.004], seeds=1)).equal_size
    assert "is undetermined here" in sentences[1]
    assert "(n = 1 seed, 4 networks, no interval)" in sentences[1]


def test_equal_errors_are_no_effect_of_area() -> None:
    study = [
        row for label, code in SHAPES.items() for row in rows(label, [0.1 + 0.2] * 3, code=code)
    ]
    assert "is undetermined here" in told(study).equal_size[1]


def test_it_takes_two_areas() -> None:
    assert told(BASE).equal_size == ("No network has a code of 768 numbers.",)
    assert told(rows("a", [0.1], code=(12, 8, 8))).equal_size == (
        f"{CLAIM} is undetermined: it takes a code of 768 numbers in two areas above 1×1.",
    )
    apart = [*rows("a", [0.1], code=(12, 8, 8)), *rows("b", [0.2], code=(48, 4, 4), first_seed=1)]
    assert (
        told(apart)
        .equal_size[1]
        .endswith("is undetermined here: the 2 networks have no seed in common.")
    )


# The best, and fronts


def test_the_best_network_is_told_with_its_n() -> None:
    assert told(BASE).best == (
        (
            "The only network measured is base: test MSE 0.00410 (95% interval 0.00385 to 0.00435;"
            " n = 3 seeds)."
        ),
    )
    study = [*BASE, *rows("k5", [0.002], level="5"), *rows("k7", [math.nan, math.inf], level="7")]
    assert told(study).best == (
        (
            "Of 2 networks, the best by validation is k5: test MSE 0.00200 (n = 1 seed, too few for"
            " an interval)."
        ),
        "Left out, as the test error was not a positive, finite number: k7 (2 runs).",
    )


def test_an_empty_study_says_so() -> None:
    sentences = told([])
    assert sentences.best == (
        "No run of this study has ended with a finite error: nothing can be said yet.",
    )
    assert sentences.fronts == ()


def test_fronts_are_listed_by_rising_cost() -> None:
    weights, macs, seconds = told(
        [*BASE, *rows("small", [0.005], weights=90), *rows("bad", [0.006], weights=9000)]
    ).fronts
    assert (
        weights
        == "Of 3 networks, these are beaten by no other in both weights and mean error (n = 1 to 3"
        " seeds each): small (90; test MSE 0.00500); base (5,000; test MSE 0.00410)."
    )
    assert "this one is beaten by no other in both multiply-accumulates an image and" in macs
    assert "base (2.50 s; test MSE 0.00410)" in seconds


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


def test_a_mean_without_bounds() -> None:
    assert (
        mean_in_words(Interval(estimate=0.004, n=1))
        == "0.00400 (n = 1 seed, too few for an interval)"
    )


# Anything

ERRORS = st.lists(
    st.one_of(st.floats(1e-5, 0.1), st.sampled_from([0.004, 0.0041, math.nan])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(ERRORS, ERRORS)
def test_an_effect_never_contradicts_the_errors(base: list[float], level: list[float]) -> None:
    sentences = told([*rows("base", base), *rows("k5", level, level="5")])
    pairs = [(a, b) for a, b in zip(level, base, strict=False) if a > 0 and b > 0]
    text = sentences.effects[0]
    if "not paired" in text or not text.startswith(("kernel", "Undetermined")):
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
@given(st.lists(NETWORK, max_size=9))
def test_any_study_can_be_told(
    networks: list[tuple[list[float], str, tuple[int, int, int] | None, int, bool]],
) -> None:
    study = [
        row
        for place, (errors, level, code, cost, skip) in enumerate(networks)
        for row in rows(
            f"n{place}" if place else "base",
            errors,
            level=level if place else "",
            code=code,
            weights=cost,
            skip=skip and code is not None,
        )
    ]
    for group in vars(told(study)).values():
        for sentence in group:
            assert sentence.endswith(".")
            assert not re.search(r"\b(nan|inf|None)\b", sentence)
            assert "  " not in sentence
