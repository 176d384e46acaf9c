"""The command line. A command is imported only when it is called, so that the help is fast."""

import errno
import importlib
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import click

from caelab import __version__
from caelab.commands.messages import NoteHandler, usage_message, with_flags
from caelab.commands.streams import prepare_streams, stdout_error
from caelab.errors import ExpectedError, printable_lines, suggestion
from caelab.interrupt import ending_signals
from caelab.memory import VARIABLE as MEMORY_VARIABLE
from caelab.memory import read_size
from caelab.registry import PLUGINS_VARIABLE, load_plugins

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Train and compare networks": {
        "lab": "Run the three exercises and write their report.",
        "train": "Train one network and write a run directory.",
        "study": "Train a family of networks over several seeds.",
        "search": "Search for the network and options with the lowest validation error.",
        "evaluate": "Measure a run or a weights file on other data.",
        "compare": "Compare runs in pairs on the same images, with intervals.",
        "report": "Write one HTML report on runs and studies.",
    },
    "Process pictures of any size": {
        "colorize": "Color gray pictures.",
        "denoise": "Remove noise.",
        "restore": "Undo blur, reduction or compression.",
        "reconstruct": "Show what an autoencoder keeps of pictures.",
        "app": "Open a page in the browser that does all this.",
        "models": "List the models that ship.",
        "export": "Write a model in ONNX format.",
    },
    "Look things up": {
        "recipes": "List the runs, studies and searches that come with caelab.",
        "describe": "Print the layers of a network: shapes, sizes, weights, cost.",
        "data": "Describe the images: source, counts, statistics.",
        "glossary": "Explain a term in plain words.",
    },
}
"""Sections of the help, with a line for each command, in the order in which the help has them."""

COMMANDS = [name for section in SECTIONS.values() for name in section]

FUNCTIONS = {"denoise": "restore.denoise", "reconstruct": "restore.reconstruct"}
"""Module and function of the commands that share a module with another command.

The function of any other command ``NAME`` is ``NAME.command``.
"""


class Commands(click.Group):
    """A group whose commands are in ``caelab.commands`` and are imported when they are called."""

    called: click.Command | None = None
    """Command that was imported last; error messages name its flags."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names in the order of the help."""
        return COMMANDS

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command.

        Raises:
            click.UsageError: There is no such command.
        """
        # Without this check, a user could run any module of the package by its name.
        if cmd_name not in COMMANDS:
            ctx.fail(f"there is no command '{cmd_name}'.{_hint(cmd_name, COMMANDS)}")
        module, function = FUNCTIONS.get(cmd_name, f"{cmd_name}.command").split(".")
        self.called = getattr(importlib.import_module(f"caelab.commands.{module}"), function)
        return self.called

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the tables of commands without importing them."""
        # Click would import every command, and PyTorch with it, to get the command's line. That
        # takes seconds.
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()), col_max=12)


@click.command(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help=(
        "Python file that registers layers, degradations, losses or other kinds; may be repeated."
        f"  [also: the environment variable {PLUGINS_VARIABLE}]"
    ),
)
@click.option(
    "--max-memory",
    metavar="SIZE",
    help=(
        "Memory that images and pictures may take, such as 4G; larger inputs are refused."
        "  [default: three quarters of the memory of the machine or container;"
        f" also: the environment variable {MEMORY_VARIABLE}]"
    ),
)
@click.version_option(__version__, prog_name="caelab")
def caelab(plugins: tuple[str, ...], max_memory: str | None) -> None:
    """Run the convolutional-autoencoder workbench.

    Describe a network in a line of text, train it, measure it honestly. Results go to stdout,
    progress and messages to stderr.
    """
    if plugins:
        earlier = os.environ.get(PLUGINS_VARIABLE)
        # Stored in the environment, because worker processes inherit it.
        os.environ[PLUGINS_VARIABLE] = os.pathsep.join([*plugins, *([earlier] if earlier else [])])
    if size := max_memory or os.environ.get(MEMORY_VARIABLE):
        read_size(size)
        os.environ[MEMORY_VARIABLE] = size
    if os.environ.get(PLUGINS_VARIABLE):
        # Loaded at once, so that a broken plug-in is an error even if the command does not use it.
        load_plugins()


def main() -> None:
    """Run a command and exit.

    The exit code is 0 if the command succeeded, 1 if it failed, 2 if its input was wrong, and 130
    if it was interrupted. Training that is interrupted saves its state first.
    """
    prepare_streams()
    if sys.platform == "darwin":
        # PyTorch then uses the CPU for operations that Apple's GPUs lack. It reads this variable
        # when it is imported.
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    # Signals are remembered, because a library may catch KeyboardInterrupt and raise another error.
    pressed: list[int] = []

    def interrupt(number: int, _: object) -> NoReturn:
        pressed.append(number)
        raise KeyboardInterrupt

    # With an exception instead of the signal's default, a command can remove its temporary files.
    for number in ending_signals():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, interrupt)
    # Matplotlib warns in several lines if a user has no home folder, where its settings would be.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    logger, notes = logging.getLogger("caelab"), NoteHandler()
    logger.addHandler(notes)
    code = 0
    try:
        # In its standalone mode click would print errors in its own style and exit.
        caelab(prog_name="caelab", standalone_mode=False)
        # Flushed here: otherwise an error of writing would be raised only while Python exits.
        sys.stdout.flush()
    except click.UsageError as error:
        if isinstance(error, click.NoSuchOption):
            error = _explain_option(error)
        if type(error).show is click.UsageError.show:
            click.echo(f"error: {printable_lines(usage_message(error))}", err=True)
        else:  # no command was given, so click shows the help
            error.show()
        code = error.exit_code
    except ExpectedError as error:
        click.echo(f"{error.outcome}: {with_flags(str(error), caelab.called)}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        code = 130
    except Exception as error:
        code = 130 if pressed else 1
        if pressed:
            # If the import of NumPy is interrupted, NumPy raises another error later.
            click.echo("interrupted", err=True)
        elif isinstance(error, ModuleNotFoundError) and not _is_ours(error):
            click.echo(
                f"failed: the package {error.name} is not installed. Install caelab again, without"
                " `--no-deps`.",
                err=True,
            )
        elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            name = f"{error.filename}"[:40]
            click.echo(f"error: {printable_lines(name)}… is too long for a path.", err=True)
            code = 2
        elif not isinstance(error, OSError) or (full := stdout_error()) is None:
            raise
        # If a program such as `head` closes the pipe, it has read all it needs. That is no failure.
        elif not isinstance(full, BrokenPipeError):
            click.echo(f"failed: cannot write to standard output: {full.strerror}.", err=True)
    finally:
        # A program that calls this function may log in its own way afterwards.
        logger.removeHandler(notes)
    sys.exit(code)


def _is_ours(error: ModuleNotFoundError) -> bool:
    """Return whether the missing module is a part of caelab."""
    return (error.name or "caelab").partition(".")[0] == "caelab"


def _explain_option(error: click.NoSuchOption) -> click.UsageError:
    """Return an error that suggests similar options, or the new name of a renamed option."""
    # This imports the whole configuration, which only this error needs.
    from caelab.commands.options import new_option

    typed = error.option_name
    new = new_option(typed)
    options = caelab.called.params if caelab.called else caelab.params
    flags = [flag for option in options for flag in option.opts if flag.startswith("--")]
    message = f"{typed} is now {new}." if new else f"there is no {typed}.{_hint(typed, flags)}"
    command = error.ctx.info_name if error.ctx else None
    if "--degradation" in (typed, new) and command in SECTIONS["Process pictures of any size"]:
        message += " Use `caelab restore`, which has this option."
    return click.UsageError(message, ctx=error.ctx)


def _hint(typed: str, known: Sequence[str]) -> str:
    # Click's own suggestions include words that only look similar, such as --loss for --color, and
    # leave out words that begin with what was typed.
    near = [each for each in known if each.startswith(typed)]
    return f" Did you mean {' or '.join(near)}?" if near else suggestion(typed, known)
