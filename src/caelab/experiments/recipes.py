"""Recipes: TOML files that describe runs, studies or searches, found by path or by name.

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
"""Command that takes a recipe, by the kind of the recipe."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe that comes with caelab.

    Attributes:
        name: Name of the file without its suffix.
        kind: Kind of what it describes: ``run``, ``study`` or ``search``.
        summary: First sentence of the comment at the beginning of the file.
        file: Path of the file.
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
    """Return the file of a path or of a recipe's name; an existing file takes precedence.

    ``recipes/NAME.toml``, as the documentation writes it, also names a recipe where there is no
    folder ``recipes``.

    Args:
        path: Path of a file, or name of a recipe.
        kind: What the file should describe: ``run``, ``study`` or ``search``.

    Raises:
        InputError: There is no such recipe, or the recipe is of another kind.

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
    """Yield all recipes that come with caelab, sorted by name.

    Raises:
        InputError: A recipe is damaged.
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
    # In a checkout of the repository, the folder is outside the package.
    folder = installed if installed.is_dir() else Path(__file__).parents[3] / "recipes"
    return sorted(folder.glob("*.toml"))


def _kind(content: Mapping[str, Any]) -> str:
    if "space" in content:
        return "search"
    # A run has none of these keys, so one of them is enough to recognize a study.
    return "study" if {"study", "base", "factors", "networks"} & content.keys() else "run"


def _first_sentence(text: str) -> str:
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    comment = " ".join(line.lstrip("# ") for line in lines)
    sentence, _, _ = comment.partition(". ")
    return sentence.rstrip(".")
