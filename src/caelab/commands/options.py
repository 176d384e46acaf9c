"""Command-line options derived from the typed configuration of a run."""

import types
import typing
from collections.abc import Callable
from typing import Any

import click
from pydantic.fields import FieldInfo

from caelab.experiments.config import RunConfig

FunctionT = typing.TypeVar("FunctionT", bound=Callable[..., Any])


def run_options(*names: str) -> Callable[[FunctionT], FunctionT]:
    """Add the options of ``RunConfig``'s fields, all but the network's or those named.

    An option that is not given is ``None``, so that a configuration file can lie beneath; ranges are checked when the
    configuration is made, with one kind of message for files and options.
    """

    def add(function: FunctionT) -> FunctionT:
        for name in reversed(names or [name for name in RunConfig.model_fields if name != "network"]):
            function = _option(name, RunConfig.model_fields[name])(function)
        return function

    return add


def _option(name: str, field: FieldInfo) -> Callable[[FunctionT], FunctionT]:
    flag = "--" + name.replace("_", "-")
    kinds = [kind for kind in _members(field.annotation) if kind is not types.NoneType]
    default = "none" if field.default is None else str(field.default)
    described = f"{field.description}  [default: {default}]"
    if kinds == [bool]:
        declared = f"{flag}/--no-{name.replace('_', '-')}"
        described = f"{field.description}  [default: {'on' if field.default else 'off'}]"
        return click.option(declared, name, default=None, help=described)
    if typing.get_origin(kinds[0]) is typing.Literal:
        return click.option(flag, name, type=click.Choice(typing.get_args(kinds[0])), help=described)
    metavar = {int: "N", float: "X", str: "TEXT"}[kinds[0]]
    return click.option(flag, name, type=kinds[0], metavar=metavar, help=described)


def _members(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [member for part in typing.get_args(annotation) for member in _members(part)]
    if typing.get_origin(annotation) is typing.Annotated:
        return [typing.get_args(annotation)[0]]
    return [annotation]
