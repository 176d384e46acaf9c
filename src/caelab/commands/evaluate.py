"""``caelab evaluate``: a run or a weights file on other data."""

import json
from pathlib import Path

import click

from caelab.commands.options import run_options
from caelab.commands.tables import errors_table


@click.command("evaluate")
@click.argument("target")
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Which images of the data to measure.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@run_options("data", "size", "split", "split_seed", "device", "precision")
def command(target: str, part: str, as_json: bool, **options: str | int | None) -> None:
    """Measure TARGET, a run directory, a model that ships or a weights file, on images that --data names.

    Data, size and split of the training are the default; a weights file's are those of `caelab train`. A linear code
    (PCA) of the same size, fitted on the training part of the same data, stands beside it.
    """
    from caelab.experiments.evaluate import evaluate
    from caelab.photos.models import find_model, shipped_models

    given = {name: value for name, value in options.items() if value is not None}
    shipped = shipped_models().get(target)
    if shipped is not None:  # on another split it would be tested on images that it was trained on
        given = {name: shipped.card["config"][name] for name in ("data", "size", "split", "split_seed")} | given
    path = Path(target)
    result = evaluate(path if shipped is None and path.is_dir() else find_model(target), part=part, options=given)
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
        return
    click.echo(errors_table({"network": result["errors"], **result["baselines"]}, heading=f"{part} images"))
    click.echo(f"network: {result['network']}")
    click.echo(f"data: {result['data']}" + (f" ({result['data_note']})" if result["data_note"] else ""))
