import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.degrade.degradation import Degradation, DegradationStep, parse_degradation
from caelab.degrade.kinds import DegradationKind
from caelab.errors import InputError

KINDS = DegradationKind.registry


def strengths(name: str) -> st.SearchStrategy[float | None]:
    kind = KINDS[name]
    spec = kind.strength
    if spec is None:
        return st.none()
    if spec.whole:
        return st.integers(int(spec.low), int(spec.high)).map(float)
    return st.floats(spec.low, spec.high)


degradations = st.permutations(list(KINDS)).flatmap(
    lambda names: st.integers(0, len(names)).flatmap(
        lambda count: st.tuples(
            *(
                st.builds(DegradationStep, name=st.just(n), strength=strengths(n))
                for n in names[:count]
            )
        ).map(lambda steps: Degradation(steps=steps))
    )
)


@given(degradations)
def test_what_is_printed_is_read_back(degradation: Degradation) -> None:
    assert parse_degradation(str(degradation)) == degradation


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("none", "none"),
        (" none ", "none"),
        ("gray", "gray"),
        ("noise.10", "noise0.1"),
        ("noise1.", "noise1"),
        ("downscale2.0", "downscale2"),
        ("gray + noise0.050", "gray+noise0.05"),
        ("mask0.25+jpeg020", "mask0.25+jpeg20"),
    ],
)
def test_texts_that_mean_the_same_have_one_canonical_text(text: str, canonical: str) -> None:
    assert str(parse_degradation(text)) == canonical


THERE = "The words are none, gray, noise0.1, blur1.5, mask0.25, downscale2, jpeg20; + joins them."
NOISE = "It is a number from 0.001 to 1 (standard deviation, on [0, 1]), such as noise0.1."
JPEG = "It is a whole number from 1 to 100 (quality of libjpeg), such as jpeg20."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f"a word is missing, at column 1. {THERE}"),
        ("gray+", f"a word is missing, at column 6. {THERE}"),
        ("gray++jpeg20", f"a word is missing, at column 6. {THERE}"),
        ("sepia", f"there is no degradation 'sepia', at column 1. {THERE}"),
        (
            "gray+niose0.1",
            f"there is no degradation 'niose0.1', at column 6. Did you mean noise0.1? {THERE}",
        ),
        ("Gray", f"there is no degradation 'Gray', at column 1. {THERE}"),
        ("nonne", f"there is no degradation 'nonne', at column 1. Did you mean none? {THERE}"),
        (
            "gray + none",
            "none is joined to another degradation, at column 8. Write it alone, or leave it out.",
        ),
        ("none5", f"there is no degradation 'none5', at column 1. Did you mean none? {THERE}"),
        (
            "none+gray",
            "none is joined to another degradation, at column 1. Write it alone, or leave it out.",
        ),
        (
            "gray+blur1+ gray",
            "gray occurs twice, at column 13. Each degradation may occur once.",
        ),
        ("gray2", "gray takes no strength, but has '2', at column 1. Write gray."),
        (
            "noise",
            f"noise lacks its strength, at column 1. {NOISE}",
        ),
        (
            "jpeg20.5",
            f"jpeg has the strength '20.5', at column 1. {JPEG}",
        ),
        (
            "mask1",
            (
                "mask has the strength '1', at column 1. It is a number from 0.01 to 0.99"
                " (probability), such as mask0.25."
            ),
        ),
    ],
)
def test_errors_say_what_where_and_what_there_is(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_degradation(text)
    assert str(caught.value) == f"the degradation {text!r} cannot be read: {problem}"


@pytest.mark.parametrize(
    "strength", ["-0.1", "0", "1e-1", "0.1.1", "0,1", "٣", "1.0001", "9" * 400, "0.1k3", " 0.1"]
)
def test_strengths_that_are_no_number_or_out_of_range_are_refused(strength: str) -> None:
    with pytest.raises(InputError, match=r"such as noise0\.1\.$"):
        parse_degradation(f"noise{strength}")


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["+", " ", "none", "gray", "noise", "jpeg", ".", "0", "1"])).map(
        "".join
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        degradation = parse_degradation(text)
    except InputError:
        return
    assert parse_degradation(str(degradation)) == degradation


def test_a_long_text_makes_a_short_message() -> None:
    with pytest.raises(InputError) as caught:
        parse_degradation("x" * 100_000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "random", "keeps_luminance", "channels"),
    [
        ("none", False, True, 3),
        ("gray", False, True, 1),
        ("noise0.1", True, False, 3),
        ("gray+mask0.5", True, False, 1),
        ("blur1+gray", False, False, 1),
        ("jpeg5", False, False, 3),
    ],
)
def test_an_degradation_knows_what_it_does(
    text: str, random: bool, keeps_luminance: bool, channels: int
) -> None:
    degradation = parse_degradation(text)
    assert (degradation.random, degradation.keeps_luminance) == (random, keeps_luminance)
    assert (degradation.channels(3), degradation.channels(1)) == (channels, 1)


def test_every_word_has_an_example_that_can_be_read() -> None:
    assert [parse_degradation(kind.example()).steps[0].name for kind in KINDS.values()] == list(
        KINDS
    )


def test_the_language_needs_no_torch() -> None:
    code = (
        "import sys, caelab.degrade.degradation as d; d.parse_degradation('gray+jpeg20'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
