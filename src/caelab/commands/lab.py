"""``caelab lab``: run the three exercises, then write the report."""

import shlex
from pathlib import Path
from typing import Any

import click

from caelab.commands.help import HelpCommand
from caelab.commands.options import flag_of, given_options, run_options
from caelab.commands.output import echo, runs_option
from caelab.commands.report_output import report_options, show_report


@click.command(
    "lab",
    cls=HelpCommand,
    examples=["caelab lab --budget quick --open", "caelab lab --data photos --dry-run"],
)
@click.option(
    "--budget",
    "budget_name",
    type=click.Choice(["quick", "standard", "full"]),
    help="Duration: quick takes 4 minutes, standard 35 minutes, full a night.  [default: standard"
    " with CIFAR-10, or else quick]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/lab"),
    show_default=True,
    help="Folder for the report.",
)
@runs_option
@report_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the plan and its duration, and train nothing.",
)
@run_options("data", "split", "split_seed", "device")
def command(
    budget_name: str | None,
    out: Path,
    runs: Path,
    language: str,
    open_report: bool,
    pdf: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Run the three exercises, then write the report.

    The exercises are the reference network, other architectures, and colors for gray images. Every
    run has a run directory like that of `caelab train`. If interrupted, run the same command again:
    it resumes. A larger budget reuses those runs of a smaller budget that have the same parameters.
    The report consists of report.html, which needs no other file, report.md and results.json.

    \f

    Args:
        budget_name: Name of the budget; ``None`` chooses it by the images.
        out: Folder of the report.
        runs: Folder of the run directories.
        language: Language of the report, ``en`` or ``de``.
        open_report: Open the report in a browser.
        pdf: Print the report to a file.
        dry_run: Print the runs and train none.
        options: Options of a run, as ``options`` declares them.
    """
    from caelab.commands.lab_view import live_lab_view, plan_text
    from caelab.experiments.config import make_config
    from caelab.experiments.engines.processes import AutoEngine
    from caelab.lab.budgets import BUDGETS
    from caelab.lab.runner import plan_lab, run_lab
    from caelab.report.language import read_language
    from caelab.report.report import write_report

    # An unknown language is refused now, not after an hour of training.
    read_language(language)
    base = make_config(given_options(options))
    echo("looking at the images, and timing the networks …", err=True)
    budget = BUDGETS[budget_name] if budget_name else None
    progress = plan_lab(base, budget, engine=AutoEngine(), runs=runs)
    echo(plan_text(progress), err=not dry_run)
    if dry_run:
        return
    words = ["caelab", "lab", "--budget", progress.budget.name]
    for name, value in options.items():
        words += [flag_of(name), str(value)] if value is not None else []
    words += ["--language", language] if language != "en" else []
    with live_lab_view(progress) as watch:
        for state in run_lab(progress, out=out, command=shlex.join(words)):
            watch(state)
    echo("writing the report …", err=True)
    report, lines = write_report([out], out=out, language=language)
    show_report(report, lines, open_report=open_report, pdf=pdf)
