"""Command-line options derived from the typed configuration of a run."""

import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import click

from caelab.errors import InputError
from caelab.experiments.config import OPTIONS, PARAMETERS, SHORT_NAMES, nest
from caelab.experiments.migration import RENAMED
from caelab.training.config import KindName

FunctionT = typing.TypeVar("FunctionT", bound=Callable[..., Any])

TEST_TIME = tuple(name for name in PARAMETERS if name.startswith("tta_"))
"""Parameters that are all set by the option ``--tta``, because one list is easier to write."""

GROUPS: Mapping[str, str] = {
    "data": "Data",
    "start": "Network",
    "init": "Network",
    "batchnorm": "Network",
    "degradation": "Degradation and target",
    "target": "Degradation and target",
    "epochs": "Optimization",
    "batch_size": "Optimization",
    "optimizer": "Optimization",
    "loss": "Optimization",
    "ema_decay": "Optimization",
    "patience": "Optimization",
    "seed": "Optimization",
    "augmentation": "Augmentation",
    "test_time": "Test time",
    "device": "Hardware",
    "precision": "Hardware",
}
"""Heading in the help for the options of each table or single value of the configuration."""

COMMON = (
    "data",
    "degradation",
    "target",
    "epochs",
    "batch_size",
    "learning_rate",
    "loss",
    "seed",
    "start_run",
    "device",
)
"""Options that ``caelab train --help`` explains, because users need them most."""

ALL = tuple(
    dict.fromkeys(
        "tta" if name in TEST_TIME else name
        for table in GROUPS
        for name, parameter in PARAMETERS.items()
        if parameter.path[0] == table and name != "start_fingerprint"
    )
)
"""Options of a run, in the order of the help.

The network is missing because it is an argument, and ``start_fingerprint`` because it is computed.
"""

BOUNDS: Mapping[str, str] = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
"""Words for the constraints of a parameter in the help."""

METAVARS: Mapping[str, str] = {"start_weights": "MODEL", "start_run": "RUN"}
"""Names of values in the help, for options whose type does not say enough."""

TEST_TIME_HELP = (
    "Test-time augmentation: average the outputs for the image and for changed copies of it."
    " LIST is none, or some of flip (mirrored), shiftN (moved by N pixels) and scale (enlarged by a"
    " quarter), separated by commas."
)
# `(?=\w)` refuses a comma at the end.
TEST_TIME_LIST = re.compile(r"none|(?:(?:flip|scale|shift(\d+))(?:,(?=\w)|$))+")

OLD_FLAGS: Mapping[str, str] = {
    "--fit": "--baseline-data",
    "--average-flips": "--tta flip",
    "--average-shift": "--tta shiftN",
    "--average-enlarged": "--tta scale",
    "--no-average-flips": "--tta none",
    "--no-average-enlarged": "--tta none",
}
"""Replacements of version 0.1's options that are no longer a parameter of their own."""


class RunOption(click.Option):
    """Option that sets a parameter of a run, or all parameters of test-time augmentation.

    Args:
        names: A single name: the short name of the parameter, or ``"tta"``.
        usual: Default that the help shows instead of the parameter's default.
        common: Explain the option in ``--help`` even if the command has many options.
    """

    def __init__(self, names: Sequence[str], *, usual: str | None, common: bool) -> None:
        (name,) = names
        parameters = [PARAMETERS[each] for each in (TEST_TIME if name == "tta" else names)]
        field, flag = parameters[0].field, flag_of(name)
        text, default = field.description, field.default
        kind: Any = field.annotation
        # The first argument of `X | None` or `Annotated[X, …]` is the type X of the values.
        while typing.get_origin(kind) not in (None, Literal):
            kind = typing.get_args(kind)[0]
        registries = [each.registry for each in field.metadata if isinstance(each, KindName)]
        self.choices: Iterable[str] = next(iter(registries), typing.get_args(kind))
        details: dict[str, Any] = {"type": kind if kind in (int, float) else str}
        if name == "tta":
            text, default = TEST_TIME_HELP, None
            details = {"metavar": "LIST", "callback": _read_test_time}
        elif name in METAVARS:
            details["metavar"] = METAVARS[name]
        elif kind is bool:
            flag, default, details = f"{flag}/--no-{flag[2:]}", "on" if default else "off", {}
        # Some descriptions already explain the default, with the words "not given".
        stated = usual is None and "not given" in str(text)
        notes = [] if stated else [f"default: {usual or ('none' if default is None else default)}"]
        # Click does not check these bounds. The configuration does, also for values in files.
        notes += [
            f"{words} {getattr(constraint, bound)}"
            for constraint in field.metadata
            for bound, words in BOUNDS.items()
            if hasattr(constraint, bound)
        ]
        # With the default `None`, a flag that is not given differs from a flag that is off.
        super().__init__(
            [name, flag],
            default=None,
            help=f"{text}  [{'; '.join(notes)}]" if notes else text,
            **details,
        )
        self.common = common
        self.group = GROUPS[parameters[0].path[0]]
        self.parameters = [parameter.dotted for parameter in parameters]
        """Parameters in the library's messages that :func:`with_flags` replaces by this option."""

    def make_metavar(self, *args: Any, **kwargs: Any) -> str:
        """Return the names that the option takes, also those of plug-ins."""
        # Plug-ins are loaded after this command was imported, so their names are not known before.
        # Click cannot check the names, because the configuration also accepts those of version 0.1.
        names = "|".join(self.choices)
        return f"[{names}]" if names else super().make_metavar(*args, **kwargs)


def run_options(
    *names: str, usual: str | None = None, common: Sequence[str] = ()
) -> Callable[[FunctionT], FunctionT]:
    """Return a decorator that adds options for parameters of the configuration to a command.

    The value of an option that is not given is ``None``, so that a recipe's value can be used.

    Args:
        names: Short names of parameters, or ``"tta"``; by default ``ALL``.
        usual: Default that the help shows instead of the parameters' defaults.
        common: Options that ``--help`` explains even if the command has many options.
    """

    def add(function: FunctionT) -> FunctionT:
        # Click lists options in the order of decorators, and the last one applied comes first.
        for name in reversed(names or ALL):
            option = click.option(name, cls=RunOption, usual=usual, common=name in common)
            function = option(function)
        return function

    return add


def given_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given, in the nested tables of a configuration."""
    # `None` means that the option was not given; 0 and False are values.
    chosen = {name: value for name, value in options.items() if value is not None}
    return nest(chosen | chosen.pop("tta", {}))


def flag_of(name: str) -> str:
    """Return the command-line option for a parameter's short name, such as ``--batch-size``."""
    return "--tta" if name in TEST_TIME else f"--{OPTIONS.get(name, name).replace('_', '-')}"


def new_option(old: str) -> str | None:
    """Return the replacement of an option of version 0.1; ``None`` if there was no such option.

    >>> new_option("--impair"), new_option("--average-flips"), new_option("--nothing")
    ('--degradation', '--tta flip', None)
    """
    dotted = RENAMED.get(old.removeprefix("--").replace("-", "_"))
    return OLD_FLAGS.get(old) or (flag_of(SHORT_NAMES[dotted]) if dotted else None)


def _read_test_time(_: click.Context, __: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    found = TEST_TIME_LIST.fullmatch(text.replace(" ", ""))
    if found is None:
        raise InputError(
            f"--tta {text}: should be none, or some of flip, shiftN and scale, joined by commas,"
            " such as flip,shift1,scale."
        )
    # The option always sets all three parameters, so that none of a recipe's values remains.
    return {
        "tta_flip": "flip" in text,
        "tta_shift": int(found[1] or 0),
        "tta_scale": "scale" in text,
    }
