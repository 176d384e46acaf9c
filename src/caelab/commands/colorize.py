"""``caelab colorize``: colors for gray pictures of any size."""

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
    help="Shorter sides in pixels at which the network sees a picture; its answers are averaged."
    "  [default: those in the model's card, or 1.5 times the side of its training images]",
)
@click.option(
    "--saturation",
    type=click.FloatRange(0, 10),
    help="Factor for the colors: with larger ones they are livelier, and mistakes are, too."
    "  [default: that in the model's card, or 1]",
)
@click.option(
    "--variants",
    type=click.IntRange(1),
    help="Number of plausible results for each picture; the model must predict bins.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the variants."
)
def command(scale: str | None, saturation: float | None, **options: Any) -> None:
    """Color PICTURES: files, folders, patterns, or - for standard input and output.

    Sharpness and brightness stay: the luminance of the result is that of the picture. Colors that
    the picture has are ignored. File format, metadata, color profile, transparency, 16 bits and
    all pages are kept where the format has them.

    \f

    Args:
        scale: Scale of the picture that the network sees.
        saturation: Factor of the chroma; ``None`` for the model's.
        options: Options of pictures, as ``picture_command`` declares them, and of the variants.
    """
    from caelab.pictures.colorize import colorize
    from caelab.pictures.comparison import compare_colors

    process = partial(
        colorize,
        scales=_read_scales(scale),
        saturation=saturation,
        # As many for merging the colors at full size as the network has by default.
        threads=options["threads"] or default_threads(),
    )
    process_pictures("colorize", process, compare_colors, options)


def _read_scales(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    scales = tuple(int(part) if part.isdecimal() else 0 for part in text.split(","))
    if not all(1 <= scale <= 1024 for scale in scales):
        raise InputError(
            f"--scale {text}: give whole numbers of pixels from 1 to 1024, such as 32 or 32,64."
        )
    return scales
