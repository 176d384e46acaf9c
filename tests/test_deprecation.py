"""An old name works and warns, at the line of whoever uses it."""

import warnings

import pytest

from caelab.deprecation import warn_renamed


def old_name() -> int:
    warn_renamed("old_name", "new_name", removal="0.4")
    return 1


def test_the_warning_points_to_the_user_and_names_the_new_name() -> None:
    with pytest.warns(DeprecationWarning, match=r"new_name.*0\.4") as caught:
        assert old_name() == 1
    assert caught[0].filename == __file__


def test_python_can_make_it_an_error() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        with pytest.raises(DeprecationWarning, match="old_name"):
            old_name()
