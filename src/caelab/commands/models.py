"""``caelab models``: list the models that come with caelab, or add one."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caelab.commands.help import documented_command
from caelab.commands.output import echo, json_option, print_json, table

if TYPE_CHECKING:
    from caelab.pictures.model_files import ShippedModel


COLUMNS = {
    "": "{0}",
    "degradation": "{1[degradation]}",
    "target": "{1[target]}",
    "PSNR of MSE, dB": "{1[test][psnr_of_mean]:.2f}",
    "best baseline": "{2:.2f} {3}",
    "weights": "{1[weights]:,}",
    "MB": "{4:.2f}",
    "network": "{1[network]}",
}


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
    help="Add the model of the finished run RUN under the name NAME.",
)
@click.option(
    "--onnx/--no-onnx", default=True, show_default=True, help="With --add: also add an ONNX file."
)
@click.option("--force", is_flag=True, help="With --add: replace the model of that name.")
@json_option
def command(
    name: str | None, add: tuple[str, str] | None, *, onnx: bool, force: bool, as_json: bool
) -> None:
    """List the models that come with caelab, or print the card of the model NAME.

    \f

    Args:
        name: Name of a shipped model; ``None`` lists all.
        add: Run directory and name of a model to add.
        onnx: Also add an ONNX file.
        force: Replace a model of this name.
        as_json: Print JSON.
    """
    from caelab.pictures.model_files import find_model, shipped_models

    # Imported here, because only this part needs PyTorch.
    if add is not None:
        from caelab.experiments.publish import publish

        made = publish(Path(add[0]), add[1], onnx=onnx, force=force)
        echo(f"{made.weights}: {made.card['limits']}")
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
        echo("no models ship with this copy of caelab; --add RUN NAME adds one")
    else:
        rows = [
            (model.name, model.card, *_best_baseline(model), model.weights.stat().st_size / 1e6)
            for model in models.values()
        ]
        echo(table(rows, COLUMNS))


def _best_baseline(model: "ShippedModel") -> tuple[float | None, str]:
    """Return the largest PSNR of the mean error among the baselines, and that baseline's name."""
    # A baseline without any error has an infinite PSNR, which JSON stores as `null`.
    found = [
        (math.inf if errors["psnr_of_mean"] is None else errors["psnr_of_mean"], name)
        for name, errors in model.card["baselines"].items()
    ]
    return max(found, default=(None, ""))
