"""``caelab search``: options and networks, tried by the error on validation images."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from caelab.commands.options import given_options, run_options
from caelab.errors import InputError
from caelab.experiments.search import Trial, conduct_search, read_search


@click.command("search")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--trials", type=click.IntRange(1), help="How many in all.  [default: the file's]")
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where runs are.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The search's memory.  [default: RUNS/search-NAME.db]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print all trials as one JSON document, the best first."
)
@run_options()
def command(
    file: Path, trials: int | None, runs: Path, out: Path | None, as_json: bool, **options: Any
) -> None:
    """Try what FILE describes, such as recipes/search-best.toml, by the error on the validation
    images.

    Every trial is a run directory like those of `caelab train`. The same command again goes on
    where it was; with more --trials, it goes further.
    """
    search = read_search(file, options=given_options(options), trials=trials)
    found: list[Trial] = []
    for trial in conduct_search(
        search, runs=runs, file=out if out is not None else runs / f"search-{search.name}.db"
    ):
        found.append(trial)
        click.echo(f"trial {trial.number}: {_line(trial)}", err=True)
    found = [trial for trial in found if trial.error is not None]
    if not found:
        raise InputError(f"{file}: no trial could be trained.")
    found.sort(key=lambda trial: trial.error or 0.0)
    if as_json:
        click.echo(
            json.dumps([dataclasses.asdict(trial) for trial in found], indent=2, ensure_ascii=False)
        )
        return
    click.echo("\n".join(f"{_line(trial)}  {trial.run}" for trial in found[:5]))


def _line(trial: Trial) -> str:
    values = "  ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.values.items()
    )
    return f"{'failed' if trial.error is None else f'validation {trial.error:.6f}'}  {values}"
