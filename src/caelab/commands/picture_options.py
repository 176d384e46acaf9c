"""What the picture commands have in common: their options, and the way from files to files."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from caelab.commands.messages import with_flags
from caelab.errors import InputError
from caelab.progress import progress

if TYPE_CHECKING:
    from caelab.degrade.degradation import Degradation
    from caelab.pictures.batch import Compare, Outcome
    from caelab.pictures.inputs import Job
    from caelab.pictures.open_model import Device, OpenedModel, Runtime
    from caelab.pictures.picture import Picture
    from caelab.pictures.picture_model import PictureModel

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """The options that every picture command has, by the names of their flags."""

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
    """Add the options; the command gets ``inputs``, ``model`` and the rest of
    :class:`PictureOptions` by name.

    Args:
        suffix: Default of --suffix.
        model: Default of --model.
    """
    default = f"  [default: {model}]" if model else ""
    options = [
        click.argument("inputs", nargs=-1, required=True, metavar="PICTURES..."),
        click.option(
            "--model", help=f"A model that ships, a run, a weights file or an ONNX file.{default}"
        ),
        click.option(
            "-o",
            "--output",
            metavar="PATH",
            help="A folder, a file, or -.  [default: beside each picture]",
        ),
        click.option(
            "--suffix", default=suffix, show_default=True, help="Of a result beside its picture."
        ),
        click.option("-r", "--recursive", is_flag=True, help="Look into folders in folders."),
        click.option("--force", is_flag=True, help="Overwrite what exists."),
        click.option(
            "--compare",
            is_flag=True,
            help="Also write each result beside its picture, with numbers.",
        ),
        click.option(
            "--runtime",
            type=click.Choice(["torch", "onnx"]),
            help="[default: what the model's file is for]",
        ),
        click.option(
            "--threads", type=click.IntRange(1), help="CPU threads.  [default: all cores]"
        ),
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda", "mps"]),
            default="auto",
            show_default=True,
            help="Where PyTorch computes.",
        ),
        click.option(
            "--json", "as_json", is_flag=True, help="Print what was done as one JSON document."
        ),
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
    """Do every picture, and exit with 1 where any failed.

    Args:
        name: The model's.
        task: The command's name.
        options: What people chose.
        process: What is done with the model to some pictures.
        compare: What --compare draws, of what was read and the result.
        undoing: What the model must undo, where people said that.
        variants: So many results of each picture.
        seed: Of the variants.

    Raises:
        InputError: Nothing can be done at all.
    """
    from caelab.pictures.batch import work
    from caelab.pictures.inputs import find_jobs
    from caelab.pictures.open_model import open_model, require_task

    jobs = find_jobs(
        options.inputs, output=options.output, suffix=options.suffix, recursive=options.recursive
    )
    _check(jobs, options, variants)
    opened = open_model(
        name, runtime=options.runtime, threads=options.threads, device=options.device
    )
    require_task(opened, task, undoing=undoing)
    outcomes: list[Outcome] = []
    with progress(task, len(jobs) * (variants or 1), unit="pictures") as bar:
        for model, some in _passes(opened, jobs, variants, seed):
            drawn = compare if options.compare else None
            for outcome in work(some, partial(process, model), compare=drawn, force=options.force):
                outcomes.append(outcome)
                bar()
                _warn(outcome)
    failed = sum(outcome.error is not None for outcome in outcomes)
    if options.as_json:
        told = [_told(outcome, compared=options.compare) for outcome in outcomes]
        document = {"model": opened.name, "failed": failed, "pictures": told}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _list(outcomes)
    if failed:
        if len(outcomes) > 1:
            click.echo(f"{failed} of {len(outcomes)} pictures failed", err=True)
        sys.exit(1)


def _passes(
    opened: "OpenedModel", jobs: Sequence["Job"], variants: int | None, seed: int
) -> Iterator[tuple["PictureModel", Sequence["Job"]]]:
    if variants is None:
        yield opened.model, jobs
        return
    for number in range(variants):
        yield opened.variant(number, seed), [job.numbered(number + 1) for job in jobs]


def _check(jobs: Sequence["Job"], options: PictureOptions, variants: int | None) -> None:
    to_stdout = any(job.target is None for job in jobs)
    if to_stdout and sys.stdout.isatty():
        raise InputError(
            "a picture would go to the terminal. Redirect standard output, or name a file: --output"
            " FILE."
        )
    wanted = {
        "--json": options.as_json,
        "--compare": options.compare,
        "--variants": variants is not None,
    }
    for flag, chosen in wanted.items():
        if to_stdout and chosen:
            raise InputError(
                f"{flag} does not go with a picture on standard output. Name a file: --output FILE."
            )
    if variants is not None and any(job.source is None for job in jobs):
        raise InputError(
            "--variants reads a picture several times, and standard input can be read once. Name a"
            " file."
        )


def _warn(outcome: "Outcome") -> None:
    """Say at once what went wrong, and what people should know."""
    for note in outcome.notes:
        click.echo(f"{outcome.job.name}: {note}", err=True)
    if outcome.error is not None:
        click.echo(f"failed: {with_flags(outcome.error)}", err=True)


def _list(outcomes: Sequence["Outcome"]) -> None:
    """The results' paths, when the bar is gone."""
    from caelab.pictures.picture import printable

    for outcome in outcomes:
        if outcome.error is None and outcome.job.target is not None:
            click.echo(printable(str(outcome.job.target)) + _numbers(outcome.metrics))


def _numbers(metrics: Mapping[str, float]) -> str:
    if not metrics:
        return ""
    return f"  PSNR {metrics['psnr']:.2f} dB, CIEDE2000 {metrics['ciede2000']:.2f}"


def _told(outcome: "Outcome", *, compared: bool) -> dict[str, Any]:
    job, done = outcome.job, outcome.error is None
    return {
        "source": job.name,
        "target": str(job.target) if done else None,
        "comparison": str(job.comparison) if done and compared else None,
        "error": outcome.error and with_flags(outcome.error),
        "notes": list(outcome.notes),
        # JSON has no infinity: nothing differs.
        "metrics": {
            name: None if value == float("inf") else value
            for name, value in outcome.metrics.items()
        },
    }
