"""What all commands on pictures share: their options, and how files become result files."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from caelab.commands.help import HelpCommand, documented_command
from caelab.commands.messages import with_flags
from caelab.commands.output import echo, json_option, print_json
from caelab.errors import InputError, printable
from caelab.memory import max_memory
from caelab.progress import progress

if TYPE_CHECKING:
    from caelab.degrade.degradation import Degradation
    from caelab.pictures.backends.base import PictureModel
    from caelab.pictures.batch import Compare, Outcome
    from caelab.pictures.inputs import Job
    from caelab.pictures.picture import Picture


SHARED_OPTIONS = [
    click.option(
        "-o",
        "--output",
        metavar="PATH",
        help="Folder or file for the results, or - for standard output.  [default: the folder of"
        " each picture]",
    ),
    click.option("-r", "--recursive", is_flag=True, help="Also search the folders' subfolders."),
    click.option("--force", is_flag=True, help="Overwrite files that exist."),
    click.option(
        "--compare",
        is_flag=True,
        help="For each picture, also write a PNG that shows it next to its result, with the errors"
        " of the result if the truth is known.",
    ),
    click.option(
        "--runtime",
        type=click.Choice(["torch", "onnx"]),
        help="Library that runs the network.  [default: onnx for an ONNX file, else torch]",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1),
        help="CPU threads.  [default: OMP_NUM_THREADS, or one per core]",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda", "mps"]),
        default="auto",
        show_default=True,
        help="Device on which PyTorch computes.",
    ),
    click.option(
        "--max-pixels",
        type=click.IntRange(1),
        help="Largest number of pixels of a file, counting all its pages.  [default: 178956970]",
    ),
    json_option,
]
"""Decorators that add the options which have the same defaults in every command."""


def picture_command(
    name: str, *examples: str, suffix: str, model: str | None
) -> Callable[[Callable[..., None]], HelpCommand]:
    """Return a decorator that makes a function a command on pictures.

    The function receives the values of all options, and passes them to :func:`process_pictures`.

    Args:
        name: Name of the command.
        examples: Complete command lines.
        suffix: Default of ``--suffix``.
        model: Default of ``--model``, or ``None``.
    """
    options = [
        click.argument("inputs", nargs=-1, required=True, metavar="PICTURES..."),
        click.option(
            "--model",
            default=model,
            show_default=True,
            help="Shipped model, run directory, weights file or ONNX file.",
        ),
        click.option(
            "--suffix",
            default=suffix,
            show_default=True,
            help="Ending added to the picture's name when its result is written next to it.",
        ),
        *SHARED_OPTIONS,
    ]

    def add(function: Callable[..., None]) -> HelpCommand:
        # Click lists options in the order of decorators, and the last one applied comes first.
        for option in reversed(options):
            function = option(function)
        return documented_command(name, *examples)(function)

    return add


def process_pictures(
    task: str,
    process: Callable[["PictureModel", Sequence["Picture"]], list["Picture"]],
    draw: "Compare",
    options: Mapping[str, Any],
    *,
    undoing: "Degradation | None" = None,
) -> None:
    """Process all pictures; exit with code 1 if any of them failed.

    Args:
        task: Name of the command.
        process: Function that applies the model to several pictures.
        draw: Function that draws a picture and its result for ``--compare``.
        options: Values of the options that :func:`picture_command` adds, by name. If each picture
            has several numbered results, also ``variants`` and ``seed``.
        undoing: Degradation that the model must undo; ``None`` allows any.

    Raises:
        InputError: No picture can be processed at all.
    """
    from caelab.pictures.batch import work
    from caelab.pictures.inputs import find_jobs
    from caelab.pictures.open_model import open_model, require_task
    from caelab.pictures.read import PIXEL_BYTES, PIXEL_LIMIT

    def some(*names: str) -> dict[str, Any]:
        return {name: options[name] for name in names}

    # Wrong names and options are refused before the model is opened, because that takes seconds.
    jobs = find_jobs(options["inputs"], **some("output", "suffix", "recursive"))
    _check(jobs, options)
    model = open_model(options["model"], **some("runtime", "threads", "device"))
    name, variants = printable(options["model"]), options.get("variants")
    require_task(model, task, name=name, undoing=undoing)
    passes = [(model, jobs)]
    if variants:
        # Each variant is a model with its own seed for drawing colors.
        models = [model.variant(each, options["seed"]) for each in range(variants)]
        passes = [
            (each, [job.numbered(number) for job in jobs]) for number, each in enumerate(models, 1)
        ]
    compare = draw if options["compare"] else None
    documents = []
    with progress(task, len(jobs) * len(passes), unit="pictures") as bar:
        for each, numbered in passes:
            for outcome in work(
                numbered,
                partial(process, each),
                compare=compare,
                force=options["force"],
                max_pixels=min(options["max_pixels"] or PIXEL_LIMIT, max_memory() // PIXEL_BYTES),
            ):
                documents.append(_show(outcome, options))
                bar()
    failed = sum(document["error"] is not None for document in documents)
    if options["as_json"]:
        print_json({"model": name, "failed": failed, "pictures": documents})
    if failed:
        # The other pictures are done, but the exit code must tell scripts about the failure.
        if len(documents) > 1:
            echo(f"{failed} of {len(documents)} pictures failed", err=True)
        sys.exit(1)


def _show(outcome: "Outcome", options: Mapping[str, Any]) -> dict[str, Any]:
    """Print how a job ended, and return its entry of the JSON document."""
    job, done, metrics = outcome.job, outcome.error is None, outcome.metrics
    error = outcome.error and with_flags(outcome.error)
    for note in outcome.notes:
        echo(f"{job.name}: {note}", err=True)
    if not done:
        echo(f"failed: {error}", err=True)
    # If standard output receives a picture or JSON, a path among the output would damage it.
    elif job.target is not None and not options["as_json"]:
        errors = "  PSNR {psnr:.2f} dB, CIEDE2000 {ciede2000:.2f}" if metrics else ""
        echo(printable(str(job.target)) + errors.format(**metrics))
        if options["compare"]:
            echo(printable(str(job.comparison)))
    return {
        "source": job.name,
        "target": str(job.target) if done else None,
        "comparison": str(job.comparison) if done and options["compare"] else None,
        "error": error,
        "notes": list(outcome.notes),
        "metrics": dict(metrics),
    }


def _check(jobs: Sequence["Job"], options: Mapping[str, Any]) -> None:
    """Check that the options are possible for pictures on standard input and output.

    Raises:
        InputError: An option needs a file, or a picture would go to the terminal.
    """
    if any(job.target is None for job in jobs):
        if sys.stdout.isatty():
            raise InputError(
                "a picture would go to the terminal. Redirect standard output, or name a file:"
                " --output FILE."
            )
        for name in filter(options.get, ("as_json", "compare", "variants")):
            raise InputError(
                f"`{name}` does not go with a picture on standard output. Name a file: --output"
                " FILE."
            )
    # Each variant needs another pass over all pictures, and a stream can be read only once.
    if options.get("variants") and any(job.is_stream for job in jobs):
        raise InputError(
            "--variants reads a picture several times, and a pipe or standard input can be read"
            " once. Name a file."
        )
