"""``caelab data``: describe the images on which a run would be trained."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from caelab.commands.help import documented_command
from caelab.commands.options import given_options, run_options
from caelab.commands.output import PATH, echo, json_option, print_json


@documented_command(
    "data",
    "caelab data --data pictures --sheet sheet.png",
    "caelab data --data pictures --size 64 --cache pictures-64",
)
@click.option(
    "--sheet",
    type=PATH,
    help="File (PNG or SVG) for a picture that shows some images of each class.",
)
@click.option(
    "--cache",
    type=PATH,
    help="Folder to which the decoded images are written, an image cache. `--data FOLDER` reads"
    " them from the disk, so they need not fit into memory. After an interruption, the same command"
    " continues.",
)
@json_option
@run_options("data")
@run_options("size", usual="the arrays' own size, or 32 for pictures")
@run_options("channels", usual="the arrays' own number, or 3 for pictures")
@run_options("split", "split_seed")
def command(
    sheet: Path | None, cache: Path | None, as_json: bool, **options: str | int | None
) -> None:
    """Describe the images: source, counts, channel statistics, and duplicates between parts.

    \f

    Args:
        sheet: File for a picture of some images.
        cache: Folder for an image cache.
        as_json: Print JSON.
        options: Options of a run that concern the data.
    """
    from caelab.data.image_cache import complete_cache, read_cache
    from caelab.data.load import load_images
    from caelab.data.pixel_store import open_store
    from caelab.data.size import sides
    from caelab.data.split import split_images
    from caelab.data.summary import contact_sheet, summarize
    from caelab.experiments.config import make_config

    # The configuration checks the values, with the same messages as in `caelab train`.
    data = make_config(given_options(options)).data
    load = partial(
        load_images,
        data.source,
        size=None if options["size"] is None else sides(data.size),
        channels=None if options["channels"] is None else data.channels,
    )
    if cache is None:
        images = load()
    else:
        with open_store(cache) as store:
            complete_cache(load(store=store), store)
        images = read_cache(cache)
    summary = summarize(images, split_images(images, mode=data.split, seed=data.split_seed))
    if sheet is not None:
        contact_sheet(images, sheet)
    if as_json:
        print_json(asdict(summary))
    else:
        echo(summary.as_text())
