"""The command line. A command's module is imported when the command is called, so that help is
instant.
"""

import importlib
import signal
import sys
from collections.abc import Mapping
from typing import NoReturn

import click

from caelab import __version__
from caelab.errors import InputError

COMMANDS: Mapping[str, str] = {
    "lab": "The whole lab: exercises 1, 2, 3, then the report.",
    "describe": "A network's layers: shapes, sizes, weights, cost.",
    "train": "Train one network and leave a run directory.",
    "study": "Train a family of networks over seeds.",
    "compare": "Runs in pairs on the same images, with intervals.",
    "search": "Try options and networks, by the error on validation images.",
    "evaluate": "Measure a run or a weights file on other data.",
    "report": "Runs and studies: one HTML file.",
    "data": "The images: what is found where, and what is in them.",
    "colorize": "Colors for gray pictures of any size.",
    "denoise": "Less noise in pictures of any size.",
    "restore": "Undo blur, reduction, compression.",
    "reconstruct": "See what an autoencoder keeps of pictures.",
    "models": "The models that ship.",
    "export": "A model as ONNX.",
}
"""Every command, in the order of the help, and what the help says of it."""


class Commands(click.Group):
    """A group whose commands live in ``caelab.commands``, a module each with a ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands' names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"caelab.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="caelab")
def caelab() -> None:
    """Run the convolutional-autoencoder workbench.

    Describe a network in a line of text, train it, measure it honestly. The result goes to stdout,
    the talk to stderr.
    """


def main() -> None:
    """Run a command and exit: 0 done, 1 failed, 2 the input was wrong, 130 interrupted with the
    state saved.
    """
    pressed: list[int] = []

    def interrupt(number: int, _: object) -> NoReturn:
        pressed.append(number)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        caelab(prog_name="caelab", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except InputError as error:
        click.echo(f"error: {error}", err=True)
        code = 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        code = 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        code = 1
    except Exception as error:
        code = _failure(error, interrupted=bool(pressed))
    else:
        code = 0
    sys.exit(code)


def _failure(error: Exception, *, interrupted: bool) -> int:
    """Say what a run that stopped itself has to say; anything else is a fault of ours and keeps its
    traceback.

    NumPy, whose import is interrupted, goes on and fails otherwise.
    """
    from caelab.experiments.interrupt import Interrupted

    if isinstance(error, Interrupted):
        click.echo(f"interrupted: {error}", err=True)
        return 130
    if interrupted:
        click.echo("interrupted", err=True)
        return 130
    if isinstance(error, RuntimeError):
        from caelab.training.fit import TrainingDiverged

        if isinstance(error, TrainingDiverged):
            click.echo(f"failed: {error}", err=True)
            return 1
    raise error
