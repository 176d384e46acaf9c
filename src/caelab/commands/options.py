"""Command-line options derived from the typed configuration of a run."""

import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import click

from caelab.commands.help import RunOption
from caelab.experiments.config import PARAMETERS, SHORT_NAMES, nest
from caelab.experiments.migration import RENAMED
from caelab.training.config import KindName

FunctionT = typing.TypeVar("FunctionT", bound=Callable[..., Any])

TEST_TIME = tuple(name for name in PARAMETERS if name.startswith("tta_"))
"""Parameters that the one option ``--tta`` sets."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Data": ("data",),
    "Network": ("init", "batchnorm"),
    "Degradation and target": ("degradation", "target"),
    "Optimization": (
        "epochs",
        "batch_size",
        "optimizer",
        "loss",
        "ema_decay",
        "patience",
        "seed",
    ),
    "Augmentation": ("augmentation",),
    "Test time": ("test_time",),
    "Hardware": ("device", "precision"),
}
"""Headings in the help, with the tables and values of the configuration that stand under each."""

COMMON = (
    "data",
    "degradation",
    "target",
    "epochs",
    "batch_size",
    "learning_rate",
    "loss",
    "flip",
    "seed",
    "device",
)
"""Options that the short help explains, too: those that people use most."""

ALL = tuple(
    dict.fromkeys(
        "tta" if name in TEST_TIME else name
        for members in GROUPS.values()
        for member in members
        for name, parameter in PARAMETERS.items()
        if parameter.path[0] == member
    )
)
"""Options of a run, in the order of the help; the network is an argument."""


def run_options(*names: str, default: str | None = None) -> Callable[[FunctionT], FunctionT]:
    """Add options for parameters of the configuration.

    An option that is not given is ``None``, so that a recipe can lie beneath. Ranges are checked
    when the configuration is made, with one kind of message for files and options.

    Args:
        names: Short names of parameters, or ``"tta"``; by default all of a run but the network.
        default: What the help says of options that are not given, if not the field's own default.
    """

    def add(function: FunctionT) -> FunctionT:
        for name in reversed(names or ALL):
            function = _option(name, default)(function)
        return function

    return add


def given_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given, in the nested tables of a configuration."""
    given = {name: value for name, value in options.items() if value is not None}
    return nest(given | (given.pop("tta", None) or {}))


def flag_of(name: str) -> str:
    """Return the command-line option for a parameter's short name, such as ``--batch-size``."""
    return "--tta" if name in TEST_TIME else f"--{name.replace('_', '-')}"


class _Name(click.ParamType):  # type: ignore[type-arg]
    """One of some names, of which the help shows the list.

    The configuration checks it: it also knows names of version 0.1. The plug-ins of a registry are
    loaded when the help or the value asks for them.
    """

    name = "name"

    def __init__(self, names: Iterable[str]) -> None:
        self._names = names

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        return f"[{'|'.join(self._names)}]"


def new_option(old: str) -> str | None:
    """Return what to write instead of an option of version 0.1, or ``None`` if it was none.

    >>> new_option("--impair"), new_option("--average-flips"), new_option("--nothing")
    ('--degradation', '--tta flip', None)
    """
    if old == "--fit":
        return "--baseline-data"
    dotted = RENAMED.get(old.removeprefix("--").removeprefix("no-").replace("-", "_"))
    name = SHORT_NAMES.get(dotted or "")
    if name not in TEST_TIME:
        return flag_of(name) if name else None
    words = {"tta_flip": "flip", "tta_shift": "shiftN", "tta_scale": "scale"}
    return f"--tta {'none' if old.startswith('--no-') else words[name]}"


def _option(name: str, default: str | None) -> Callable[[FunctionT], FunctionT]:
    names = TEST_TIME if name == "tta" else (name,)
    parameter = PARAMETERS[names[0]]
    option = partial(
        click.option,
        name,
        cls=RunOption,
        parameters=[PARAMETERS[each].dotted for each in names],
        group=next(group for group, members in GROUPS.items() if parameter.path[0] in members),
        common=name in COMMON,
    )
    flag = flag_of(name)
    if name == "tta":
        return option(
            flag,
            metavar="LIST",
            callback=lambda _, __, text: None if text is None else _read_test_time(text),
            help="Test-time augmentation: average the outputs for the image and for others made"
            " from it: flip (mirrored), shiftN (moved by N pixels), scale (enlarged by a quarter),"
            f" joined by commas, or none.  [default: {default or 'none'}]",
        )
    field = parameter.field
    described = f"{field.description}  [default: {default or _in_words(field.default)}]"
    kind: Any = field.annotation
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = typing.get_args(kind)[0]  # the other one is None
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if kind is bool:
        return option(f"{flag}/--no-{flag[2:]}", default=None, help=described)
    for constraint in field.metadata:
        if isinstance(constraint, KindName):
            return option(flag, type=_Name(constraint.registry), help=described)
    if typing.get_origin(kind) is typing.Literal:
        return option(flag, type=_Name(typing.get_args(kind)), help=described)
    kind = kind if kind in (int, float) else str
    metavar = {int: "N", float: "X", str: "TEXT"}[kind]
    return option(flag, type=kind, metavar=metavar, help=described)


def _read_test_time(text: str) -> dict[str, Any]:
    words = [] if text.strip() == "none" else [word.strip() for word in text.split(",")]
    values: dict[str, Any] = {"tta_flip": False, "tta_shift": 0, "tta_scale": False}
    for word in words:
        if word in ("flip", "scale"):
            values[f"tta_{word}"] = True
        elif match := re.fullmatch(r"shift(\d+)", word):
            values["tta_shift"] = int(match[1])
        else:
            raise click.BadParameter(
                f"'{word}' is none of flip, shiftN and scale, joined by commas, such as"
                " flip,shift1,scale."
            )
    return values


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)
