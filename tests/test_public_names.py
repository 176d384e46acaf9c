"""The public names: imported at their first use, documented, and typed for users."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

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
    for name in PUBLIC:
        # tests/test_doctests.py runs the examples.
        assert ">>> " in (inspect.getdoc(getattr(caelab, name)) or ""), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert {"load", "register"} <= set(PUBLIC)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        caelab.nothing  # noqa: B018


def test_pyright_understands_the_package_from_outside(tmp_path: Path) -> None:
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    pyright = shutil.which("basedpyright", path=places)
    if pyright is None:
        pytest.skip("basedpyright is not installed")
    file = shutil.copy(Path(__file__).parent / "typing" / "public_api.py", tmp_path)
    finished = subprocess.run(
        [pyright, "--pythonpath", sys.executable, "--outputjson", "--level", "error", file],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(finished.stdout)
    assert found["summary"]["filesAnalyzed"] == 1
    assert [each["message"] for each in found["generalDiagnostics"]] == []
