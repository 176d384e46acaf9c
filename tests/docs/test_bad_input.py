"""What is missing or broken in the documentation fails its build, and the message says where.

Tests of examples that no longer run are in ``test_examples.py``, those of notebooks in
``tests/test_tutorials.py``.
"""

import logging
import sys
from pathlib import Path

import click
import pytest

import caelab
from caelab.cli import caelab as command_line

pytest.importorskip("mkdocs", reason="the extra docs is not installed")

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import site_parts  # noqa: E402 - in the folder that was added


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[a page](missing.md)", "missing.md"),
        ("[a heading](index.md#missing)", "#missing"),
        ("![a picture](missing.png)", "missing.png"),
        ("fine", None),
    ],
)
def test_a_link_that_leads_nowhere_fails_the_build(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, message: str | None
) -> None:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Title\n\n{line}\n", encoding="utf-8")
    config = load_config(
        str(ROOT / "mkdocs.yml"),
        docs_dir=str(tmp_path / "docs"),
        site_dir=str(tmp_path / "site"),
        hooks=[],
        nav=["index.md"],
        plugins=[],
        strict=True,
        theme="mkdocs",
    )
    if message is None:
        build(config)
        return
    with caplog.at_level(logging.WARNING, "mkdocs"), pytest.raises(Abort, match="strict"):
        build(config)
    assert "index.md" in caplog.text
    assert message in caplog.text


def test_an_option_without_a_description_fails_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    command = command_line.get_command(click.Context(command_line), "describe")
    assert command is not None
    option = next(each for each in command.params if isinstance(each, click.Option))
    monkeypatch.setattr(option, "help", None)
    monkeypatch.setattr(command_line, "get_command", lambda *_: command)
    with pytest.raises(ValueError, match=f"{option.opts[0]}.* of caelab .* no description"):
        site_parts.command_line_part()


def test_a_parameter_without_a_description_fails_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_parts.PARAMETERS["epochs"].field, "description", None)
    with pytest.raises(ValueError, match="epochs has no description"):
        site_parts.configuration_part()


def test_a_public_name_without_a_docstring_fails_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caelab.describe, "__doc__", None)
    with pytest.raises(ValueError, match=r"caelab\.describe has no docstring"):
        site_parts.python_part()
