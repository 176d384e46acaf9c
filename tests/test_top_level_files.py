"""The README, the documentation, the changelog and the guide for contributors name what exists."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from caelab.cli import caelab
from caelab.experiments.migration import RENAMED

ROOT = Path(__file__).parents[1]
CHANGELOG, CONTRIBUTING = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CONTRIBUTING.md")
)
PAGES = [
    ROOT / "README.md",
    # Reports are written by caelab itself, and tables of what was tried name options of then.
    *(page for page in (ROOT / "docs").rglob("*.md") if page.name != "report.md"),
]


def command_lines(text: str) -> list[str]:
    """Return the command lines of code blocks, and those in sentences that are more than names."""
    blocks = re.findall(r"^(?:    |[$>] )(caelab [^\n]*[^\n ])$", text, re.MULTILINE)
    inline = re.findall(r"`(caelab [a-z][^`]+)`", text)
    return blocks + [
        line for line in inline if not re.fullmatch(r"caelab \S+( --[a-z-]+| [A-Z]+)?", line)
    ]


COMMAND_LINES = sorted(
    {line for page in PAGES for line in command_lines(page.read_text(encoding="utf-8"))}
)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_command_line_of_the_documentation_parses(line: str) -> None:
    _, *words = shlex.split(re.sub(r"…|\$[A-Z_]+", "1", line), comments=True)
    words = words[: next((i for i, word in enumerate(words) if word in "<>"), len(words))]
    if words[:1] == ["--plugin"]:
        del words[:2]
    if words in (["--help"], []):
        return
    name, *arguments = words
    command = caelab.get_command(click.Context(caelab), name)
    assert command is not None
    with command.make_context(name, arguments):
        pass


def test_the_changelog_names_what_was_renamed() -> None:
    words = set(re.findall(r"`([^`]+)`", CHANGELOG))
    assert words >= RENAMED.keys()
    assert words >= set(RENAMED.values())


def test_paths_in_the_guide_exist() -> None:
    paths = set(re.findall(r"`([a-z_]+/(?:[a-z_0-9]+(?:/|\.py))?)`", CONTRIBUTING))
    assert len(paths) > 10
    for path in paths:
        assert (ROOT / path).exists() or (ROOT / "src" / "caelab" / path).exists(), path


def test_every_dependency_has_a_tested_version() -> None:
    requirements = pytest.importorskip("packaging.requirements")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [requirements.Requirement(line) for line in lines if not line.startswith("#")]
    tested = {pin.name.lower(): next(iter(pin.specifier)).version for pin in pins}
    for group in (project["dependencies"], *project["optional-dependencies"].values()):
        for needed in map(requirements.Requirement, group):
            assert needed.specifier.contains(tested[needed.name.lower()]), needed


def test_the_files_for_github_are_yaml() -> None:
    yaml = pytest.importorskip("yaml")
    files = [
        *ROOT.glob(".github/**/*.yml"),
        ROOT / ".pre-commit-config.yaml",
        ROOT / "CITATION.cff",
    ]
    assert len(files) >= 7
    for file in files:
        assert isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict), file
