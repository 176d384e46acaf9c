import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caelab.experiments.study_results import StudyRow
from caelab.metrics.moderated import Verdict
from caelab.networks import describe
from caelab.networks.parser import parse
from caelab.report.architectures import Analysis, LevelEffect, analyze, summarize


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of its own for every test, whatever ran before."""
    return np.random.default_rng(0)


def rows(
    label: str,
    errors: Mapping[int, float] | Sequence[float],
    *,
    factor: str = "",
    level: str = "",
    code: tuple[int, int, int] | None = (16, 8, 8),
    weights: int = 5000,
    macs: int = 1_000_000,
    network: str = "",
    narrowest: int | None = None,
    skip: bool = False,
    seconds: float = 4.0,
) -> list[StudyRow]:
    """Return the rows of one network, an error a seed."""
    size = math.prod(code) if code else None
    by_seed = errors if isinstance(errors, Mapping) else dict(enumerate(errors))
    return [
        StudyRow(
            label=label,
            factor=factor,
            level=level,
            network=network or f"network of {label}",
            seed=seed,
            run=f"{label}-{seed}",
            code_size=size,
            code_shape=code,
            narrowest=narrowest or size or 768,
            skip_around_code=skip,
            weights=weights,
            multiply_accumulates=macs,
            seconds_per_epoch=seconds,
            epochs=10,
            validation_mse=error,
            test_mse=error,
            test_psnr=20.0,
        )
        for seed, error in by_seed.items()
    ]


BASE = rows("base", [0.0040, 0.0042, 0.0041])


def power_study(
    exponent: float, *, count: int = 8, noise: float = 0.0, seeds: int = 1
) -> list[StudyRow]:
    """Return networks whose error is a power of the code size, while the costs go their own
    ways."""
    rng = np.random.default_rng(1)
    study = []
    for place in range(count):
        size = 64 * 2**place
        errors = 0.3 * size**exponent * np.exp(rng.normal(0, noise, seeds))
        weights, macs = (int(value) for value in rng.integers(1000, 100_000, 2))
        study += rows(
            f"code {size}",
            [float(error) for error in errors],
            code=(size // 64, 8, 8),
            weights=weights,
            macs=macs,
        )
    return study


SHAPES = {
    "16×16×3": (3, 16, 16),
    "8×8×12": (12, 8, 8),
    "4×4×48": (48, 4, 4),
    "2×2×192": (192, 2, 2),
}


def shape_study(
    factor_per_doubling: float, *, seeds: int = 3, spread: float = 0.01
) -> list[StudyRow]:
    rng = np.random.default_rng(2)
    study = []
    for label, code in SHAPES.items():
        mean = 0.004 * factor_per_doubling ** math.log2(code[1] * code[2])
        study += rows(
            label, [float(mean * math.exp(rng.normal(0, spread))) for _ in range(seeds)], code=code
        )
    return study


# Architectures


def test_rows_are_gathered_by_label() -> None:
    study = [
        *BASE,
        *rows("kernel 5", [0.003, math.nan, 0.0], factor="kernel", level="5"),
        *rows("base", {7: 0.0045}),
    ]
    base, kernel = summarize(study)
    assert (base.label, base.errors) == ("base", {0: 0.0040, 1: 0.0042, 2: 0.0041, 7: 0.0045})
    assert base.mse.estimate == pytest.approx(0.0042)
    assert (base.area, base.failed, kernel.failed) == (64, 0, 2)
    assert kernel.errors == {0: 0.003}
    assert kernel.mse.undetermined


def effects_of(study: list[StudyRow]) -> dict[str, LevelEffect]:
    return {each.architecture.level: each for each in analyze(study).effects}


def test_effects_are_ratios_of_geometric_means_with_a_verdict() -> None:
    found = effects_of(
        [
            *BASE,
            *rows("kernel 5", [0.0021, 0.0020, 0.0022], factor="kernel", level="5"),
            *rows("kernel 1", [0.0121, 0.0120, 0.0122], factor="kernel", level="1"),
            *rows("channels 2", [0.0041] * 3, factor="channels", level="2", code=(32, 8, 8)),
        ]
    )
    ratio = np.exp(np.mean(np.log([0.0021, 0.0020, 0.0022]) - np.log([0.0040, 0.0042, 0.0041])))
    assert found["5"].contrast.ratio.estimate == pytest.approx(ratio)
    assert found["5"].contrast.ratio.side(1) == -1
    verdicts = {level: each.contrast.verdict for level, each in found.items()}
    assert (verdicts["5"], verdicts["1"]) == (Verdict.LOWER, Verdict.HIGHER)
    assert [found[level].same_code for level in "512"] == [True, True, False]
    assert found["2"].cost_ratios["code_size"] == 2


def test_an_interaction_is_what_two_changes_do_together_beyond_their_product() -> None:
    study = [
        *rows("base", [0.0080, 0.0081]),
        *rows("kernel 5", [0.0040, 0.0041], factor="kernel", level="5"),
        *rows("channels 2", [0.0060, 0.0061], factor="channels", level="2"),
        *rows("channels 4", [0.0020, 0.0021], factor="channels", level="4"),
        # Half of three quarters would be 0.003; half of a quarter is 0.001.
        *rows("both 2", [0.0060, 0.0061], factor="kernel × channels", level="5 × 2"),
        *rows("both 4", [0.00100, 0.00103], factor="kernel × channels", level="5 × 4"),
        *rows("three", [0.001] * 2, factor="kernel × channels × code", level="5 × 4 × 8"),
    ]
    found = analyze(study)
    logs = {
        label: np.log([row.test_mse for row in study if row.label == label]).mean()
        for label in ("base", "kernel 5", "channels 2", "both 2")
    }
    first, second = found.interactions
    assert [each.label for each in first.alone] == ["kernel 5", "channels 2"]
    assert first.contrast.ratio.estimate == pytest.approx(
        np.exp(logs["both 2"] - logs["kernel 5"] - logs["channels 2"] + logs["base"])
    )
    assert first.contrast.verdict == Verdict.HIGHER
    assert second.architecture.label == "both 4"
    assert second.contrast.ratio.estimate == pytest.approx(1, abs=0.02)
    # What is crossed is no level of a factor: it would widen the intervals of those.
    assert [each.architecture.label for each in found.effects] == [
        "kernel 5",
        "channels 2",
        "channels 4",
    ]


def test_with_one_seed_each_nothing_is_decided() -> None:
    (found,) = effects_of(
        [*rows("base", [0.004]), *rows("kernel 5", [0.001], factor="kernel", level="5")]
    ).values()
    assert found.contrast.verdict == Verdict.UNDECIDED
    assert found.contrast.ratio.undetermined


def test_the_base_and_explicit_networks_are_no_levels() -> None:
    analysis = analyze([*BASE, *rows("other", [0.002, 0.003])])
    assert analysis.base is not None
    assert analysis.effects == ()


@pytest.mark.parametrize(
    "study", [[], rows("kernel 5", [0.003], factor="kernel", level="5"), rows("base", [math.nan])]
)
def test_without_a_base_there_are_no_effects(study: list[StudyRow]) -> None:
    analysis = analyze(study)
    assert analysis.base is None
    assert analysis.effects == ()


def test_the_best_is_chosen_by_validation() -> None:
    lucky = rows("lucky on test", [0.001])
    unlucky = [
        StudyRow(**{**vars(row), "validation_mse": 0.0005})
        for row in rows("best on validation", [0.002])
    ]
    best = analyze([*lucky, *unlucky, *rows("failed", [math.nan])]).best
    assert best is not None
    assert best.label == "best on validation"


def described(networks: Mapping[str, tuple[str, str]], errors: Mapping[str, float]) -> Analysis:
    """Analyze networks, given by label as factor and text, whose seeds hardly differ."""
    descriptions = {label: describe(parse(text)) for label, (_, text) in networks.items()}
    study = []
    for label, (factor, text) in networks.items():
        found = descriptions[label]
        assert found.code
        study += rows(
            label,
            [errors[label] * luck for luck in (1, 1.001, 0.999)],
            factor=factor,
            level=label if factor else "",
            code=found.code.shape,
            narrowest=found.narrowest.size,
            network=text,
        )
    return analyze(study, descriptions=descriptions)


NETWORKS = {
    "base": ("", "reference"),
    "deeper": ("layers", "conv8 pool conv12 pool 2*conv16 | up conv12 up conv3"),
    "shallow": ("layers", "conv8 pool conv4 | up conv3"),
    "narrow": ("channels", "conv4 pool conv6 pool conv16 | up conv6 up conv3"),
    "kernels": ("kernel", "conv8k5 pool conv12k5 pool conv16k5 | up conv12k5 up conv3k5"),
    "transposed": ("padding", "conv8 pool conv12 pool conv16 | deconv12k4s2 deconv3k4s2"),
    "large": ("stride", "conv8s2 conv12 conv16 | conv12 up conv3"),
}


def test_what_else_a_comparison_changes_is_found_in_the_descriptions() -> None:
    analysis = described(NETWORKS, dict.fromkeys(NETWORKS, 0.004))
    assert {each.architecture.label: each.also for each in analysis.effects} == {
        "deeper": (),
        "shallow": ("code shape", "narrowest", "decoder"),
        "narrow": ("narrowest",),
        "kernels": (),
        "transposed": ("decoder",),
        "large": ("code shape", "narrowest", "decoder"),
    }
    assert [each.label for each in analysis.architectures if each.expands] == ["large"]


def test_choices_are_ranked_at_the_code_size_of_the_base() -> None:
    errors = {"base": 0.004, "deeper": 0.004, "shallow": 0.002, "narrow": 0.007, "kernels": 0.003}
    errors |= {"transposed": 0.00401, "large": 0.0001}
    ranking = described(NETWORKS, errors).ranking
    # The kernel is the only choice that is changed alone. Of the others, a half counts more than
    # three quarters more, and a tenth of a percent is no certain effect.
    assert [each.architecture.label for each in ranking] == ["kernels", "shallow", "narrow"]


def test_a_change_alone_is_ranked_before_a_larger_one_that_changes_more() -> None:
    errors = {"base": 0.004, "deeper": 0.003, "shallow": 0.002}
    (found,) = described({name: NETWORKS[name] for name in errors}, errors).ranking
    assert (found.architecture.label, found.also) == ("deeper", ())


def test_effects_without_a_direction_are_open_until_their_factor_has_one() -> None:
    networks = {**NETWORKS, "wider": ("kernel", NETWORKS["kernels"][1].replace("k5", "k7"))}
    errors = dict.fromkeys(networks, 0.004) | {"shallow": 0.002, "wider": 0.003}
    analysis = described(networks, errors)
    assert {each.architecture.label for each in analysis.ranking} == {"shallow", "wider"}
    # The ranking has the kernel alone, but the layers only with other changes. Networks whose code
    # has another size are never open.
    assert [each.architecture.label for each in analysis.open] == ["deeper", "narrow", "transposed"]


# Code size


def family(exponent: float, *, seeds: int = 3) -> list[StudyRow]:
    """Return a base and levels of the factor ``code``, whose error is a power of the code size."""
    rng = np.random.default_rng(3)
    study = []
    for size in (1024, 64, 256, 512, 2048):
        errors = 0.3 * size**exponent * np.exp(rng.normal(0, 0.01, seeds))
        factor = "" if size == 1024 else "code"
        study += rows(
            f"code {size}" if factor else "base",
            [float(error) for error in errors],
            factor=factor,
            level=str(size) if factor else "",
            code=(size // 64, 8, 8),
        )
    return study


def test_where_only_the_code_changes_the_factor_of_a_doubling_is_found() -> None:
    decoy = rows("16×16×3", [1e-5] * 3, code=(3, 16, 16))
    answer = analyze([*family(-0.6), *decoy]).family
    assert answer is not None
    assert [each.code_size for each in answer.architectures] == [64, 256, 512, 1024, 2048]
    assert answer.doubling.ratio.estimate == pytest.approx(2**-0.6, rel=0.02)
    assert answer.doubling.verdict == Verdict.LOWER
    flat = analyze(family(0)).family
    assert flat is not None
    assert flat.doubling.verdict == Verdict.EQUIVALENT
    # From 64 to 256 are two doublings.
    steps = [(each.first.code_size, each.second.code_size) for each in answer.steps]
    assert steps == [(64, 256), (256, 512), (512, 1024), (1024, 2048)]
    for step in answer.steps:
        assert step.doubling.ratio.estimate == pytest.approx(2**-0.6, rel=0.05)
    assert (answer.capped, answer.flattens) == (None, False)


@pytest.mark.parametrize(("last", "flattens"), [(0.0031, True), (0.0010, False)])
def test_the_curve_flattens_where_the_narrowest_representation_stays(
    last: float, flattens: bool
) -> None:
    sizes = (256, 512, 1024, 2048)
    texts = {size: f"conv8 pool conv12 pool conv{size // 64} | up conv3 up" for size in sizes}
    labels = {size: "base" if size == 1024 else f"code {size}" for size in texts}
    errors = dict(zip(labels.values(), (0.008, 0.005, 0.0032, last), strict=True))
    networks = {
        labels[size]: ("" if size == 1024 else "code", text) for size, text in texts.items()
    }
    answer = described(networks, errors).family
    assert answer is not None
    assert answer.capped is not None
    assert (answer.capped.code_size, answer.capped.narrowest) == (1024, 768)
    assert answer.flattens == flattens


def test_two_sizes_are_no_family() -> None:
    study = [row for row in family(-0.6) if row.code_size in (1024, 64)]
    assert analyze(study).family is None
    assert analyze(power_study(-0.6)).family is None


def test_the_rank_correlation_of_code_size_and_error_is_found_again() -> None:
    answer = analyze(power_study(-0.6, noise=0.05)).code_size
    assert answer.spearman.side(0) == -1
    assert answer.held.n == 8


def test_what_has_no_bottleneck_is_left_out_and_named() -> None:
    study = power_study(-0.6, count=6)
    around = rows("u-net", [0.00001], skip=True, code=(1, 8, 8))
    without = rows("plain", [0.00001], code=None)
    answer = analyze([*study, *around, *without]).code_size
    assert [each.label for each in answer.architectures] == [row.label for row in study]
    assert (answer.skipped, answer.codeless) == (("u-net",), ("plain",))


def test_a_network_counts_once() -> None:
    """Another batch size is another level, and no other network."""
    study = [*BASE, *rows("batch 64", [0.003], factor="batch", level="64", network=BASE[0].network)]
    analysis = analyze(study)
    assert [each.label for each in analysis.code_size.architectures] == ["base"]
    assert len(analysis.effects) == 1


def test_what_the_weights_explain_is_not_the_code_sizes_doing(rng: np.random.Generator) -> None:
    study = []
    for place in range(40):
        weights = round(1000 * 1.2**place)
        error, excess = np.exp(rng.normal(0, (0.1, 0.3)))
        size = round(8 * 1.1**place * excess)
        side = int(rng.integers(1, 9))
        study += rows(
            f"{place}", [0.1 * weights**-0.3 * error], code=(size, side, 1), weights=weights
        )
        study[-1] = StudyRow(**{**vars(study[-1]), "code_size": size})
    answer = analyze(study).code_size
    assert answer.spearman.side(-0.8) == -1
    assert answer.confounders["weights"].side(-0.8) == -1
    assert answer.confounders["area"].side(0) == 0
    assert answer.held.side(0) == 0


# Equal size


def test_area_is_measured_by_doublings() -> None:
    answer = analyze(shape_study(0.8, spread=0.02)).equal_size
    assert answer.size == 768
    assert [each.label for each in answer.maps] == ["2×2×192", "4×4×48", "8×8×12", "16×16×3"]
    assert [each.label for each in answer.ranking] == ["16×16×3", "8×8×12", "4×4×48", "2×2×192"]
    assert answer.doubling is not None
    assert answer.doubling.ratio.estimate == pytest.approx(0.8, rel=0.02)
    assert answer.doubling.verdict == Verdict.LOWER
    assert [each.second.label for each in answer.steps] == ["4×4×48", "8×8×12", "16×16×3"]
    for step in answer.steps:
        assert step.doubling.ratio.estimate == pytest.approx(0.8, rel=0.03)


def test_only_comparable_codes_are_compared() -> None:
    study = [
        *rows("code 768", [0.1] * 3, factor="code", level="768", code=(12, 8, 8)),
        *shape_study(0.8),
        *rows("dense", [0.001] * 3, code=(768, 1, 1)),
        *rows("u-net", [0.0001] * 3, code=(12, 8, 8), skip=True),
        *rows("8×8×12 again", [0.1] * 3, code=(12, 8, 8), network="network of 8×8×12"),
        *rows("base", [0.1] * 3),
        *rows("larger", [0.1] * 3, code=(64, 4, 4)),
    ]
    answer = analyze(study).equal_size
    assert answer.size == 768  # in four areas; 1,024 in two
    assert [each.label for each in answer.maps] == ["2×2×192", "4×4×48", "8×8×12", "16×16×3"]
    assert {each.label for each in answer.ranking} == {*SHAPES, "code 768", "dense", "8×8×12 again"}


def test_one_area_is_no_comparison() -> None:
    answer = analyze([*BASE, *rows("kernel 5", [0.003], factor="kernel", level="5")]).equal_size
    assert (answer.ranking, answer.doubling) == ((), None)


def test_levels_of_factors_serve_where_there_are_no_explicit_networks() -> None:
    study = [
        StudyRow(**{**vars(row), "factor": "shape", "level": row.label}) for row in shape_study(0.8)
    ]
    assert len(analyze(study).equal_size.maps) == 4


# Pareto front


def test_fronts_hold_what_is_not_beaten() -> None:
    study = [
        *rows("large and good", [0.001], weights=9000, macs=10, seconds=1.0),
        *rows("small and bad", [0.004], weights=10, macs=10, seconds=2.0),
        *rows("between", [0.002], weights=100, macs=10, seconds=3.0),
        *rows("beaten", [0.003], weights=100, macs=10, seconds=4.0),
        *rows("failed", [math.nan], weights=1, macs=1, seconds=0.1),
    ]
    assert [each.label for each in analyze(study).front] == [
        "small and bad",
        "between",
        "large and good",
    ]


# Anything


ERROR = st.one_of(st.floats(1e-6, 1), st.sampled_from([math.nan, math.inf, 0.0, 0.004]))
NETWORK = st.tuples(
    st.lists(ERROR, min_size=1, max_size=3),
    st.sampled_from(["", "kernel"]),
    st.sampled_from([None, (12, 8, 8), (48, 4, 4), (768, 1, 1), (3, 16, 16), (16, 8, 8)]),
    st.integers(0, 10**6),
    st.booleans(),
)
STUDY = st.lists(NETWORK, max_size=9).map(
    lambda networks: [
        row
        for place, (errors, factor, code, cost, skip) in enumerate(networks)
        for row in rows(
            "base" if place == 0 else f"n{place}",
            errors,
            factor=factor if place else "",
            level=str(place),
            code=code,
            weights=cost,
            macs=cost // 2,
            skip=skip and code is not None,
        )
    ]
)


@settings(max_examples=40, deadline=None)
@given(STUDY)
def test_any_study_has_an_analysis(study: list[StudyRow]) -> None:
    analysis = analyze(study)
    measured = [each for each in analysis.architectures if each.errors]
    assert sum(len(each.errors) + each.failed for each in analysis.architectures) == len(study)
    assert (analysis.best is None) == (not measured)
    assert all(math.isfinite(each.contrast.ratio.estimate) for each in analysis.effects)
    assert bool(analysis.front) == bool(measured)
    errors = [each.mse.estimate for each in analysis.front]
    assert errors == sorted(errors, reverse=True)
