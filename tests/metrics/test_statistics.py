import itertools
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from caelab.metrics.statistics import (
    MIN_ARCHITECTURES,
    Interval,
    compare_pairs,
    correlation,
    holm,
    mean_interval,
    pareto_front,
)

RNG = np.random.default_rng(0)
ERRORS = st.floats(1e-5, 1.0)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of its own for every test, whatever ran before."""
    return np.random.default_rng(0)


def bounds(interval: Interval) -> tuple[float, float, float]:
    return interval.low, interval.estimate, interval.high


# Intervals


@given(st.lists(ERRORS, min_size=2, max_size=9, unique=True))
def test_the_mean_has_scipys_t_interval(values: list[float]) -> None:
    interval = mean_interval(values)
    expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert bounds(interval) == pytest.approx((expected[0], np.mean(values), expected[1]))
    assert interval.n == len(values)


@pytest.mark.parametrize(
    ("values", "estimate"),
    [([], math.nan), ([2.0], 2.0), ([1.0, math.nan], math.nan), ([1.0, math.inf, 2.0], math.nan)],
)
def test_what_has_no_bounds_is_undetermined(values: list[float], estimate: float) -> None:
    interval = mean_interval(values)
    assert interval.undetermined
    assert interval.estimate == pytest.approx(estimate, nan_ok=True)
    assert interval.n == len(values)
    assert interval.side(-5.0) == 0


def test_the_side_of_an_interval() -> None:
    interval = Interval(low=1.0, estimate=2.0, high=3.0, n=4)
    assert [interval.side(of) for of in (0.5, 1.0, 2.0, 3.0, 3.5)] == [1, 0, 0, 0, -1]
    unlimited = Interval(low=1.0, estimate=2.0, high=math.inf, n=4)
    assert [unlimited.side(of) for of in (0.5, 1.0, 2.0)] == [1, 0, 0]


def test_the_exponential_of_an_interval() -> None:
    interval = Interval(low=-1.0, estimate=0.0, high=2.0, n=3).exponential()
    assert bounds(interval) == pytest.approx((1 / math.e, 1, math.e**2))
    assert Interval(low=-1.0, estimate=0.0, high=1e4, n=2).exponential().undetermined


def test_three_seeds_cover_the_mean_as_often_as_they_say(rng: np.random.Generator) -> None:
    intervals = [mean_interval(rng.normal(5, 2, 3)) for _ in range(1000)]
    assert np.mean([interval.side(5) == 0 for interval in intervals]) == pytest.approx(
        0.95, abs=0.025
    )


# Pairs


def test_a_pair_has_scipys_bootstrap_and_sign_flip_test(rng: np.random.Generator) -> None:
    first = rng.gamma(2, 0.002, 80)
    second = first + rng.normal(0.0002, 0.001, 80)
    (found,) = compare_pairs({"a": first, "b": second})
    difference = first - second
    expected = stats.bootstrap(
        (difference,), np.mean, method="percentile", n_resamples=10_000
    ).confidence_interval
    test = stats.permutation_test(
        (difference,),
        lambda d, axis: np.mean(d, axis=axis),
        permutation_type="samples",
        vectorized=True,
    )
    spread = difference.std() / math.sqrt(80)
    assert found.difference.estimate == pytest.approx(difference.mean())
    assert found.difference.low == pytest.approx(expected.low, abs=0.1 * spread)
    assert found.difference.high == pytest.approx(expected.high, abs=0.1 * spread)
    assert found.p_value == pytest.approx(test.pvalue, abs=0.02)


def test_few_images_have_the_exact_test_of_all_signs() -> None:
    first, second = (
        np.array([3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0]),
        np.array([2.0, 2.0, 1.0, 1.0, 3.0, 5.0, 3.0]),
    )
    signs = np.array(list(itertools.product([-1, 1], repeat=7)))
    means = np.abs((signs * (first - second)).mean(axis=1))
    exact = np.mean(means >= means[-1] - 1e-12)
    assert compare_pairs({"a": first, "b": second})[0].p_value == pytest.approx(exact, abs=0.02)


def test_the_better_model_is_named_and_only_where_it_is_known(rng: np.random.Generator) -> None:
    images = rng.gamma(2, 0.002, 500)
    found = compare_pairs(
        {"good": images, "bad": images * 1.2, "bad too": images * 1.2 + rng.normal(0, 1e-4, 500)}
    )
    assert [(pair.first, pair.second, pair.better) for pair in found] == [
        ("good", "bad", "good"),
        ("good", "bad too", "good"),
        ("bad", "bad too", None),
    ]


def test_the_same_seed_gives_the_same_answer(rng: np.random.Generator) -> None:
    models = {name: rng.gamma(2, 0.002, 50) for name in "abc"}
    assert compare_pairs(models, seed=3, resamples=200) == compare_pairs(
        models, seed=3, resamples=200
    )
    assert compare_pairs(models, seed=3, resamples=200) != compare_pairs(
        models, seed=4, resamples=200
    )


def test_a_pair_is_the_same_among_others(rng: np.random.Generator) -> None:
    models = {name: rng.gamma(2, 0.002, 50) for name in "abc"}
    alone = compare_pairs({"a": models["a"], "b": models["b"]}, resamples=500)[0]
    among = compare_pairs(models, resamples=500)[0]
    assert bounds(among.difference) == pytest.approx(bounds(alone.difference))
    assert among.p_value == alone.p_value


def test_equal_models_are_not_told_apart() -> None:
    (found,) = compare_pairs({"a": [0.1, 0.2] * 10, "b": [0.1, 0.2] * 10}, resamples=100)
    assert bounds(found.difference) == (0, 0, 0)
    assert found.p_value == 1
    assert found.better is None


def test_few_images_have_no_interval() -> None:
    (found,) = compare_pairs({"a": [0.1] * 5, "b": [0.2] * 5}, resamples=100)
    assert found.difference.undetermined
    assert found.difference.estimate == pytest.approx(-0.1)
    assert found.better is None


@pytest.mark.parametrize("second", [[0.1], [0.1, math.nan]])
def test_errors_that_are_no_pairs_are_refused(second: list[float]) -> None:
    with pytest.raises(ValueError, match=r"same images, not of \[1, 2\]|must be finite"):
        compare_pairs({"a": [0.1, 0.2], "b": second})


def test_one_model_has_no_pairs() -> None:
    assert compare_pairs({"a": [0.1, 0.2]}) == ()


def test_the_sign_flip_test_rejects_as_often_as_it_says(rng: np.random.Generator) -> None:
    rejected = [
        compare_pairs({"a": rng.gamma(2, 1, 12), "b": rng.gamma(2, 1, 12)}, resamples=300)[
            0
        ].p_value
        <= 0.05
        for _ in range(500)
    ]
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.03)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_stepping_down_rejects(p_values: list[float]) -> None:
    corrected = holm(p_values)
    rejected = set()
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] * (len(p_values) - step) > 0.05:
            break
        rejected.add(place)
    assert {place for place, value in enumerate(corrected) if value <= 0.05} == rejected
    assert all(1 >= value >= p_value for value, p_value in zip(corrected, p_values, strict=True))


# Correlations

SIZES = np.array([64, 64, 128, 256, 256, 512, 768, 768, 1024, 2048.0])
MSE = 0.3 * SIZES**-0.7 * np.exp(RNG.normal(0, 0.2, 10))
WEIGHTS = np.round(SIZES**0.5 * np.exp(RNG.normal(5, 0.8, 10)))


def test_correlations_are_scipys_with_its_bootstrap_interval() -> None:
    found = correlation(SIZES, MSE)
    expected = stats.bootstrap(
        (SIZES, MSE),
        lambda x, y: stats.spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=1000,
    )
    assert found.estimate == pytest.approx(stats.spearmanr(SIZES, MSE).statistic)
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.03)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.03)
    assert found.n == 10


def test_partial_correlations_are_those_of_the_inverse_correlation_matrix(
    rng: np.random.Generator,
) -> None:
    other = rng.uniform(1, 9, 10)
    found = correlation(SIZES, MSE, [WEIGHTS, other])
    precision = np.linalg.inv(
        np.corrcoef([stats.rankdata(column) for column in (SIZES, MSE, WEIGHTS, other)])
    )
    assert found.estimate == pytest.approx(
        -precision[0, 1] / math.sqrt(precision[0, 0] * precision[1, 1])
    )
    assert found.low < found.estimate < found.high


def test_a_common_cause_is_taken_out(rng: np.random.Generator) -> None:
    cause = rng.uniform(0, 5, 200)
    x, y = np.exp(cause + rng.normal(0, 0.3, 200)), np.exp(-cause + rng.normal(0, 0.3, 200))
    assert correlation(x, y, resamples=300).side(-0.8) == -1
    assert correlation(x, y, [np.exp(cause)], resamples=300).side(0) == 0


def test_what_covariates_explain_completely_leaves_nothing() -> None:
    found = correlation(SIZES, MSE, [SIZES**2, WEIGHTS])
    assert math.isnan(found.estimate)
    assert found.undetermined


def test_rank_correlations_are_covered_as_often_as_they_should_be(rng: np.random.Generator) -> None:
    truth = 6 / math.pi * math.asin(0.6 / 2)  # of normal variables whose correlation is 0.6
    covered = []
    for place in range(300):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 20).T
        covered.append(correlation(x, y, seed=place, resamples=300).side(truth) == 0)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize("count", range(MIN_ARCHITECTURES + 1))
def test_few_architectures_have_no_interval(count: int) -> None:
    x, y = SIZES[:count] * (1 + np.arange(count)), MSE[:count]
    enough = count >= MIN_ARCHITECTURES
    interval = correlation(x, y)
    assert interval.undetermined is not enough
    assert interval.n == count
    assert math.isnan(interval.estimate) == (count < 2)
    assert correlation(x, y, [x**2]).undetermined


def test_a_constant_has_no_correlation() -> None:
    for interval in (
        correlation([768] * 8, MSE[:8]),
        correlation([768] * 8, MSE[:8], [WEIGHTS[:8]]),
    ):
        assert math.isnan(interval.estimate)
        assert interval.undetermined


def test_one_architecture_that_decides_alone_is_not_enough() -> None:
    """Where it is not drawn, there is no correlation to speak of."""
    interval = correlation([64.0, 768, 768, 768, 768, 768, 768], MSE[:7])
    assert math.isfinite(interval.estimate)
    assert interval.undetermined


@settings(max_examples=30)
@given(st.permutations(range(8)), st.permutations(range(8)))
def test_spearman_only_sees_order(first: list[int], second: list[int]) -> None:
    x, y = np.array(first, float), np.array(second, float)
    assert bounds(correlation(x, y, resamples=50)) == bounds(
        correlation(2**x, y**3 - 100, resamples=50)
    )
    backwards = [-bound for bound in reversed(bounds(correlation(x, -y, resamples=50)))]
    assert bounds(correlation(x, y, resamples=50)) == pytest.approx(backwards)


# Pareto


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_the_front_is_what_no_other_row_beats(rows: list[tuple[int, int, int]]) -> None:
    front = pareto_front(np.array(rows, float).reshape(-1, 3))
    for row, on_front in zip(rows, front, strict=True):
        beaten = any(
            all(a <= b for a, b in zip(other, row, strict=True)) and other != row for other in rows
        )
        assert on_front == (not beaten)


def test_ties_are_on_the_front_together_and_nan_never() -> None:
    costs = [[1, 3], [1, 3], [2, 2], [1, 4], [math.nan, 0]]
    assert pareto_front(costs).tolist() == [True, True, True, False, False]


def test_statistics_need_no_torch() -> None:
    import subprocess

    code = "import sys, caelab.metrics.moderated; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
