"""The README, the changelog and the guide for contributors name what exists."""

import re
import shlex
from pathlib import Path

import click
import pytest

from caelab.cli import caelab
from caelab.experiments.migration import RENAMED

ROOT = Path(__file__).parents[1]
README, CHANGELOG, CONTRIBUTING = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
)
COMMAND_LINES = re.findall(r"^    (caelab (?!--).*)$", README, re.MULTILINE)
# Commands in sentences, except those that only name a command.
INLINE = [line for line in re.findall(r"`(caelab [a-z][^`]+)`", README) if line.count(" ") > 1]


@pytest.mark.parametrize("line", COMMAND_LINES + INLINE)
def test_a_command_line_of_the_readme_parses(line: str) -> None:
    _, name, *words = shlex.split(line, comments=True)
    command = caelab.get_command(click.Context(caelab), name)
    assert command is not None
    redirected = words[: next((i for i, word in enumerate(words) if word in "<>"), len(words))]
    with command.make_context(name, redirected):
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
