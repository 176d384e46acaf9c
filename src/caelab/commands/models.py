"""``caelab models``: the models that ship."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caelab.commands.tables import columns, decibel

if TYPE_CHECKING:
    from caelab.pictures.model_files import ShippedModel


@click.command("models")
@click.argument("name", required=False)
@click.option(
    "--add",
    nargs=2,
    metavar="RUN NAME",
    help="Put a finished run's model among them, under a name.",
)
@click.option("--onnx/--no-onnx", default=True, show_default=True, help="With --add: also as ONNX.")
@click.option("--force", is_flag=True, help="With --add: replace the model of that name.")
@click.option("--json", "as_json", is_flag=True, help="Print the cards as one JSON document.")
def command(
    name: str | None, add: tuple[str, str] | None, *, onnx: bool, force: bool, as_json: bool
) -> None:
    """List the models that ship, or print the card of the one called NAME."""
    from caelab.pictures.model_files import find_model, shipped_models

    if add is not None:
        from caelab.experiments.publish import ship

        made = ship(Path(add[0]), add[1], onnx=onnx, force=force)
        click.echo(f"{made.weights}: {made.card['limits']}")
        return
    models = shipped_models()
    if name is not None:
        if name not in models:
            find_model(name)  # says which names are near
            raise click.UsageError(
                f"{name} is a file or a folder; cards are of the models that ship."
            )
        click.echo(json.dumps(models[name].card, indent=2, ensure_ascii=False))
    elif as_json:
        click.echo(
            json.dumps(
                {key: model.card for key, model in models.items()}, indent=2, ensure_ascii=False
            )
        )
    elif not models:
        click.echo("no models ship with this copy of caelab; --add RUN NAME adds one")
    else:
        click.echo(_table(models.values()))


def _table(models: "Iterable[ShippedModel]") -> str:
    header = (
        "",
        "undoes",
        "predicts",
        "PSNR of MSE, dB",
        "best baseline",
        "weights",
        "MB",
        "network",
    )
    rows = []
    for model in models:
        card = model.card
        best = max(
            card["baselines"].items(),
            key=lambda each: each[1]["psnr_of_mean"] or math.inf,
            default=None,
        )
        rows.append(
            (
                model.name,
                card["impair"],
                card["predict"],
                decibel(card["test"]["psnr_of_mean"]),
                f"{decibel(best[1]['psnr_of_mean'])} {best[0]}" if best else "–",
                f"{card['weights']:,}",
                f"{model.weights.stat().st_size / 1e6:.2f}",
                card["network"],
            )
        )
    return columns(header, rows, left=("", "undoes", "predicts", "network"))
