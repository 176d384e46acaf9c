import subprocess
import sys

import pytest

import caelab

PUBLIC = sorted(set(dir(caelab)) - set(vars(caelab)))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_imported_at_its_first_use(name: str) -> None:
    code = (
        "import sys, caelab\n"
        "assert [m for m in sys.modules if m.startswith('caelab')] == ['caelab']\n"
        f"assert caelab.{name}.__name__ == {name!r}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_public_names_are_listed_and_documented() -> None:
    assert set(PUBLIC) == set(caelab.__all__)
    assert all(getattr(caelab, name).__doc__ for name in PUBLIC)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert {"load", "register"} <= set(PUBLIC)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        caelab.nothing  # noqa: B018
