"""``caelab data``: describe the images on which a run would be trained."""

from dataclasses import asdict
from pathlib import Path

import click

from caelab.commands.help import documented_command
from caelab.commands.options import given_options, run_options
from caelab.commands.output import PATH, echo, json_option, print_json


@documented_command("data", "caelab data --data pictures --sheet sheet.png")
@click.option(
    "--sheet",
    type=PATH,
    help="File (PNG or SVG) for a picture that shows some images of each class.",
)
@json_option
@run_options("data")
@run_options("size", usual="the arrays' own size, or 32 for pictures")
@run_options("channels", usual="the arrays' own number, or 3 for pictures")
@run_options("split", "split_seed")
def command(sheet: Path | None, as_json: bool, **options: str | int | None) -> None:
    """Describe the images: source, counts, channel statistics, and duplicates between parts."""
    from caelab.data.load import load_images
    from caelab.data.size import sides
    from caelab.data.split import split_images
    from caelab.data.summary import contact_sheet, summarize
    from caelab.experiments.config import make_config

    # The configuration checks the values, with the same messages as in `caelab train`.
    data = make_config(given_options(options)).data
    images = load_images(
        data.source,
        size=None if options["size"] is None else sides(data.size),
        channels=None if options["channels"] is None else data.channels,
    )
    summary = summarize(images, split_images(images, mode=data.split, seed=data.split_seed))
    if sheet is not None:
        contact_sheet(images, sheet)
    if as_json:
        print_json(asdict(summary))
    else:
        echo(summary.as_text())
