"""Command-line options derived from the typed configuration of a run."""

import types
import typing
from collections.abc import Callable
from typing import Any

import click
from pydantic.fields import FieldInfo

from caelab.experiments.config import RunConfig

FunctionT = typing.TypeVar("FunctionT", bound=Callable[..., Any])


def run_options(*names: str, default: str | None = None) -> Callable[[FunctionT], FunctionT]:
    """Add the options of ``RunConfig``'s fields, all but the network's or those named.

    Args:
        names: Of the fields.
        default: What the help says of options that are not given, if not the field's own default.

    An option that is not given is ``None``, so that a configuration file can lie beneath; ranges
    are checked when the configuration is made, with one kind of message for files and options.
    """

    def add(function: FunctionT) -> FunctionT:
        for name in reversed(
            names or [name for name in RunConfig.model_fields if name != "network"]
        ):
            function = _option(name, RunConfig.model_fields[name], default)(function)
        return function

    return add


def _option(name: str, field: FieldInfo, default: str | None) -> Callable[[FunctionT], FunctionT]:
    flag = "--" + name.replace("_", "-")
    kinds = [kind for kind in _members(field.annotation) if kind is not types.NoneType]
    described = f"{field.description}  [default: {default or _in_words(field.default)}]"
    if kinds == [bool]:
        declared = f"{flag}/--no-{name.replace('_', '-')}"
        return click.option(declared, name, default=None, help=described)
    if typing.get_origin(kinds[0]) is typing.Literal:
        return click.option(
            flag, name, type=click.Choice(typing.get_args(kinds[0])), help=described
        )
    metavar = {int: "N", float: "X", str: "TEXT"}[kinds[0]]
    return click.option(flag, name, type=kinds[0], metavar=metavar, help=described)


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
