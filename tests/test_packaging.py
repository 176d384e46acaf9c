"""What is installed: all of it, or only what pictures need; and what messages and shells say."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caelab.cli import COMMANDS
from caelab.errors import install_command

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {
    "markdown-it-py": "markdown_it",
    "pillow": "PIL",
    "pywavelets": "pywt",
    "scikit-image": "skimage",
}
"""Packages whose modules have another name."""

Call = Callable[..., subprocess.CompletedProcess[str]]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[><=\[;]", each)[0].strip() for each in requirements}


LIGHT = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {missing!r} else found(name, *rest)
from caelab.cli import main
for code, words in {calls!r}:
    sys.argv = ["caelab", *words]
    try:
        main()
    except SystemExit as ended:
        assert ended.code == code, (words, ended.code)
"""


def test_pictures_need_only_what_the_documentation_installs_for_them(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    page = (ROOT / "docs/how-to/install.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\$ pip install (click .*)$", page, re.MULTILINE)
    installed = set(shlex.split(line))
    needed = names(PROJECT["dependencies"])
    assert installed <= needed | names(PROJECT["optional-dependencies"]["pictures"])
    missing = {MODULES.get(name, name) for name in needed - installed}
    assert "torch" in missing
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "gray.png")
    picture = ("colorize", str(tmp_path / "gray.png"), "-o", str(tmp_path / "out"), "--compare")
    calls = [(0, picture), (0, ("models",)), (1, ("train", "reference"))]
    answer = subprocess.run(
        [sys.executable, "-c", LIGHT.format(missing=missing, calls=calls)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert len(answer.stderr.splitlines()) == 1  # what `train` lacks
    assert "not installed" in answer.stderr
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_messages_install_packages_of_extras() -> None:
    sources = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.py"))
    named = set(
        re.findall(r'(?:missing_extra\([^)]*, |install_command\()["\']([a-z]+)["\']', sources)
    )
    assert named >= {"cluster", "formats", "onnx", "pictures", "search"}
    assert named <= PROJECT["optional-dependencies"].keys()


def test_a_command_installs_what_the_metadata_say(monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = [
        "click>=8",
        "a>=1; extra == 'one'",
        'b[c]>=2,<3; python_version > "3" and extra == "one"',
    ]
    monkeypatch.setattr("importlib.metadata.requires", lambda _: requirements)
    assert shlex.split(install_command("one")) == ["pip", "install", "a>=1", "b[c]>=2,<3"]
    monkeypatch.setattr("importlib.metadata.requires", lambda _: None)
    assert shlex.split(install_command("one")) == ["pip", "install", "caelab[one]"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("caelab re", {name for name in COMMANDS if name.startswith("re")}),
        ("caelab train --opt", {"--optimizer"}),
        ("caelab colorize --runtime o", {"onnx"}),
    ],
)
def test_shells_complete_words(
    caelab: Call, monkeypatch: pytest.MonkeyPatch, words: str, found: set[str]
) -> None:
    monkeypatch.setenv("_CAELAB_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    answer = caelab()
    assert answer.returncode == 0
    assert {line.split(",")[1] for line in answer.stdout.splitlines()} == found
