"""Help of the commands: options in groups, the most used first, and examples at the end."""

import re
import textwrap
from collections.abc import Callable
from typing import Any

import click

SHORT = 12
"""Number of options of a run up to which ``--help`` explains them all."""

HELP_ALL = "caelab.help_all"
"""Key in the context's ``meta`` that is set by ``--help-all``."""


class HelpCommand(click.Command):
    """Command whose help ends with examples and stays short where it has many options.

    An option that sets a parameter of a run has a ``group``, its heading in the help. If there are
    many of them, ``--help`` explains those that are ``common`` and names the others, and
    ``--help-all`` explains all of them.

    Args:
        examples: Complete command lines.
    """

    def __init__(self, *args: Any, examples: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        # Some commands have about 36 options of a run, which is too much for one screen.
        self.short = sum(hasattr(option, "group") for option in self.params) > SHORT
        if self.short:
            show_all = click.option(
                "--help-all",
                is_flag=True,
                # Eager options work without the arguments that the command requires.
                is_eager=True,
                expose_value=False,
                callback=_show_all,
                help="Explain all options and exit.",
            )
            show_all(self)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
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
                # A longer flag is on a separate line, so that the explanations keep their width.
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
    """Return an option's record with click's range of a number, such as ``x>=1``, in words."""
    text = re.sub(r"([\d.]+)<=x<=([\d.]+)", r"from \1 to \2", text)
    return re.sub(r" RANGE\b", "", flags), re.sub(r"\bx>=([\d.]+)", r"at least \1", text)


def _show_all(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        # Stored in the context, because the command object is used for later calls, too.
        ctx.meta[HELP_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()
