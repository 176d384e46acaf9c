"""``caelab study``: train several networks with several seeds."""

import dataclasses
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from caelab.commands.help import documented_command
from caelab.commands.messages import with_flags
from caelab.commands.options import ALL, given_options, run_options
from caelab.commands.output import PATH, echo, json_option, print_json, runs_option
from caelab.commands.study_view import (
    event_line,
    live_view,
    plan_rows,
    plan_table,
    progress_summary,
    results_table,
    study_text,
)
from caelab.errors import InputError
from caelab.experiments.study import Study, read_study

if TYPE_CHECKING:
    from caelab.experiments.engines.base import Engine
    from caelab.experiments.study_runner import Progress


@documented_command(
    "study",
    "caelab study architectures --seeds 3 --report",
    "caelab study colorize-ideas --dry-run",
)
@click.argument("file", type=PATH)
@click.option(
    "--seeds",
    metavar="N|N,N…",
    help="Number of seeds, or the seeds themselves, separated by commas.  [default: the file's]",
)
@runs_option
@click.option(
    "--out",
    type=PATH,
    help="Folder for results.csv and the report.  [default: RUNS/study-NAME]",
)
@click.option(
    "--engine",
    "engine_name",
    type=click.Choice(["auto", "serial", "processes", "ray", "this"]),
    metavar="[auto|serial|processes|ray]",
    default="auto",
    help="Train runs one by one, in local processes, or on a Ray cluster. With auto, each GPU"
    " trains one run at a time. Without a GPU, runs train one by one or at the same time, whichever"
    " a short measurement finds faster.  [default: auto]",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Number of local processes.  [default: one per GPU, or as many as cores and memory allow]",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="CPU threads per run.  [default: cores divided by workers; ray: 1]",
)
@click.option(
    "--address",
    help="Address of the Ray cluster.  [default: a cluster on this machine, or else a new one]",
)
@click.option("--report", is_flag=True, help="Write report.html and report.md at the end.")
@click.option(
    "--report-only",
    is_flag=True,
    help="Write the report on the finished runs and train nothing.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Allow more than 1,000 runs in a study that combines every level of several factors.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and train nothing.")
@json_option
@run_options(*(name for name in ALL if name != "seed"))
def command(
    file: Path,
    seeds: str | None,
    runs: Path,
    out: Path | None,
    engine_name: str,
    workers: int | None,
    threads: int | None,
    address: str | None,
    report: bool,
    report_only: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train the networks that FILE describes: a TOML file, or a study in `caelab recipes`.

    Every run has a run directory like that of `caelab train`. Finished runs are reused, interrupted
    runs resume, and a failed run does not stop the others. Options of a run take precedence over
    the table [base] of the file.

    \f

    Args:
        file: Study file in TOML, or the name of a recipe.
        seeds: Number of seeds, or the seeds, separated by commas; ``None`` for the file's.
        runs: Folder of the run directories.
        out: Folder of ``results.csv`` and the report.
        engine_name: Name of the engine that trains the runs.
        workers: Number of runs that train at the same time.
        threads: CPU threads of each run.
        address: Address of a Ray cluster.
        report: Write the report.
        report_only: Write the report and train nothing.
        yes: Allow more than 1,000 runs.
        dry_run: Print the runs and train none.
        as_json: Print JSON.
        options: Options of a run, which take precedence over the file.
    """
    # Version 0.1 called the engine "this". The help leaves this name out.
    if engine_name == "this":
        raise InputError("--engine this is now called --engine serial.")
    # With --workers or --threads, only one engine makes sense.
    if engine_name == "auto" and (workers or threads):
        engine_name = "processes" if workers else "serial"
    if workers and engine_name != "processes":
        raise InputError(f"--workers needs --engine processes, not {engine_name}.")
    if address and engine_name != "ray":
        raise InputError("--address needs --engine ray.")
    if engine_name in ("auto", "processes") and not (dry_run or report_only):
        from caelab.experiments.engines.processes import start_server

        # The server of worker processes imports PyTorch while this process reads the study.
        start_server()
    # `read_study` checks every network before any is trained. A plan of over 1,000 runs may be
    # shown without --yes, because it costs little.
    yes = yes or dry_run or report_only
    study = read_study(file, options=given_options(options), seeds=seeds, yes=yes)
    if dry_run:
        rows = plan_rows(study)
        print_json(rows) if as_json else echo(plan_table(study))
        return
    folder = out if out is not None else runs / f"study-{study.name}"
    if report_only:
        _report(study, folder, runs)
        return

    from caelab.experiments.study_runner import run_study

    engine = _engine(engine_name, workers, threads, address)
    show = partial(study_text, study.name)
    with live_view(show, lambda state: event_line(state, progress_summary(state))) as watch:
        for progress in run_study(study, engine=engine, runs=runs, out=folder):
            watch(progress)
    if report and progress.rows:
        _report(study, folder, runs)
    _print_results(study, progress, folder, as_json=as_json)


def _report(study: Study, folder: Path, runs: Path) -> None:
    """Write the report, and print its path to stderr, because stdout is for the results."""
    from caelab.report.report import write_report

    # The report shows the command that trains its runs and writes it. --report-only would not.
    words = ["--report" if word == "--report-only" else word for word in sys.argv[1:]]
    source = study.base.data.source
    # "auto" may now find other images than during training. With `None`, runs name their own.
    data = source if source != "auto" else None
    command = shlex.join(["caelab", *words])
    html, _ = write_report([folder], out=folder, runs=runs, data=data, command=command)
    echo(f"report: {html}", err=True)


def _print_results(study: Study, progress: "Progress", folder: Path, *, as_json: bool) -> None:
    # Rows are in the order of the file, not in the order in which runs ended.
    order = {variant.label: index for index, variant in enumerate(study.variants)}
    rows = sorted(progress.rows.values(), key=lambda row: (order[row.label], row.seed))
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        echo(results_table(rows))
        echo(f"results: {folder / 'results.csv'}")
    for name, message in progress.failures.items():
        echo(f"failed: {progress.planned[name].title}: {with_flags(message)}", err=True)
    if progress.failures:
        sys.exit(1)


def _engine(name: str, workers: int | None, threads: int | None, address: str | None) -> "Engine":
    from caelab.experiments.engines import base, processes

    if name == "auto":
        return processes.AutoEngine()
    if name == "processes":
        return processes.ProcessEngine(workers=workers, threads=threads)
    if name == "ray":
        from caelab.experiments.engines.ray_cluster import RayEngine

        return RayEngine(address=address, threads=threads or 1)
    if threads is not None:
        from caelab.device import set_threads

        # The serial engine trains in this process.
        set_threads(threads)
    return base.SerialEngine()
