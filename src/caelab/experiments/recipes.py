"""Recipes: runs, studies and searches as TOML files, by their path or by their name.

The files of the repository's folder ``recipes`` are part of the installed package.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Any

from caelab.errors import InputError, suggestion
from caelab.files import read_toml

COMMANDS: Mapping[str, str] = {"run": "train", "study": "study", "search": "search"}
"""Command by the kind of a recipe."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe that comes with caelab.

    Attributes:
        name: Its name.
        kind: What it describes: ``run``, ``study`` or ``search``.
        summary: First sentence of its comment.
        file: The file.
    """

    name: str
    kind: str
    summary: str
    file: Path


def recipe_file(name: str) -> Path:
    """Return the file of a recipe by its name, in the installed package or in the repository.

    Raises:
        InputError: There is no recipe of that name; the message names similar ones.
    """
    known = {file.stem: file for file in _files()}
    if name in known:
        return known[name]
    hint = suggestion(name, known, most=2)
    raise InputError(
        f"there is neither a file nor a recipe '{name}'.{hint} `caelab recipes` lists the recipes."
    )


def find_recipe(path: Path, kind: str) -> Path:
    """Return the file that a path or the name of a recipe means; an existing file comes first.

    ``recipes/NAME.toml``, as the documentation has it, is found where there is no such folder, too.

    Args:
        path: Path, which need not exist, or name.
        kind: What the file should describe: ``run``, ``study`` or ``search``.

    Raises:
        InputError: There is no such recipe, or it is of another kind.

    >>> find_recipe(Path("reference-long"), "run").name
    'reference-long.toml'
    """
    named = path.suffix == "" and path.name == str(path)
    if path.is_file() or not (named or (path.suffix == ".toml" and str(path.parent) == "recipes")):
        return path
    file = recipe_file(path.stem)
    if (found := _kind(read_toml(file, "recipe"))) != kind:
        raise InputError(
            f"the recipe {path.stem} describes a {found}, not a {kind}: `caelab {COMMANDS[found]}`"
            " takes it."
        )
    return file


def read_recipes() -> Iterator[Recipe]:
    """Yield all recipes that come with caelab, by name.

    Raises:
        InputError: One is damaged.
    """
    for file in _files():
        kind = _kind(read_toml(file, "recipe"))
        yield Recipe(
            name=file.stem,
            kind=kind,
            summary=_first_sentence(file.read_text(encoding="utf-8")),
            file=file,
        )


def _files() -> list[Path]:
    installed = Path(str(files("caelab"))) / "recipes"
    # Run from the repository, the package has none of its own.
    folder = installed if installed.is_dir() else Path(__file__).parents[3] / "recipes"
    return sorted(folder.glob("*.toml"))


def _kind(content: Mapping[str, Any]) -> str:
    if "space" in content:
        return "search"
    # A run has these as nothing, so that one of them is enough.
    return "study" if {"study", "base", "factors", "networks"} & content.keys() else "run"


def _first_sentence(text: str) -> str:
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    comment = " ".join(line.lstrip("# ") for line in lines)
    sentence, _, _ = comment.partition(". ")
    return sentence.rstrip(".")
