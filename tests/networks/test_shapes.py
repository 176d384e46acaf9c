"""The default number of groups of a norm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.networks.ast import Layer
from caelab.networks.shapes import group_count


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (3, 1), (8, 2), (12, 3), (16, 4), (96, 24), (512, 32), (7, 1)]
)
def test_groups(channels: int, groups: int) -> None:
    assert group_count(Layer(name="norm"), channels) == groups


@given(st.integers(1, 5_000))
def test_groups_divide_the_channels(channels: int) -> None:
    groups = group_count(Layer(name="norm"), channels)
    assert channels % groups == 0
    assert groups == 1 or (groups <= 32 and channels // groups >= 4)
