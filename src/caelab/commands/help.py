"""The help of the commands: options in groups, the most used ones first, then examples."""

import re
import textwrap
from collections.abc import Callable
from typing import Any

import click

SHORT = 12
"""Largest number of options of a run that ``--help`` explains all."""

HELP_ALL = "caelab.help_all"
"""Key in the context's ``meta`` that is set by ``--help-all``."""


class HelpCommand(click.Command):
    """Command whose help ends with examples and stays short even if it has many options.

    Each option that sets a parameter of a run has a ``group``, which is its heading in the help. If
    a command has more than ``SHORT`` such options, ``--help`` explains only the ``common`` ones and
    names the others, and ``--help-all`` explains all.

    Args:
        examples: Complete command lines.
    """

    def __init__(self, *args: Any, examples: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        # Some commands have about 36 options of a run, more than one screen can explain.
        self.short = sum(hasattr(option, "group") for option in self.params) > SHORT
        if self.short:
            show_all = click.option(
                "--help-all",
                is_flag=True,
                # An eager option works even if required arguments are missing.
                is_eager=True,
                expose_value=False,
                callback=_show_all,
                help="Explain all options and exit.",
            )
            show_all(self)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups, and name the options that are not explained."""
        short = self.short and HELP_ALL not in ctx.meta
        explained: dict[str, list[tuple[str, str]]] = {}
        named: dict[str, list[str]] = {}
        for option in self.get_params(ctx):
            if not isinstance(option, click.Option):
                continue
            group = getattr(option, "group", "Options")
            if short and hasattr(option, "common"):
                if not option.common:
                    named.setdefault(group, []).append(option.opts[-1])
                    continue
                group = "Most used options of a run"
            if record := option.get_help_record(ctx):
                explained.setdefault(group, []).append(_in_words(*record))
        for heading, records in explained.items():
            with formatter.section(heading):
                # Flags longer than the column get their own line, so that explanations stay wide.
                formatter.write_dl(records, col_max=26)
        if named:
            with formatter.section("Options of a run, explained by --help-all"):
                column = max(map(len, named))
                for group, flags in named.items():
                    # Click's own wrapping would break a flag at its hyphens.
                    text = textwrap.fill(
                        " ".join(flags),
                        formatter.width,
                        initial_indent=f"  {group:{column}}  ",
                        subsequent_indent=" " * (column + 4),
                        break_on_hyphens=False,
                    )
                    formatter.write(f"{text}\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            # Not wrapped, so that each command line can be copied.
            formatter.write("".join(f"  {example}\n" for example in self.examples))


def documented_command(
    name: str, *examples: str, cls: type[HelpCommand] = HelpCommand
) -> Callable[[Callable[..., None]], HelpCommand]:
    """Return a decorator that makes a function a command whose help ends with examples.

    Args:
        name: Name of the command.
        examples: Complete command lines.
        cls: Class of the command.
    """
    return click.command(name, cls=cls, examples=examples)


def _in_words(flags: str, text: str) -> tuple[str, str]:
    """Return an option's line of help with ranges such as ``x>=1`` in words: "at least 1".

    Args:
        flags: Flags of the option and the name of its value.
        text: Explanation of the option.
    """
    text = re.sub(r"([\d.]+)<=x<=([\d.]+)", r"from \1 to \2", text)
    return re.sub(r" RANGE\b", "", flags), re.sub(r"\bx>=([\d.]+)", r"at least \1", text)


def _show_all(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        # The context belongs to one call; the command object would keep the mark for later calls.
        ctx.meta[HELP_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()
