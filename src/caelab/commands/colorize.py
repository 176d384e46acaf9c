"""``caelab colorize``: color gray pictures of any size."""

from functools import partial
from typing import Any

import click

from caelab.commands.picture_command import picture_command, process_pictures
from caelab.errors import InputError
from caelab.processors import default_threads


@picture_command(
    "colorize",
    "caelab colorize holiday.jpg",
    "caelab colorize scans -r -o colored --compare",
    "caelab colorize old.png --model runs/bins --variants 4",
    suffix="-colorized",
    model="colorize",
)
@click.option(
    "--scale",
    metavar="N,N",
    help="Shorter sides in pixels to which a picture is reduced for the network. With several, the"
    " predicted colors are averaged.  [default: the scales stored with the model, or 1.5 times"
    " the side of its training images]",
)
@click.option(
    "--saturation",
    type=click.FloatRange(0, 10),
    help="Factor of the colors' strength. Above 1, colors are stronger, and wrong colors are more"
    " visible, too.  [default: the factor stored with the model, or 1]",
)
@click.option(
    "--variants",
    type=click.IntRange(1),
    help="Number of different results for each picture, drawn at random. The model must be trained"
    " with --target bins.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the variants."
)
def command(scale: str | None, saturation: float | None, **options: Any) -> None:
    """Color PICTURES: files, folders, patterns, or - for standard input and output.

    The result has the same luminance as the picture, so that sharpness and brightness do not
    change. Colors in the picture are ignored. The file format is kept if caelab can write it, and
    so are metadata, color profile, transparency, 16 bits and all pages, as far as the format can
    hold them.

    \f

    Args:
        scale: Shorter sides for the network in pixels, separated by commas; ``None`` for the
            model's.
        saturation: Factor of the chroma; ``None`` for the model's.
        options: ``variants``, ``seed``, and the options that ``picture_command`` declares.
    """
    from caelab.pictures.colorize import colorize
    from caelab.pictures.comparison import compare_colors

    process = partial(
        colorize,
        scales=_read_scales(scale),
        saturation=saturation,
        # Merging the colors at full size uses as many threads as the network.
        threads=options["threads"] or default_threads(),
    )
    process_pictures("colorize", process, compare_colors, options)


def _read_scales(text: str | None) -> tuple[int, ...] | None:
    """Return the numbers of pixels in a text such as ``"32,64"``; ``None`` for no text.

    Raises:
        InputError: The text holds something else than whole numbers from 1 to 1024.
    """
    if text is None:
        return None
    scales = tuple(int(part) if part.isdecimal() else 0 for part in text.split(","))
    if not all(1 <= scale <= 1024 for scale in scales):
        raise InputError(
            f"--scale {text}: give whole numbers of pixels from 1 to 1024, such as 32 or 32,64."
        )
    return scales
