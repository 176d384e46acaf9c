"""Help of the commands: options in groups, the most used first, and examples at the end."""

from collections.abc import Sequence
from typing import Any

import click

HELP_ALL = "caelab.help_all"
"""Key in the context's ``meta`` that is set by ``--help-all``."""


class RunOption(click.Option):
    """Option for a parameter of a run.

    Args:
        parameter: Path of the parameter in the configuration, such as ``"data.size"``.
        group: Heading in the help under which the option is explained, such as ``"Data"``.
        common: Whether ``--help`` explains the option, or only ``--help-all`` does.
    """

    def __init__(
        self, *args: Any, parameter: str, group: str, common: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.parameter = parameter
        self.group = group
        self.common = common


class HelpCommand(click.Command):
    """Command whose help ends with examples and stays short where it has many options.

    ``--help`` explains the command's own options and the most used options of a run, and names
    the others; ``--help-all`` explains all of them.

    Args:
        examples: Complete command lines.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        if any(isinstance(option, RunOption) for option in self.params):
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
        params = self.get_params(ctx)
        run_options = [option for option in params if isinstance(option, RunOption)]
        groups: dict[str, list[RunOption]] = {}
        for option in run_options:
            groups.setdefault(option.group, []).append(option)
        own = [
            each
            for each in params
            if isinstance(each, click.Option) and not isinstance(each, RunOption)
        ]
        sections: list[tuple[str, Sequence[click.Option]]]
        if HELP_ALL in ctx.meta:
            sections = [("Options", own), *groups.items()]
        else:
            common = [option for option in run_options if option.common]
            sections = [("Options", own), ("Most used options of a run", common)]
        for heading, options in sections:
            if rows := [row for option in options if (row := option.get_help_record(ctx))]:
                with formatter.section(heading):
                    formatter.write_dl(rows)
        if groups and HELP_ALL not in ctx.meta:
            with formatter.section("All options of a run, explained by --help-all"):
                formatter.write_dl(
                    [
                        (group, " ".join(each.opts[-1] for each in options))
                        for group, options in groups.items()
                    ]
                )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
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
