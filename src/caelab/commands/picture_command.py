"""A command on pictures: the options that all share, and the way from files to result files."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from caelab.commands.help import HelpCommand, documented_command
from caelab.commands.messages import with_flags
from caelab.commands.output import json_option, print_json
from caelab.errors import InputError
from caelab.progress import progress

if TYPE_CHECKING:
    from caelab.degrade.degradation import Degradation
    from caelab.pictures.backends.base import PictureModel
    from caelab.pictures.batch import Compare, Outcome
    from caelab.pictures.inputs import Job
    from caelab.pictures.picture import Picture


def picture_command(
    name: str, *examples: str, suffix: str, model: str | None
) -> Callable[[Callable[..., None]], HelpCommand]:
    """Return a decorator that makes a function a command on pictures.

    The function receives the values of the shared options for :func:`process_pictures`.

    Args:
        name: Name of the command.
        examples: Complete command lines.
        suffix: Default of ``--suffix``.
        model: Default of ``--model``; ``None`` if there is none.
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
            "-o",
            "--output",
            metavar="PATH",
            help="Folder or file for the results, or - for standard output.  [default: the"
            " picture's folder]",
        ),
        click.option(
            "--suffix",
            default=suffix,
            show_default=True,
            help="Addition to the name of a result that is written into its picture's folder.",
        ),
        click.option("-r", "--recursive", is_flag=True, help="Search folders in folders, too."),
        click.option("--force", is_flag=True, help="Overwrite files that exist."),
        click.option(
            "--compare",
            is_flag=True,
            help="Also write a comparison of each picture and its result, with error numbers.",
        ),
        click.option(
            "--runtime",
            type=click.Choice(["torch", "onnx"]),
            help="Library that computes.  [default: by the model's file]",
        ),
        click.option(
            "--threads", type=click.IntRange(1), help="CPU threads.  [default: all cores]"
        ),
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda", "mps"]),
            default="auto",
            show_default=True,
            help="Device on which PyTorch computes.",
        ),
        json_option,
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
        options: Values of the options that :func:`picture_command` adds, by name; ``variants`` and
            ``seed`` where each picture has several numbered results.
        undoing: Degradation that the model must undo; ``None`` if any is right.

    Raises:
        InputError: No picture can be processed at all.
    """
    from caelab.pictures.batch import work
    from caelab.pictures.inputs import find_jobs
    from caelab.pictures.open_model import open_model, require_task, variant_of
    from caelab.pictures.picture import printable

    compare, force, variants = options["compare"], options["force"], options.get("variants")
    # Everything that can be refused is refused before the model is opened, which takes seconds.
    jobs = find_jobs(
        options["inputs"],
        output=options["output"],
        suffix=options["suffix"],
        recursive=options["recursive"],
    )
    _check(jobs, {"--json": options["as_json"], "--compare": compare, "--variants": variants})
    model = open_model(
        options["model"],
        runtime=options["runtime"],
        threads=options["threads"],
        device=options["device"],
    )
    name = printable(options["model"])
    require_task(model, task, name=name, undoing=undoing)
    # A variant is a model of its own; its seed alone decides what it draws.
    passes = [(model, jobs)]
    if variants:
        passes = [
            (
                variant_of(model, index, seed=options["seed"]),
                [job.numbered(index + 1) for job in jobs],
            )
            for index in range(variants)
        ]
    outcomes = []
    with progress(task, len(jobs) * len(passes), unit="pictures") as bar:
        for variant, some in passes:
            work_on = partial(process, variant)
            for outcome in work(some, work_on, compare=draw if compare else None, force=force):
                outcomes.append(outcome)
                bar()
                for note in outcome.notes:
                    click.echo(f"{outcome.job.name}: {note}", err=True)
                # At once and not at the end: thousands of pictures may follow.
                if outcome.error is not None:
                    click.echo(f"failed: {with_flags(outcome.error)}", err=True)
    _print_outcomes(name, outcomes, as_json=options["as_json"], compared=compare)


def _print_outcomes(
    model: str, outcomes: Sequence["Outcome"], *, as_json: bool, compared: bool
) -> None:
    from caelab.pictures.picture import printable

    documents: list[dict[str, Any]] = []
    for outcome in outcomes:
        job, done, metrics = outcome.job, outcome.error is None, outcome.metrics
        documents.append(
            {
                "source": job.name,
                "target": str(job.target) if done else None,
                "comparison": str(job.comparison) if done and compared else None,
                "error": outcome.error and with_flags(outcome.error),
                "notes": list(outcome.notes),
                "metrics": dict(metrics),
            }
        )
        # A path would damage the picture that goes to standard output.
        if done and job.target is not None and not as_json:
            errors = "  PSNR {psnr:.2f} dB, CIEDE2000 {ciede2000:.2f}" if metrics else ""
            click.echo(printable(str(job.target)) + errors.format(**metrics))
            if compared:
                click.echo(printable(str(job.comparison)))
    failed = sum(outcome.error is not None for outcome in outcomes)
    if as_json:
        print_json({"model": model, "failed": failed, "pictures": documents})
    # The others are done, but a script must learn that not all are.
    if failed:
        if len(outcomes) > 1:
            click.echo(f"{failed} of {len(outcomes)} pictures failed", err=True)
        sys.exit(1)


def _check(jobs: Sequence["Job"], chosen: Mapping[str, Any]) -> None:
    """Refuse what standard input and output cannot do; ``chosen`` has values by flag."""
    if any(job.target is None for job in jobs):
        if sys.stdout.isatty():
            raise InputError(
                "a picture would go to the terminal. Redirect standard output, or name a file:"
                " --output FILE."
            )
        for flag in filter(chosen.get, chosen):
            raise InputError(
                f"{flag} does not go with a picture on standard output. Name a file: --output FILE."
            )
    # Each variant is a pass over all pictures, so that one model is in memory at a time.
    if chosen["--variants"] and any(job.source is None for job in jobs):
        raise InputError(
            "--variants reads a picture several times, and standard input can be read once. Name a"
            " file."
        )
