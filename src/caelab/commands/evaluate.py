"""``caelab evaluate``: a run or a weights file on other data."""

import json
from pathlib import Path
from typing import Any

import click

from caelab.commands.options import given_options, run_options
from caelab.commands.output import errors_table


@click.command("evaluate")
@click.argument("target")
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Which images of the data to measure.",
)
@click.option(
    "--baseline-data",
    metavar="DATA",
    help="Data on which baselines are fitted, as in --data.  [default: the same data]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@run_options("data", "size", "split", "split_seed", default="as in training")
@run_options("tta", default="as in training")
@run_options("device", "precision")
def command(
    target: str, part: str, baseline_data: str | None, as_json: bool, **options: Any
) -> None:
    """Measure TARGET, a run directory, a model that ships or a weights file, on images that --data
    names.

    A weights file's data, size and split are those of `caelab train`. The baselines of its task
    stand beside it: a linear code (PCA) of the same size, the gray copy, classical filters.
    """
    from caelab.experiments.config import merge
    from caelab.experiments.evaluate import evaluate
    from caelab.experiments.migration import migrate_config
    from caelab.pictures.model_files import find_model, shipped_models

    given = given_options(options)
    shipped = shipped_models().get(target)
    if (
        shipped is not None
    ):  # of its own data another split would hold images that it was trained on
        data = migrate_config(shipped.card["config"])["data"]
        if "source" in given.get("data", {}):
            data = {"size": data["size"]}
        given = merge({"data": data}, given)
    path = Path(target)
    result = evaluate(
        path if shipped is None and path.is_dir() else find_model(target),
        part=part,
        fit=baseline_data,
        options=given,
    )
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
        return
    click.echo(
        errors_table({"network": result["errors"], **result["baselines"]}, heading=f"{part} images")
    )
    click.echo(f"network: {result['network']}")
    click.echo(
        f"data: {result['data']}" + (f" ({result['data_note']})" if result["data_note"] else "")
    )
