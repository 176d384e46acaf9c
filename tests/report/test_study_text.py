"""The words of a study's report: which sentence stands there, and with which numbers."""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.study_results import StudyRow
from caelab.report import study_report
from caelab.report.document import Part
from caelab.report.inputs import StudyResults
from caelab.report.number_format import significant, size_in_words
from caelab.report.study_baselines import WHOLE, StudyBaselines
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


RENDER: dict[str, Callable[[Part], str]] = {}


@pytest.fixture(autouse=True, scope="module")
def _render(render_part: Callable[[Part], str]) -> None:
    RENDER["part"] = render_part


def text_of(study: list[StudyRow], **changed: Any) -> str:
    """Return the Markdown of a study's part, without escapes, a paragraph a line."""
    layers = [SimpleNamespace(kind="up")] * 2
    description = SimpleNamespace(code=None, input=(3, 32, 32), rows=layers)
    result = {"peak_learning_rate": 0.008}
    run: Any = SimpleNamespace(
        config=RunConfig(), measures={"mse": np.arange(4.0)}, description=description, result=result
    )
    images: Any = NoImages()
    results = StudyResults(
        folder=Path("nowhere"),
        name="s",
        question="",
        rows=tuple(study),
        runs=dict.fromkeys((row.run for row in study), run),
        planned=len(study) + 3,
        unfinished=(),
        failures=(),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_report, "measure_baselines", changed.get("baselines", refuse))
        _, part = study_part(results, images, suffix="", above=True)
        drawn = {name: None for name in part.context if name.endswith("_figure")}
        part = Part(part.template, {**part.context, **drawn}, level=0)
    text = re.sub(r"\\(.)", r"\1", RENDER["part"](part))
    return "\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def refuse(*_: Any, **__: Any) -> StudyBaselines:
    raise InputError("no images here.")


def section(study: list[StudyRow], title: str, **changed: Any) -> str:
    """Return the text of a section."""
    text = text_of(study, **changed)
    (found,) = re.findall(rf"^## {title}.*?\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return str(found)


def effects(study: list[StudyRow]) -> str:
    return section(study, "What each choice does")


def code_size(study: list[StudyRow], **changed: Any) -> str:
    return section(study, "Code size and error", **changed)


def equal_size(study: list[StudyRow]) -> str:
    return section(study, "One code size")


BASE = rows("base", [0.0040, 0.0042, 0.0041])
BETTER = rows("kernel 5", [0.0030, 0.0032, 0.0031], level="5")
WORSE = rows("kernel 1", [0.0090, 0.0080, 0.0087], level="1")
SAME = rows("kernel 4", [0.0041, 0.00405, 0.00415], level="4")


# Effects


def test_the_strongest_choices_and_the_number_of_each_verdict() -> None:
    text = effects([*BASE, *BETTER, *WORSE])
    assert (
        "matters most by itself is the filter size (kernel): “kernel 1” raises the test MSE by 110%"
        in text
    )
    assert "changes: 2; lower error: 1; higher error: 1; no effect larger than 3%: 0" in text


def test_only_what_there_is_is_said_of_the_choices() -> None:
    assert "lowers" not in effects([*BASE, *WORSE])
    assert "raises" not in effects([*BASE, *BETTER])
    assert "Where the size of the code changes, too" not in effects([*BASE, *BETTER])
    alone = [*rows("base", [0.004]), *rows("kernel 5", [0.002], level="5")]
    assert "not enough data: 1." in effects(alone)


def test_without_a_base_or_levels_nothing_is_claimed() -> None:
    assert "base has no run" in effects(rows("kernel 5", [0.002], level="5"))
    assert "No level" in effects(BASE)


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
        )
    ]


@pytest.mark.parametrize(
    ("exponent", "direction", "rho"), [(-0.5, "smaller", "−1.0"), (0.5, "larger", "1.0")]
)
def test_the_direction_of_the_code_size(exponent: float, direction: str, rho: str) -> None:
    text = code_size(sizes(exponent))
    assert f"across all 8 architectures, a larger code goes with a {direction} error" in text
    assert f"(a rank correlation of ρ = {rho}, " in text


def test_no_relation_is_not_claimed() -> None:
    errors = [3, 1, 4, 1.5, 5, 2.6, 3.5, 2]
    study = [
        row
        for index, error in enumerate(errors)
        for row in rows(f"c{index}", [error / 1000], code=(2**index, 8, 8))
    ]
    text = code_size(study)
    assert "no correlation is certain" in text
    assert not re.search("larger|lowers|raises", text)


def test_what_else_goes_with_the_code_is_named() -> None:
    text = code_size(sizes(-0.5))
    assert "The area of the code and the error have no rank correlation" in text
    assert "weights held, code size and error have a rank correlation of ρ = −1.0" in text
    assert "the size has an effect of its own" in text
    few = code_size(sizes(-0.5, count=7))
    assert "no effect of the size alone is certain" in few  # seven are too few for an interval


def test_where_only_the_code_changes_the_doubling_is_judged() -> None:
    study = [*BASE]
    for size in (4, 8, 32):
        errors = [error * (16 / size) ** 0.5 for error in (0.0040, 0.0042, 0.0041)]
        level = rows(f"code {size}", errors, level=str(size), code=(size, 8, 8))
        study += [StudyRow(**{**vars(row), "factor": "code"}) for row in level]
    text = code_size(study)
    assert (
        "(256 to 2,048 numbers), on average each doubling of the code lowers the test MSE by 29%"
        in text
    )
    assert "only the code changes" not in code_size(BASE)


def test_networks_without_a_bottleneck_are_left_out_by_name() -> None:
    study = [*rows("plain", [0.1], code=None), *rows("u-net", [0.1], skip=True)]
    text = code_size(study)
    assert "Fewer than two networks have a code" in text
    assert "as a skip connection runs around the code: “u-net”." in text
    assert "as they have no code: “plain”." in text
    assert "Left out" not in code_size(sizes(-0.5))


def test_all_equal_has_nothing_to_correlate() -> None:
    study = [row for index in range(8) for row in rows(f"c{index}", [0.004])]
    assert "do not both vary" in code_size(study)


@pytest.mark.parametrize(
    ("mse", "said"),
    [
        (0.005, "Better than PCA of their size: 1 of 1 networks (“base”)."),
        (0.001, "No network is better than PCA of its size (1 compared)"),
    ],
)
def test_linear_codes_of_the_same_size(mse: float, said: str) -> None:
    linear = StudyBaselines(linear={WHOLE: {1024: mse}})
    assert said in code_size(BASE, baselines=lambda *_, **__: linear)


# One code size in several shapes

SHAPES = {"2×2×192": (192, 2, 2), "4×4×48": (48, 4, 4), "16×16×3": (3, 16, 16)}


@pytest.mark.parametrize(
    ("factor", "best", "worst", "verdict"),
    [
        (0.8, "16×16×3", "2×2×192", "lowers the test MSE by 20%"),
        (1.25, "2×2×192", "16×16×3", "raises the test MSE by 25%"),
    ],
)
def test_shapes_of_one_size(factor: float, best: str, worst: str, verdict: str) -> None:
    study = [
        row
        for label, code in SHAPES.items()
        for row in rows(
            label,
            [0.004 * factor ** math.log2(code[1] * code[2]) * luck for luck in (1, 1.01, 0.99)],
            code=code,
        )
    ]
    text = equal_size(study)
    assert f"“{best}” has the smallest test MSE" in text
    assert f"“{worst}” the largest" in text
    assert f"at half the channels {verdict}" in text


def test_one_shape_is_no_question() -> None:
    assert "One code size" not in text_of(BASE)


# The study


def test_the_front_is_listed_by_weights() -> None:
    study = [*BASE, *rows("small", [0.005], weights=90), *rows("bad", [0.006], weights=9000)]
    text = section(study, "Error against cost")
    assert (
        "“small” (90 weights, test MSE 0.00500); “base” (5,000 weights, test MSE 0.00410)." in text
    )


def test_one_network_is_not_the_best_of_several() -> None:
    assert "The only network measured is “base”: test MSE 0.00410" in text_of(BASE)
    assert "Of 2 networks, the best by validation is “kernel 5”" in text_of([*BASE, *BETTER])


def test_one_seed_is_a_warning() -> None:
    assert "There is one seed for each network" in text_of(rows("base", [0.004]))
    assert "There is one seed for each network" not in text_of(BASE)


def test_errors_that_are_not_finite_are_named_and_left_out() -> None:
    bad = rows("kernel 9", [math.nan, math.inf], level="9")
    text = text_of([*BASE, *bad])
    assert "there are some of “kernel 9”." in text
    nothing = text_of(bad)
    assert "nothing can be said yet" in nothing
    assert "What each choice does" not in nothing


def test_missing_images_are_named_where_they_are_missed() -> None:
    text = text_of(BASE)
    assert "could not be measured: no images here." in text
    assert "There are no pictures of “base”: " in text


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
CODE = st.sampled_from(
    [None, (12, 8, 8), (48, 4, 4), (768, 1, 1), (3, 16, 16), (16, 8, 8), (1, 1, 1)]
)
NETWORK = st.tuples(ERRORS, st.sampled_from(["", "5"]), CODE, st.integers(0, 10**6), st.booleans())


@settings(max_examples=40, deadline=None)
@given(st.lists(NETWORK, min_size=1, max_size=9))
@example([([0.03125], "", (12, 8, 8), 0, False), ([0.0625, 0.0625], "5", None, 0, False)])
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
    found = re.search(r"\b(nan|inf|None|Undefined)\b", text)
    assert not found, text[max(0, found.start() - 300) : found.end() + 100]
    assert "  " not in text
