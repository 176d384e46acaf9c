"""``caelab search``: find options and networks with a small validation error."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from caelab.commands.help import documented_command
from caelab.commands.options import given_options, run_options
from caelab.commands.output import PATH, echo, json_option, print_json, runs_option
from caelab.errors import InputError

if TYPE_CHECKING:
    from caelab.experiments.search import Trial


@documented_command("search", "caelab search search-best --trials 20")
@click.argument("file", type=PATH)
@click.option(
    "--trials", type=click.IntRange(1), help="Number of trials in total.  [default: the file's]"
)
@click.option(
    "--pruner",
    type=click.Choice(["none", "median", "halving"]),
    help="Rule that stops trials with large validation errors early. With median, a trial stops if"
    " its error is larger than the median of the other trials after the same epoch. With halving,"
    " only the best third of the trials continue after 1, 3, 9, … epochs.  [default: the file's,"
    " else none]",
)
@runs_option
@click.option(
    "--out",
    type=PATH,
    help="Database of the trials.  [default: RUNS/search-NAME.db]",
)
@json_option
@run_options()
def command(
    file: Path,
    trials: int | None,
    pruner: str | None,
    runs: Path,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search the options and networks that FILE describes for the lowest validation error.

    Every trial has a run directory like that of `caelab train`. If interrupted, run the same
    command again: it resumes. With a larger number of --trials, a finished search continues.

    \f

    Args:
        file: Search file in TOML, or the name of a recipe.
        trials: Number of trials; ``None`` for the file's.
        pruner: Rule that stops trials early; ``None`` for the file's.
        runs: Folder of the run directories.
        out: Database of the trials.
        as_json: Print JSON.
        options: Options of a run, which take precedence over the file.
    """
    from caelab.experiments.search import read_search, run_search

    search = read_search(file, options=given_options(options), trials=trials, pruner=pruner)
    found: list[Trial] = []
    for trial in run_search(
        search, runs=runs, file=out if out is not None else runs / f"search-{search.name}.db"
    ):
        # Shown at once, because a trial may take an hour.
        found.append(trial)
        echo(f"trial {trial.number}: {_line(trial)}", err=True)
    # A failed trial has no error, and a pruned one was trained for fewer epochs.
    pruned = sum(trial.pruned_after is not None for trial in found)
    total = len(found)
    found = [trial for trial in found if trial.error is not None and trial.pruned_after is None]
    if pruned:
        echo(f"pruned: {pruned} of {total} trials, whose runs are unfinished", err=True)
    if not found:
        raise InputError(f"{file}: no trial could be trained.")
    found.sort(key=lambda trial: trial.error or 0.0)
    if as_json:
        print_json([dataclasses.asdict(trial) for trial in found])
        return
    echo("\n".join(f"{_line(trial)}  {trial.run}" for trial in found[:5]))


def _line(trial: "Trial") -> str:
    values = "  ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.values.items()
    )
    state = "failed" if trial.error is None else f"validation {trial.error:.6f}"
    if trial.pruned_after is not None:
        state = f"pruned after epoch {trial.pruned_after}, {state}"
    return f"{state}  {values}"
