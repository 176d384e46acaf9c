import pytest
from benchmarks.benchmark import Options, row, summarize
from benchmarks.tasks import EPOCH, Contestant, Task

from benchmarks import floor, scale, training


def test_summary_has_median_spread_and_count_of_numbers_that_all_answers_have() -> None:
    answers = [
        {"seconds": 3.0, "data": "noise", "extra": 1},
        {"seconds": 1.0, "data": "noise"},
        {"seconds": 2.5},
    ]
    assert summarize(answers) == {"seconds": {"median": 2.5, "low": 1.0, "high": 3.0, "n": 3}}


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ([{"seconds": 1.0}], "measured"),
        ([{"missing": "keras"}], "missing: keras"),
        ([{"seconds": 1.0}, {"failed": "exit code 1: no"}], "failed: exit code 1: no"),
    ],
)
def test_row_says_how_it_went(answers: list[dict[str, object]], state: str) -> None:
    made = row(Contestant(name="a", label="A", arguments=()), answers)
    assert made["state"] == state
    assert bool(made["values"]) == (state == "measured")
    assert made["answers"] == answers


def test_speedup_compares_within_a_network() -> None:
    answers = {
        "script-32-reference": {"seconds": 12.0},
        "caelab-reference": {"seconds": 3.0},
        "caelab-residual": {"seconds": 3.0},
        "keras-jax-reference": {"missing": "jax"},
    }
    training.derive(answers, ())
    assert answers["caelab-reference"]["speedup"] == 4
    assert "speedup" not in answers["caelab-residual"]
    assert "speedup" not in answers["keras-jax-reference"]


def test_names_are_unique_and_say_the_network() -> None:
    for module in (training, floor, scale):
        names = [each.name for each in module.contestants(Options())]
        assert len(set(names)) == len(names)
    for each in training.contestants(Options()):
        assert each.task is not None
        assert each.name.endswith(each.task.network)


def test_floor_counts_three_passes_of_the_rewritten_network() -> None:
    encoder = 32 * 32 * 27 * 8 + 16 * 16 * 72 * 12 + 8 * 8 * 108 * 16
    phases = 4 * 2 * 2  # of 2×2 taps, at the resolution before up
    decoder = 8 * 8 * phases * 16 * 12 + 16 * 16 * phases * 12 * 3
    assert floor.operations("reference") == 6 * EPOCH * (encoder + decoder)

    contestants = floor.contestants(Options())
    amount = floor.operations("reference")
    answers = {each.name: {"seconds": 2.0} for each in contestants}
    answers["products"] = {"float32": amount, "bfloat16": 4 * amount}
    floor.derive(answers, contestants)
    assert answers["reference-float32"]["floor"] == pytest.approx(1)
    assert answers["reference-float32"]["share"] == pytest.approx(0.5)
    assert answers["reference-bfloat16"]["share"] == pytest.approx(0.125)


def test_scale_compares_pixels_per_second_with_the_first_of_the_axis() -> None:
    small = Contestant(name="s", label="", arguments=(), group="size", task=Task(size=32))
    large = Contestant(name="l", label="", arguments=(), group="size", task=Task(size=64))
    answers = {"s": {"images_per_second": 100.0}, "l": {"images_per_second": 30.0}}
    scale.derive(answers, [small, large])
    assert answers["l"]["relative"] == pytest.approx(1.2)


def test_a_study_is_compared_with_that_of_one_seed() -> None:
    options = Options(quick=True)
    studies = [each for each in scale.contestants(options) if each.group == "study"]
    assert [each.name for each in studies] == ["study-1", "study-2", "study-3"]
    answers = {
        each.name: {"command": seconds}
        for each, seconds in zip(studies, (20.0, 24.0, 35.0), strict=True)
    }
    scale.derive(answers, studies)
    assert [answers[each.name]["together"] for each in studies] == [1.0, 1.2, 1.75]
