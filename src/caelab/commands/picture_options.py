"""Options that the picture commands share, and the way from picture files to result files."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from caelab.commands.messages import with_flags
from caelab.commands.output import json_option, print_json
from caelab.errors import InputError
from caelab.progress import progress

if TYPE_CHECKING:
    from caelab.degrade.degradation import Degradation
    from caelab.pictures.backends.base import PictureModel
    from caelab.pictures.batch import Compare, Outcome
    from caelab.pictures.inputs import Job
    from caelab.pictures.open_model import Device, Runtime
    from caelab.pictures.picture import Picture

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """Values of the options that every picture command has, by the names of their flags."""

    inputs: tuple[str, ...]
    output: str | None
    suffix: str
    recursive: bool
    force: bool
    compare: bool
    runtime: "Runtime | None"
    threads: int | None
    device: "Device"
    as_json: bool


def picture_options(*, suffix: str, model: str | None) -> Callable[[FunctionT], FunctionT]:
    """Return a decorator that adds the shared options to a command.

    The command receives ``model`` and, by name, the fields of :class:`PictureOptions`.

    Args:
        suffix: Default of ``--suffix``.
        model: Default of ``--model``; ``None`` if there is none.
    """
    default = f"  [default: {model}]" if model else ""
    options = [
        click.argument("inputs", nargs=-1, required=True, metavar="PICTURES..."),
        click.option(
            "--model",
            help=f"Shipped model, run directory, weights file or ONNX file.{default}",
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

    def add(function: FunctionT) -> FunctionT:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def process_pictures(
    name: str,
    task: str,
    options: PictureOptions,
    process: Callable[["PictureModel", Sequence["Picture"]], list["Picture"]],
    *,
    compare: "Compare",
    undoing: "Degradation | None" = None,
    variants: int | None = None,
    seed: int = 0,
) -> None:
    """Process all pictures; exit with code 1 if any of them failed.

    Args:
        name: Name or path of the model.
        task: Name of the command.
        options: Values of the shared options.
        process: Function that applies the model to several pictures.
        compare: Function that draws a picture and its result for ``--compare``.
        undoing: Degradation that the model must undo; ``None`` if any is right.
        variants: Number of results for each picture; ``None`` for one that is not numbered.
        seed: Seed of the variants.

    Raises:
        InputError: No picture can be processed at all.
    """
    from caelab.pictures.batch import work
    from caelab.pictures.inputs import find_jobs
    from caelab.pictures.open_model import open_model, require_task
    from caelab.pictures.picture import printable

    jobs = find_jobs(
        options.inputs, output=options.output, suffix=options.suffix, recursive=options.recursive
    )
    _check(jobs, options, variants)
    model = open_model(
        name, runtime=options.runtime, threads=options.threads, device=options.device
    )
    name = printable(name)
    require_task(model, task, name=name, undoing=undoing)
    draw = compare if options.compare else None
    outcomes: list[Outcome] = []
    with progress(task, len(jobs) * (variants or 1), unit="pictures") as bar:
        for variant, some in _passes(model, jobs, variants, seed):
            for outcome in work(some, partial(process, variant), compare=draw, force=options.force):
                outcomes.append(outcome)
                bar()
                for note in outcome.notes:
                    click.echo(f"{outcome.job.name}: {note}", err=True)
                if outcome.error is not None:
                    click.echo(f"failed: {with_flags(outcome.error)}", err=True)
    failed = sum(outcome.error is not None for outcome in outcomes)
    if options.as_json:
        documents = [_document(outcome, compared=options.compare) for outcome in outcomes]
        print_json({"model": name, "failed": failed, "pictures": documents})
    else:
        _list(outcomes)
    if failed:
        if len(outcomes) > 1:
            click.echo(f"{failed} of {len(outcomes)} pictures failed", err=True)
        sys.exit(1)


def _passes(
    model: "PictureModel", jobs: Sequence["Job"], variants: int | None, seed: int
) -> Iterator[tuple["PictureModel", Sequence["Job"]]]:
    from caelab.pictures.open_model import variant_of

    if variants is None:
        yield model, jobs
    for number in range(variants or 0):
        yield variant_of(model, number, seed=seed), [job.numbered(number + 1) for job in jobs]


def _check(jobs: Sequence["Job"], options: PictureOptions, variants: int | None) -> None:
    if any(job.target is None for job in jobs):
        if sys.stdout.isatty():
            raise InputError(
                "a picture would go to the terminal. Redirect standard output, or name a file:"
                " --output FILE."
            )
        refused = {
            "--json": options.as_json,
            "--compare": options.compare,
            "--variants": variants is not None,
        }
        for flag in (flag for flag, chosen in refused.items() if chosen):
            raise InputError(
                f"{flag} does not go with a picture on standard output. Name a file: --output FILE."
            )
    if variants is not None and any(job.source is None for job in jobs):
        raise InputError(
            "--variants reads a picture several times, and standard input can be read once. Name a"
            " file."
        )


def _list(outcomes: Sequence["Outcome"]) -> None:
    """Print the paths of the results, with their errors where the truth is known."""
    from caelab.pictures.picture import printable

    for outcome in outcomes:
        if outcome.error is None and outcome.job.target is not None:
            click.echo(printable(str(outcome.job.target)) + _numbers(outcome.metrics))


def _numbers(metrics: Mapping[str, float]) -> str:
    if not metrics:
        return ""
    return f"  PSNR {metrics['psnr']:.2f} dB, CIEDE2000 {metrics['ciede2000']:.2f}"


def _document(outcome: "Outcome", *, compared: bool) -> dict[str, Any]:
    job, done = outcome.job, outcome.error is None
    return {
        "source": job.name,
        "target": str(job.target) if done else None,
        "comparison": str(job.comparison) if done and compared else None,
        "error": outcome.error and with_flags(outcome.error),
        "notes": list(outcome.notes),
        "metrics": dict(outcome.metrics),
    }
