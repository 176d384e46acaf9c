"""``caelab data``: the images, before anything is trained on them."""

import json
from pathlib import Path

import click

from caelab.commands.options import run_options


@click.command("data")
@click.option(
    "--sheet", type=click.Path(path_type=Path), help="Write a contact sheet picture (.png) here."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@run_options("data", "size", "split", "split_seed")
def command(sheet: Path | None, as_json: bool, **options: str | int | None) -> None:
    """Say what images are found where: counts, channel statistics, duplicates across the split."""
    from caelab.data import contact_sheet, load_images, split_images, summarize
    from caelab.experiments.config import make_config

    config = make_config({name: value for name, value in options.items() if value is not None})
    images = load_images(None if config.data == "auto" else config.data, size=config.size)
    summary = summarize(images, split_images(images, mode=config.split, seed=config.split_seed))
    if sheet is not None:
        contact_sheet(images, sheet)
    click.echo(
        json.dumps(summary.as_dict(), indent=2, ensure_ascii=False)
        if as_json
        else summary.as_text()
    )
