"""Command-line options derived from the typed configuration of a run."""

import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import click

from caelab.experiments.config import PARAMETERS, Parameter, nest

FunctionT = typing.TypeVar("FunctionT", bound=Callable[..., Any])

TEST_TIME = tuple(name for name in PARAMETERS if name.startswith("tta_"))
"""The parameters that the one option ``--tta`` sets."""

ALL = (*(name for name in PARAMETERS if name not in ("network", *TEST_TIME)), "tta")
"""The options of a run; the network is an argument."""


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
            if name == "tta":
                function = _test_time_option(default)(function)
            else:
                function = _option(name, PARAMETERS[name], default)(function)

        return function

    return add


def given_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given, in the nested tables of a configuration."""
    given = {name: value for name, value in options.items() if value is not None}
    return nest(given | (given.pop("tta", None) or {}))


def flag_of(name: str) -> str:
    """Return the command-line option for a parameter's short name."""
    return "--tta" if name in TEST_TIME else f"--{name.replace('_', '-')}"


class RunOption(click.Option):
    """An option that sets parameters of the configuration.

    Attributes:
        parameters: Their dotted names, for which messages show this option.
    """

    def __init__(self, *args: Any, parameters: Sequence[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.parameters = parameters


def _option(
    name: str, parameter: Parameter, default: str | None
) -> Callable[[FunctionT], FunctionT]:
    flag, field = flag_of(name), parameter.field
    option = partial(click.option, flag, name, cls=RunOption, parameters=(parameter.dotted,))
    kinds = [kind for kind in _members(field.annotation) if kind is not types.NoneType]
    described = f"{field.description}  [default: {default or _in_words(field.default)}]"
    if kinds == [bool]:
        declared = f"{flag}/--no-{name.replace('_', '-')}"
        return click.option(
            declared, name, default=None, help=described, cls=RunOption,
            parameters=(parameter.dotted,),
        )  # fmt: skip
    if typing.get_origin(kinds[0]) is typing.Literal:
        return option(type=click.Choice(typing.get_args(kinds[0])), help=described)
    kind = kinds[0] if kinds[0] in (int, float) else str
    metavar = {int: "N", float: "X", str: "TEXT"}[kind]
    return option(type=kind, metavar=metavar, help=described)


def _test_time_option(default: str | None) -> Callable[[FunctionT], FunctionT]:
    return click.option(
        "--tta",
        metavar="LIST",
        cls=RunOption,
        parameters=[PARAMETERS[name].dotted for name in TEST_TIME],
        callback=lambda _, __, text: None if text is None else _read_test_time(text),
        help=(
            "Test-time augmentation: average the outputs for the image and for others made of it;"
            " flip (mirrored), shiftN (moved by N pixels), scale (enlarged by a quarter), joined"
            f" by commas, or none.  [default: {default or 'none'}]"
        ),
    )


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


def _members(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [member for part in typing.get_args(annotation) for member in _members(part)]
    if typing.get_origin(annotation) is typing.Annotated:
        return [typing.get_args(annotation)[0]]
    return [annotation]
