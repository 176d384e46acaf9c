"""``caelab models``: the models that ship."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caelab.commands.help import documented_command
from caelab.commands.output import decibel, json_option, print_json, table

if TYPE_CHECKING:
    from caelab.pictures.model_files import ShippedModel


@documented_command(
    "models",
    "caelab models",
    "caelab models colorize",
    "caelab models --add runs/mine mine",
)
@click.argument("name", required=False)
@click.option(
    "--add",
    nargs=2,
    metavar="RUN NAME",
    help="Add the model of a finished run under a name.",
)
@click.option(
    "--onnx/--no-onnx", default=True, show_default=True, help="With --add: add an ONNX file, too."
)
@click.option("--force", is_flag=True, help="With --add: replace the model of that name.")
@json_option
def command(
    name: str | None, add: tuple[str, str] | None, *, onnx: bool, force: bool, as_json: bool
) -> None:
    """List the models that ship, or print the card of the one called NAME.

    \f

    Args:
        name: Name of a shipped model; ``None`` lists all.
        add: Name and run directory of a model to add.
        onnx: Add the ONNX file, too.
        force: Replace a model of this name.
        as_json: Print JSON.
    """
    from caelab.pictures.model_files import find_model, shipped_models

    if add is not None:
        from caelab.experiments.publish import publish

        made = publish(Path(add[0]), add[1], onnx=onnx, force=force)
        click.echo(f"{made.weights}: {made.card['limits']}")
        return
    models = shipped_models()
    if name is not None:
        if name not in models:
            find_model(name)  # raises an error that names similar models
            raise click.UsageError(f"{name} is a file or a folder; only shipped models have cards.")
        print_json(models[name].card)
    elif as_json:
        print_json({key: model.card for key, model in models.items()})
    elif not models:
        click.echo("no models ship with this copy of caelab; --add RUN NAME adds one")
    else:
        click.echo(table([_row(model) for model in models.values()]))


def _row(model: "ShippedModel") -> dict[str, str]:
    card = model.card
    baselines = {name: errors["psnr_of_mean"] for name, errors in card["baselines"].items()}
    # JSON has no infinity: a missing value is that of a perfect baseline.
    best = max(baselines, key=lambda name: baselines[name] or math.inf, default=None)
    return {
        "": model.name,
        "degradation": card["degradation"],
        "target": card["target"],
        "PSNR of MSE, dB": decibel(card["test"]["psnr_of_mean"]),
        "best baseline": f"{decibel(baselines[best])} {best}" if best else "–",
        "weights": f"{card['weights']:,}",
        "MB": f"{model.weights.stat().st_size / 1e6:.2f}",
        "network": card["network"],
    }
