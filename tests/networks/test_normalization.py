"""The default number of groups of a norm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.networks.layers.normalization import Norm


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (3, 1), (8, 2), (12, 3), (16, 4), (96, 24), (512, 32), (7, 1)]
)
def test_groups(channels: int, groups: int) -> None:
    assert Norm().groups(channels) == groups


@given(st.integers(1, 5_000))
def test_groups_divide_the_channels(channels: int) -> None:
    groups = Norm().groups(channels)
    assert channels % groups == 0
    assert groups == 1 or (groups <= 32 and channels // groups >= 4)
