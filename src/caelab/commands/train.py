"""``caelab train``: one run."""

import json
import tomllib
from pathlib import Path
from typing import Any

import click

from caelab.commands.options import given_options, run_options
from caelab.commands.output import errors_table
from caelab.errors import InputError
from caelab.experiments.config import make_config, merge
from caelab.experiments.migration import migrate_config
from caelab.files import read_json


@click.command("train")
@click.argument("network", required=False)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help=(
        "Parameters from a recipe (.toml) or a run's config.json; command-line options take"
        " precedence."
    ),
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The run directory.  [default: a folder of its own in --runs]",
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where runs are put.",
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all cores]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
@run_options()
def command(
    network: str | None,
    file: Path | None,
    out: Path | None,
    runs: Path,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train NETWORK (a text, or a preset's name) and leave a run directory.

    It holds the weights that were best on the validation images, their error on the test images,
    the error by epoch and pictures of reconstructions. The same command again returns at once when
    the run is finished, and goes on where it was when it was cut off.
    """
    given = given_options({"network": network, **options})
    config = make_config(merge(read_options(file) if file else {}, given))

    import torch

    from caelab.experiments.run import run

    if threads is not None:
        torch.set_num_threads(threads)
    directory = run(config, out=out, runs=runs)
    result = directory.read(directory.result)
    if as_json:
        click.echo(json.dumps({"run": str(directory.path), **result}, indent=2, ensure_ascii=False))
        return
    rows = {"network": result["test"], **result["baselines"]}
    click.echo(errors_table(rows, heading="test images"))
    code = f"code {result['code_size']}, " if result["code_size"] else ""
    click.echo(
        f"{code}narrowest {result['narrowest_size']}, {result['weights']:,} weights; best epoch "
        f"{result['best_epoch']} of {result['epochs']}, {result['seconds_per_epoch']:.1f} s each"
    )
    if result["data_note"]:
        click.echo(f"data: {result['data']} ({result['data_note']})")
    click.echo(f"run: {directory.path}")


def read_options(file: Path) -> dict[str, Any]:
    """Read options from a recipe in TOML, or from the ``config.json`` of a run.

    Raises:
        InputError: The file is missing or not of its kind.
    """
    if file.suffix == ".json":
        content = read_json(file)
        options = content.get("config", content)
        if not isinstance(options, dict):
            raise InputError(f"{file}: 'config' should hold the options by name.")
        return migrate_config(options)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the recipe {file}: {error}") from error
