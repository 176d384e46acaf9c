import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize, special, stats

from caelab.metrics import moderated
from caelab.metrics.moderated import Contrast, Verdict, moderate

Errors = dict[str, list[float]]

SPREADS = {"a": 0.001, "b": 0.3, "c": 0.02, "d": 0.04, "e": 0.08, "f": 0.0004}


def spread(deviation: float, center: float = 0.1, count: int = 2) -> list[float]:
    """Return errors whose logarithms have exactly this standard deviation."""
    points = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    scale = deviation / points.std(ddof=1) if count > 1 else 0
    return list(center * np.exp(scale * points))


def equal_variances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moderated, "_PRIOR_DEGREES", np.array([1e6]))


def log_bounds(contrast: Contrast) -> tuple[float, float]:
    return math.log(contrast.ratio.low), math.log(contrast.ratio.high)


# Moderated variances


def limma(
    variances: list[float], degrees: list[int]
) -> tuple[float, float, list[float], list[float]]:
    """Return d₀, s₀², s̃² and degrees as limma's ``squeezeVar`` and ``eBayes`` do, one by one."""
    floor = 1e-5 * float(np.median(variances))
    floored = [max(value, floor) for value in variances]
    e = [
        math.log(s2) - float(special.digamma(d / 2)) + math.log(d / 2)
        for s2, d in zip(floored, degrees, strict=True)
    ]
    mean = sum(e) / len(e)
    excess = sum((value - mean) ** 2 for value in e) / (len(e) - 1)
    excess -= sum(float(special.polygamma(1, d / 2)) for d in degrees) / len(degrees)
    if excess <= 0:
        pooled = sum(d * s2 for d, s2 in zip(degrees, floored, strict=True)) / sum(degrees)
        return math.inf, pooled, [pooled] * len(e), [float(sum(degrees))] * len(e)
    half = math.exp(
        optimize.bisect(
            lambda x: float(special.polygamma(1, math.exp(x))) - excess, -9, 9, xtol=1e-13
        )
    )
    s0 = math.exp(mean + float(special.digamma(half)) - math.log(half))
    squeezed = [
        (2 * half * s0 + d * s2) / (2 * half + d) for s2, d in zip(floored, degrees, strict=True)
    ]
    return 2 * half, s0, squeezed, [min(2 * half + d, sum(degrees)) for d in degrees]


@pytest.mark.parametrize("counts", [[2] * 6, [3, 2, 2, 4, 2, 9]])
@pytest.mark.parametrize("equal", [False, True])
def test_variances_are_moderated_as_in_limma(counts: list[int], equal: bool) -> None:
    errors = {
        label: spread(0.02 + 0.001 * count if equal else deviation, count=count)
        for (label, deviation), count in zip(SPREADS.items(), counts, strict=True)
    }
    result = moderate(errors)
    variances = [float(np.var(np.log(values), ddof=1)) for values in errors.values()]
    degrees, scale, squeezed, total = limma(variances, [count - 1 for count in counts])
    assert math.isinf(degrees) == equal
    assert result.prior_degrees == pytest.approx(degrees)
    assert result.prior_deviation == pytest.approx(math.sqrt(scale))
    assert result.deviations == pytest.approx(np.sqrt(squeezed))
    assert result.degrees == pytest.approx(total)


def test_a_network_of_one_seed_gets_the_prior_variance() -> None:
    result = moderate({label: spread(value) for label, value in SPREADS.items()} | {"one": [0.2]})
    assert result.counts[-1] == 1
    assert result.deviations[-1] == pytest.approx(result.prior_deviation)
    assert result.degrees[-1] == pytest.approx(result.prior_degrees)
    contrasts = result.against("c")
    assert not contrasts["one"].ratio.undetermined
    assert contrasts["one"].ratio.n == 1


def test_what_is_no_error_is_left_out() -> None:
    errors = {label: spread(value) for label, value in SPREADS.items()}
    bad = [math.nan, math.inf, -math.inf, 0.0, -0.1]
    with_bad = {label: [*values, *bad] for label, values in errors.items()}
    result = moderate({**with_bad, "failed": bad, "never run": []})
    assert result.labels == tuple(errors)
    assert result.deviations == pytest.approx(moderate(errors).deviations)
    assert result.against("a") == moderate(errors).against("a")
    assert result.against("failed") == {}


# Intervals against those of others


def test_intervals_of_networks_that_vary_equally_are_dunnetts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    equal_variances(monkeypatch)
    logarithms = np.random.default_rng(0).normal(0, 0.1, (5, 6))
    result = moderate({str(i): np.exp(row) for i, row in enumerate(logarithms)}).against("0")
    dunnett = stats.dunnett(*logarithms[1:], control=logarithms[0], rng=np.random.default_rng(0))
    expected = dunnett.confidence_interval(0.95)
    for contrast, low, high in zip(result.values(), expected.low, expected.high, strict=True):
        assert log_bounds(contrast) == pytest.approx((low, high), abs=0.02 * (high - low))


def test_the_interval_of_a_single_contrast_is_students(monkeypatch: pytest.MonkeyPatch) -> None:
    equal_variances(monkeypatch)
    first, second = np.random.default_rng(1).normal(0, 0.1, (2, 4))
    contrast = moderate({"a": np.exp(first), "b": np.exp(second)}).against("b")["a"]
    expected = stats.ttest_ind(first, second).confidence_interval(0.95)
    assert log_bounds(contrast) == pytest.approx((expected.low, expected.high), rel=0.03)


def test_the_slope_is_that_of_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    equal_variances(monkeypatch)
    sizes = {"64": 64.0, "128": 128.0, "512": 512.0, "2048": 2048.0}
    rng = np.random.default_rng(2)
    logarithms = {label: -0.3 * math.log2(x) + rng.normal(0, 0.1, 9) for label, x in sizes.items()}
    result = moderate({label: np.exp(values) for label, values in logarithms.items()})
    contrast = result.contrasts({"doubling": result.slope({**sizes, "never run": 32.0})})
    x = np.repeat(np.log2(list(sizes.values())), 9)
    line = stats.linregress(x, np.concatenate(list(logarithms.values())))
    assert math.log(contrast["doubling"].ratio.estimate) == pytest.approx(line.slope)
    # The line's residuals include what the means of networks deviate from it.
    low, high = log_bounds(contrast["doubling"])
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 34) * line.stderr, rel=0.2)
    assert contrast["doubling"].verdict is Verdict.LOWER


def test_more_contrasts_have_wider_intervals() -> None:
    result = moderate({label: spread(value) for label, value in SPREADS.items()})
    alone = result.against("a", labels=["c"])["c"].ratio
    together = result.against("a")["c"].ratio
    assert together.low < alone.low < alone.high < together.high
    assert together.estimate == alone.estimate


def test_a_network_that_varies_more_has_a_wider_interval() -> None:
    result = moderate({label: spread(value) for label, value in SPREADS.items()}).against("a")
    widths = {
        label: high - low
        for label, (low, high) in zip(result, map(log_bounds, result.values()), strict=True)
    }
    assert widths["f"] < widths["c"] < widths["e"] < widths["b"]


# Coverage


def study(
    rng: np.random.Generator, prior_degrees: float, truth: dict[str, float]
) -> dict[str, np.ndarray]:
    """Draw the errors of networks with two seeds, and of a base with three."""
    inverse = rng.chisquare(prior_degrees, len(truth)) / prior_degrees
    return {
        # The limit keeps the wildest of fifty thousand networks in the range of a float.
        label: effect * np.exp((deviation * rng.normal(size=2 + (label == "base"))).clip(-600, 600))
        for (label, effect), deviation in zip(truth.items(), 0.001 / np.sqrt(inverse), strict=True)
    }


TRUTH = {"base": 1.0} | {str(i): effect for i, effect in enumerate(np.geomspace(0.99, 1.01, 23))}


def coverage(
    monkeypatch: pytest.MonkeyPatch,
    prior_degrees: Callable[[np.random.Generator], float],
    studies: int,
) -> tuple[float, float]:
    """Return the shares of studies whose intervals all hold, and of intervals that hold."""
    monkeypatch.setattr(moderated, "DRAWS", 1000)
    rng = np.random.default_rng(0)
    holds = np.empty((studies, len(TRUTH) - 1), bool)
    for row in holds:
        contrasts = moderate(study(rng, prior_degrees(rng), TRUTH)).against("base")
        row[:] = [
            each.ratio.low <= TRUTH[label] <= each.ratio.high for label, each in contrasts.items()
        ]
    return holds.all(axis=1).mean(), holds.mean()


@pytest.mark.slow
def test_intervals_of_a_study_hold_together_in_95_of_100_studies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def prior_degrees(rng: np.random.Generator) -> float:
        # Uniform shrinkage from two seeds, as the method assumes; below 0.5 the largest of 24
        # deviations is more than 10,000 times the smallest.
        weight = rng.uniform(1 / 3, 1)
        return weight / (1 - weight)

    family, single = coverage(monkeypatch, prior_degrees, 2000)
    assert family == pytest.approx(0.95, abs=0.01)
    assert single >= 0.95


@pytest.mark.parametrize("prior_degrees", [1.0, 3.0, 1e6])
def test_intervals_hold_however_alike_variances_are(
    monkeypatch: pytest.MonkeyPatch, prior_degrees: float
) -> None:
    # limma's own intervals, with the estimate of d₀ taken for the truth, hold in 83 to 96%.
    family, single = coverage(monkeypatch, lambda _: prior_degrees, 300)
    assert family >= 0.92
    assert single >= 0.98


# Verdicts


@pytest.mark.parametrize(
    ("ratio", "deviation", "verdict"),
    [
        (0.8, 0.001, Verdict.LOWER),
        (1.2, 0.001, Verdict.HIGHER),
        (1.0, 0.001, Verdict.EQUIVALENT),
        (1.01, 0.0001, Verdict.EQUIVALENT),  # excludes 1, and is within the margin
        (1.05, 0.1, Verdict.UNDECIDED),
        (1.029, 0.001, Verdict.HIGHER),  # excludes 1, and reaches beyond the margin
    ],
)
def test_the_verdict_is_what_the_interval_says(
    ratio: float, deviation: float, verdict: Verdict
) -> None:
    errors = {str(i): spread(deviation * (1 + 0.2 * i), count=4) for i in range(6)}
    contrast = moderate({**errors, "changed": spread(deviation, 0.1 * ratio, 4)}).against("0")[
        "changed"
    ]
    assert contrast.ratio.estimate == pytest.approx(ratio)
    assert contrast.verdict is verdict
    assert (contrast.more_seeds is None) == (verdict is not Verdict.UNDECIDED)


def test_the_margin_decides_what_is_equivalent() -> None:
    result = moderate({str(i): spread(0.01, count=3) for i in range(6)})
    assert result.against("0", margin=0.1)["1"].verdict is Verdict.EQUIVALENT
    narrow = result.against("0", margin=0.003)["1"]
    assert narrow.verdict is Verdict.UNDECIDED
    assert narrow.more_seeds is not None
    assert narrow.more_seeds > 10
    assert result.against("0", margin=1e-5)["1"].more_seeds is None  # more than anyone trains


def test_larger_effects_need_fewer_seeds() -> None:
    errors = {str(i): spread(0.04) for i in range(6)}
    base = errors | {f"to {ratio}": spread(0.04, 0.1 * ratio) for ratio in (1.06, 1.12)}
    contrasts = moderate(base).against("0")
    small, large = contrasts["to 1.06"].more_seeds, contrasts["to 1.12"].more_seeds
    assert small is not None
    assert large is not None
    assert large < small


def test_the_further_seeds_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moderated, "DRAWS", 2000)
    rng = np.random.default_rng(0)
    truth = {str(i): 1 + 0.001 * i for i in range(8)} | {"base": 1.0}
    decided = []
    for _ in range(40):
        first = study(rng, 4.0, truth)
        for label, contrast in moderate(first).against("base", margin=0.001).items():
            if contrast.more_seeds is not None and contrast.more_seeds < 20:
                # With further seeds the means and the deviations stay.
                more = {
                    each: spread(
                        float(np.log(values).std(ddof=1)),
                        float(np.exp(np.log(values).mean())),
                        len(values) + contrast.more_seeds,
                    )
                    for each, values in first.items()
                }
                after = moderate(more).against("base", margin=0.001)[label]
                decided.append(after.verdict is not Verdict.UNDECIDED)
    assert len(decided) > 20
    assert np.mean(decided) > 0.8


# Too few data


def test_without_a_second_seed_there_are_no_intervals() -> None:
    result = moderate({"a": [0.1], "b": [0.2], "c": [0.3]})
    assert np.isnan(result.deviations).all()
    assert math.isnan(result.prior_degrees)
    contrasts = result.against("a")
    assert [each.ratio.estimate for each in contrasts.values()] == pytest.approx([2, 3])
    for each in contrasts.values():
        assert each.ratio.undetermined
        assert (each.verdict, each.more_seeds) == (Verdict.UNDECIDED, 1)


def test_one_network_with_two_seeds_is_enough_for_intervals() -> None:
    contrast = moderate({"a": [0.1, 0.101], "b": [1e9]}).against("a")["b"]
    assert not contrast.ratio.undetermined
    assert contrast.ratio.low < contrast.ratio.estimate < contrast.ratio.high


def test_a_study_without_errors_has_no_contrasts() -> None:
    for errors in ({}, {"a": []}, {"a": [math.nan], "b": [-1.0]}):
        result = moderate(errors)
        assert result.labels == ()
        assert result.against("a") == {}
        assert result.slope({"a": 1, "b": 2}) == {}


def test_equal_errors_make_no_rounding_certain() -> None:
    alike = 0.1 * (1 + 1e-16 * np.arange(4))
    contrasts = moderate(
        {"a": alike, "b": alike * (1 + 1e-9), "c": [0.2] * 4, "d": [0.1 + 1e-17] * 4}
    ).against("a")
    for label in "bd":
        assert contrasts[label].ratio.low < 1 < contrasts[label].ratio.high
        assert contrasts[label].verdict is Verdict.EQUIVALENT
    assert contrasts["c"].verdict is Verdict.HIGHER


def test_enormous_and_tiny_errors_do_no_harm() -> None:
    result = moderate({"a": [1e-300, 1e300], "b": [1e-300, 1e-299], "c": [5e-324, 1e308]})
    assert all(each.verdict is Verdict.UNDECIDED for each in result.against("a").values())


@pytest.mark.parametrize(
    "weights", [{"a": 1.0}, {"a": 1.0, "b": -0.5}, {"a": 0.0}, {"a": 1.0, "b": math.nan}]
)
def test_weights_that_are_no_contrast_are_an_error(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        moderate({"a": [0.1, 0.2], "b": [0.1, 0.3]}).contrasts({"bad": weights})


def test_contrasts_of_networks_without_errors_are_left_out() -> None:
    result = moderate({"a": [0.1, 0.2], "b": [0.1, 0.3]})
    weights = {"good": {"a": 1.0, "b": -1.0}, "unknown": {"a": 1.0, "x": -1.0}, "empty": {}}
    assert list(result.contrasts(weights)) == ["good"]
    assert result.slope({"a": 4.0, "b": 4.0}) == {}
    for size in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="sizes"):
            result.slope({"a": size, "b": 4.0})


def test_the_same_errors_give_the_same_intervals() -> None:
    errors = {label: spread(value) for label, value in SPREADS.items()}
    assert moderate(errors).against("a") == moderate(errors).against("a")
