"""``caelab evaluate``: measure a run, a shipped model or a weights file on other data."""

from pathlib import Path
from typing import Any

import click

from caelab.commands.help import documented_command
from caelab.commands.options import given_options, run_options
from caelab.commands.output import echo, json_option, print_errors, print_json


@documented_command(
    "evaluate",
    "caelab evaluate runs/reference-0123abcd --data pictures",
    "caelab evaluate best-768 --data photos --baseline-data cifar10",
)
@click.argument("target")
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Part of the images to measure.",
)
@click.option(
    "--baseline-data",
    metavar="DATA",
    help="Source of the images that baselines are fitted to, as in --data."
    "  [default: the measured data]",
)
@json_option
@run_options("data", "size", "split", "split_seed", usual="as in the model's training")
@run_options("tta", usual="that of the model")
@run_options("device", "precision")
def command(
    target: str, part: str, baseline_data: str | None, as_json: bool, **options: Any
) -> None:
    """Measure TARGET (a run directory, a shipped model or a weights file) on the images of --data.

    For a weights file, --data, --size, --split and --split-seed have the defaults of `caelab train`
    instead. If --data is given for a shipped model, --split and --split-seed have them, too.

    The baselines for the model's task are also measured: a linear code (PCA) of the same size, the
    gray copy, or classical filters. Because baselines are fitted to the training images, --part
    train has baselines only with --baseline-data, and --part all has none.

    \f

    Args:
        target: Run directory, shipped model or weights file.
        part: Part of the split: train, validation or test; or all of them.
        baseline_data: Source of the images that the baselines are fitted to.
        as_json: Print JSON.
        options: Options of a run, as ``options`` declares them.
    """
    from caelab.experiments.config import merge
    from caelab.experiments.evaluate import evaluate
    from caelab.experiments.migration import migrate_config
    from caelab.pictures.model_files import find_model, shipped_models

    chosen = given_options(options)
    shipped = shipped_models().get(target)
    if shipped is not None:
        # The model's own split is kept, because another one would test it on training images.
        data = migrate_config(shipped.card["config"])["data"]
        if "source" in chosen.get("data", {}):
            data = {"size": data["size"]}
        chosen = merge({"data": data}, chosen)
    # A shipped model takes precedence over a folder with the same name.
    path = Path(target)
    result = evaluate(
        path if shipped is None and path.is_dir() else find_model(target),
        part=part,
        fit=baseline_data,
        options=chosen,
    )
    if as_json:
        print_json(result)
        return
    print_errors(f"{part} images", result["errors"], result["baselines"])
    echo(f"network: {result['network']}")
    echo(f"data: {result['data']}")
