"""``caelab colorize``: colors for gray pictures of any size."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from caelab.commands.picture_options import PictureOptions, picture_options, process_pictures
from caelab.errors import InputError

if TYPE_CHECKING:
    from caelab.pictures.comparison import Comparison
    from caelab.pictures.picture import Picture
    from caelab.pictures.picture_model import PictureModel

MODEL = "colorize"


@click.command("colorize")
@picture_options(suffix="-colorized", model=MODEL)
@click.option(
    "--scale",
    metavar="N,N",
    help=(
        "Shorter sides, in pixels, at which the network sees a picture; what it says is averaged.  "
        "[default: half as much again as its training images]"
    ),
)
@click.option(
    "--saturation",
    type=click.FloatRange(0, 10),
    default=1.0,
    show_default=True,
    help=(
        "Multiplies the colors: more than 1 for a livelier picture, at the risk of livelier"
        " mistakes."
    ),
)
@click.option(
    "--variants",
    type=click.IntRange(1),
    help="So many plausible results, where the model has several.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the variants."
)
def command(
    model: str | None,
    scale: str | None,
    saturation: float,
    variants: int | None,
    seed: int,
    **options: Any,
) -> None:
    """Color PICTURES: files, folders, patterns, or - for standard input and output.

    Sharpness and brightness stay as they are: the luma of the result is that of the picture.
    Format, EXIF, color profile, transparency and 16 bits stay where the format has them. Colors
    that a picture has are not looked at.
    """
    from caelab.pictures.restore import colorize

    scales = _read_scales(scale)
    chosen = PictureOptions(**options)

    def process(network: "PictureModel", pictures: "Sequence[Picture]") -> "list[Picture]":
        return colorize(
            network,
            pictures,
            scales=scales,
            saturation=saturation,
            threads=chosen.threads or os.cpu_count() or 1,
        )

    process_pictures(
        model or MODEL, "colorize", chosen, process, compare=_compare, variants=variants, seed=seed
    )


def _compare(source: "Picture", result: "Picture") -> "Comparison":
    from caelab.pictures.comparison import compare, has_color, without_color

    return compare(without_color(source), result, truth=source if has_color(source) else None)


def _read_scales(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        scales = tuple(int(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if not scales or not all(1 <= scale <= 1024 for scale in scales):
        raise InputError(
            f"--scale {text}: give whole numbers of pixels from 1 to 1024, such as 32 or 32,64."
        )
    return scales
