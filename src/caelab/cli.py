"""The command line. A command is imported when it is called, so that the help is instant."""

import importlib
import logging
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

import click

from caelab import __version__
from caelab.commands.messages import NoteHandler, with_flags
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
"""Every command with its line in the help, in the order of the help."""


class Commands(click.Group):
    """A group whose commands live in ``caelab.commands``, a module each with a ``command``."""

    called: click.Command | None = None
    """Command that was imported last; errors name its flags."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands' names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        self.called = importlib.import_module(f"caelab.commands.{cmd_name}").command
        return self.called

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

    Describe a network in a line of text, train it, measure it honestly. Results go to stdout,
    progress and messages to stderr.
    """


def main() -> None:
    """Run a command and exit.

    The exit code is 0 for done, 1 for failed, 2 for wrong input, and 130 for interrupted with the
    state saved.
    """
    pressed: list[int] = []

    def interrupt(number: int, _: object) -> NoReturn:
        pressed.append(number)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        with _notes_on_stderr():
            caelab(prog_name="caelab", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except InputError as error:
        _say("error", error)
        code = 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        code = 130
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        sys.stderr.close()
        code = 1
    except Exception as error:
        code = _failure(error, interrupted=bool(pressed))
    else:
        code = 0
    sys.exit(code)


@contextmanager
def _notes_on_stderr() -> Iterator[None]:
    logger, handler = logging.getLogger("caelab"), NoteHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _say(outcome: str, error: Exception) -> None:
    click.echo(f"{outcome}: {with_flags(str(error), caelab.called)}", err=True)


def _failure(error: Exception, *, interrupted: bool) -> int:
    """Print why a run ended and return the exit code; raise any other error with its traceback.

    Where ``interrupted``, any error counts as the interruption: NumPy, whose import is interrupted,
    continues and fails in another way.
    """
    from caelab.experiments.interrupt import Interrupted

    if isinstance(error, Interrupted):
        _say("interrupted", error)
        return 130
    if interrupted:
        click.echo("interrupted", err=True)
        return 130
    if isinstance(error, RuntimeError):
        from caelab.training.fit import TrainingDiverged

        if isinstance(error, TrainingDiverged):
            _say("failed", error)
            return 1
    raise error
