import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.training.schedule import DECAYS, rate_factor


@given(steps=st.integers(1, 500), share=st.floats(0, 0.99), decay=st.sampled_from(sorted(DECAYS)))
def test_factor_rises_to_one_and_never_reaches_zero(steps: int, share: float, decay: str) -> None:
    warmup = round(share * steps)
    factors = [rate_factor(step, steps=steps, warmup=warmup, decay=decay) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[:warmup] == [(step + 1) / warmup for step in range(warmup)]
    assert factors[warmup:] == sorted(factors[warmup:], reverse=True)
    if warmup < steps:
        assert factors[warmup] == 1


def test_linear_and_cosine_meet_half_way() -> None:
    assert rate_factor(50, steps=100, warmup=0, decay="linear") == pytest.approx(0.5)
    assert rate_factor(50, steps=100, warmup=0, decay="cosine") == pytest.approx(0.5)
    assert rate_factor(75, steps=100, warmup=0, decay="cosine") == pytest.approx(
        (1 - math.sqrt(0.5)) / 2
    )
