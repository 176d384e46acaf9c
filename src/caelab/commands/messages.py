"""Convert messages of the library for the command line: options instead of parameters."""

import logging
import re

import click

from caelab.errors import alternatives, printable_lines

# Commands in backticks have blanks or hyphens, so this pattern does not match them.
PARAMETER = re.compile(r"`([a-z_]+(?:\.[a-z_]+)*)`")
"""Name of a parameter in a message of the library, such as ```loss.kind```."""


def with_flags(message: str, command: click.Command | None = None) -> str:
    """Replace parameters in backticks in a message by the options of a command.

    Args:
        message: Message of the library, such as "`size` 0: should be at least 1".
        command: Command whose options are named; by default the one that is running.

    Returns:
        The message, such as "--size 0: should be at least 1". Names that are no parameters of the
        command stay unchanged.
    """
    if command is None:
        context = click.get_current_context(silent=True)
        command = context.command if context else None
    flags = {
        # The last flag is the long one, such as `--output` of `-o, --output`.
        name: option.opts[-1]
        for option in (command.params if command else [])
        if isinstance(option, click.Option)
        for name in (option.name, *getattr(option, "parameters", ()))
    }
    # This option belongs to `caelab` itself, so it is written before the command's name.
    flags["max_memory"] = "caelab --max-memory"
    return PARAMETER.sub(lambda found: flags.get(found[1], found[0]), message)


def usage_message(error: click.UsageError) -> str:
    """Return the message of a click error in the style of the library's messages.

    For a wrong value, it is such as "--size 0: should be a whole number from 1 to 65536".
    """
    if isinstance(error, click.MissingParameter) and error.param and error.ctx:
        usage = error.ctx.get_usage().removeprefix("Usage: ")
        return f"{_name(error.param)} is missing. Write {usage}."
    if isinstance(error, click.BadParameter) and error.param:
        value, refused, _ = error.message.partition(" is not ")
        expected = _expected(error.param)
        if refused and expected:
            return f"{_name(error.param)} {value.strip(chr(39))}: should be {expected}."
        return f"{_name(error.param)}: {error.message}"
    hint = f" See `{error.ctx.command_path} --help`." if error.ctx else ""
    return error.format_message() + hint


def _name(param: click.Parameter) -> str:
    return param.opts[-1] if isinstance(param, click.Option) else param.human_readable_name


def _expected(param: click.Parameter) -> str:
    """Return a phrase for the values of an option or argument; empty if they are unknown."""
    kind = param.type
    if isinstance(kind, click.Choice):
        # Unlike the choices, the metavar does not include old names, which are only recognized.
        return alternatives((param.metavar or "|".join(kind.choices)).strip("[]").split("|"))
    if not isinstance(kind, type(click.INT) | type(click.FLOAT)):
        return ""
    number = "a whole number" if isinstance(kind, type(click.INT)) else "a number"
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    if least is None:
        return number if most is None else f"{number}, at most {most}"
    return f"{number}, at least {least}" if most is None else f"{number} from {least} to {most}"


class NoteHandler(logging.Handler):
    """Show each warning of the library once on stderr, above a progress bar."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Show the warning, unless it was shown before."""
        message = printable_lines(record.getMessage())
        # All runs of a study may log the same warning.
        if message not in self._shown:
            self._shown.add(message)
            # Rich redirects stderr while it shows a bar, so that the note appears above the bar.
            click.echo(f"note: {with_flags(message)}", err=True)
