import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.degrade import IMPAIRMENTS, Impairment, Step, parse_impairment
from caelab.errors import InputError


def strengths(name: str) -> st.SearchStrategy[float | None]:
    kind = IMPAIRMENTS[name]
    if kind.strength is None:
        return st.none()
    if kind.whole:
        return st.integers(int(kind.low), int(kind.high)).map(float)
    return st.floats(kind.low, kind.high)


impairments = st.permutations(list(IMPAIRMENTS)).flatmap(
    lambda names: st.integers(0, len(names)).flatmap(
        lambda count: st.tuples(
            *(st.builds(Step, name=st.just(n), strength=strengths(n)) for n in names[:count])
        ).map(lambda steps: Impairment(steps=steps))
    )
)


@given(impairments)
def test_what_is_printed_is_read_back(impairment: Impairment) -> None:
    assert parse_impairment(str(impairment)) == impairment


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
    assert str(parse_impairment(text)) == canonical


THERE = "The words are none, gray, noise0.1, blur1.5, mask0.25, downscale2, jpeg20; + joins them."
NOISE = "It is a number from 0.001 to 1 (standard deviation, on [0, 1]), such as noise0.1."
JPEG = "It is a whole number from 1 to 100 (quality of libjpeg), such as jpeg20."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f"a word is missing, at column 1. {THERE}"),
        ("gray+", f"a word is missing, at column 6. {THERE}"),
        ("gray++jpeg20", f"a word is missing, at column 6. {THERE}"),
        ("sepia", f"there is no impairment 'sepia', at column 1. {THERE}"),
        (
            "gray+niose0.1",
            f"there is no impairment 'niose0.1', at column 6. Did you mean noise0.1? {THERE}",
        ),
        ("Gray", f"there is no impairment 'Gray', at column 1. {THERE}"),
        ("nonne", f"there is no impairment 'nonne', at column 1. Did you mean none? {THERE}"),
        (
            "gray + none",
            "none stands beside another impairment, at column 8. It stands alone, or is left out.",
        ),
        ("none5", f"there is no impairment 'none5', at column 1. Did you mean none? {THERE}"),
        (
            "none+gray",
            "none stands beside another impairment, at column 1. It stands alone, or is left out.",
        ),
        (
            "gray+blur1+ gray",
            "gray is there twice, at column 13. Each impairment may be there once.",
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
        parse_impairment(text)
    assert str(caught.value) == f"the impairment {text!r} cannot be read: {problem}"


@pytest.mark.parametrize(
    "strength", ["-0.1", "0", "1e-1", "0.1.1", "0,1", "٣", "1.0001", "9" * 400, "0.1k3", " 0.1"]
)
def test_strengths_that_are_no_number_or_out_of_range_are_refused(strength: str) -> None:
    with pytest.raises(InputError, match=r"such as noise0\.1\.$"):
        parse_impairment(f"noise{strength}")


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["+", " ", "none", "gray", "noise", "jpeg", ".", "0", "1"])).map(
        "".join
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        impairment = parse_impairment(text)
    except InputError:
        return
    assert parse_impairment(str(impairment)) == impairment


def test_a_long_text_makes_a_short_message() -> None:
    with pytest.raises(InputError) as caught:
        parse_impairment("x" * 100_000)
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
def test_an_impairment_knows_what_it_does(
    text: str, random: bool, keeps_luminance: bool, channels: int
) -> None:
    impairment = parse_impairment(text)
    assert (impairment.random, impairment.keeps_luminance) == (random, keeps_luminance)
    assert (impairment.channels(3), impairment.channels(1)) == (channels, 1)


def test_every_word_has_an_example_that_can_be_read() -> None:
    assert [parse_impairment(kind.example).steps[0].name for kind in IMPAIRMENTS.values()] == list(
        IMPAIRMENTS
    )


def test_the_language_needs_no_torch() -> None:
    code = "import sys, caelab.degrade; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
