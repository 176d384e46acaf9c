"""Convert docstrings to Markdown for the Python reference."""

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^>>> .*(?:\n(?!\s*$).+)*", re.MULTILINE)
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([^`]+)`")


def to_markdown(text: str) -> str:
    """Return a docstring with examples in code blocks, and names without Sphinx roles."""
    text = ROLE.sub(r"`\1`", text)
    text = re.sub(r"(?<=\S)::$", ":", text, flags=re.MULTILINE)
    return DOCTEST.sub(lambda example: f"```pycon\n{example[0]}\n```", text)


class Docstrings(griffe.Extension):
    """Extension that converts every docstring when it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Convert the docstring of ``obj``."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)
