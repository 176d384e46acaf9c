"""``caelab evaluate``: a run or a weights file on other data."""

import json
from pathlib import Path

import click

from caelab.commands.options import run_options
from caelab.commands.tables import errors_table


@click.command("evaluate")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Which images of the data to measure.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@run_options("data", "size", "split", "split_seed", "device", "precision")
def command(target: Path, part: str, as_json: bool, **options: str | int | None) -> None:
    """Measure TARGET, a run directory or a weights file, on images that --data names.

    A run's own data, size and split are the default; a weights file's are those of `caelab train`. A linear code (PCA)
    of the same size, fitted on the training part of the same data, stands beside it.
    """
    from caelab.experiments.evaluate import evaluate

    given = {name: value for name, value in options.items() if value is not None}
    result = evaluate(target, part=part, options=given)
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
        return
    click.echo(errors_table({"network": result["errors"], **result["baselines"]}, heading=f"{part} images"))
    click.echo(f"network: {result['network']}")
    click.echo(f"data: {result['data']}" + (f" ({result['data_note']})" if result["data_note"] else ""))
