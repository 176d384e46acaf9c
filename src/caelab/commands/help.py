"""Help of the commands: options in groups, the most used first, and examples at the end."""

import textwrap
from collections.abc import Sequence
from typing import Any

import click

SHORT = 12
"""Number of options of a run up to which ``--help`` explains them all."""

HELP_ALL = "caelab.help_all"
"""Key in the context's ``meta`` that is set by ``--help-all``."""


class RunOption(click.Option):
    """Option that sets parameters of a run.

    Args:
        parameters: Dotted names of the parameters in the configuration, such as ``"data.size"``.
            Where a message of the library names one of them, the command line shows this option.
        group: Heading in the help under which the option is explained, such as ``"Data"``.
        common: ``--help`` explains the option even if there are many.
    """

    def __init__(
        self, *args: Any, parameters: Sequence[str], group: str, common: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.parameters = parameters
        self.group = group
        self.common = common


class HelpCommand(click.Command):
    """Command whose help ends with examples and stays short where it has many options.

    If there are many options of a run, ``--help`` only names them, except the most used ones, and
    ``--help-all`` explains all of them.

    Args:
        examples: Complete command lines.
        explain_common: ``--help`` explains the most used options of a run.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        explain_common: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.explain_common = explain_common
        self.short = sum(isinstance(option, RunOption) for option in self.params) > SHORT
        if self.short:
            self.params.append(
                click.Option(
                    ["--help-all"],
                    is_flag=True,
                    is_eager=True,
                    expose_value=False,
                    callback=_show_all,
                    help="Explain all options and exit.",
                )
            )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        short = self.short and HELP_ALL not in ctx.meta
        sections: dict[str, list[click.Option]] = {"Options": []}
        named: dict[str, list[str]] = {}
        for option in self.get_params(ctx):
            if isinstance(option, RunOption) and short:
                if self.explain_common and option.common:
                    sections.setdefault("Most used options of a run", []).append(option)
                else:
                    named.setdefault(option.group, []).append(option.opts[-1])
            elif isinstance(option, click.Option):
                sections.setdefault(getattr(option, "group", "Options"), []).append(option)
        for heading, options in sections.items():
            with formatter.section(heading):
                rows = [row for option in options if (row := option.get_help_record(ctx))]
                formatter.write_dl(rows, col_max=26)
        if named:
            with formatter.section("Options of a run, explained by --help-all"):
                column = max(map(len, named))
                for group, flags in named.items():
                    formatter.write(
                        textwrap.fill(
                            " ".join(flags),
                            formatter.width,
                            initial_indent=f"  {group:{column}}  ",
                            subsequent_indent=" " * (column + 4),
                            break_on_hyphens=False,
                        )
                        + "\n"
                    )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.examples:
            with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def _show_all(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        ctx.meta[HELP_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()
