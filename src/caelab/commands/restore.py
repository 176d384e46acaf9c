"""``caelab restore``: pictures that were blurred, reduced or compressed."""

from typing import Any

import click

from caelab.commands.denoise import compare_unknown
from caelab.commands.help import HelpCommand
from caelab.commands.picture_options import PictureOptions, picture_options, process_pictures
from caelab.degrade.degradation import Degradation, parse_degradation
from caelab.errors import InputError


@click.command(
    "restore",
    cls=HelpCommand,
    examples=[
        "caelab restore soft.jpg --model runs/deblur",
        "caelab restore torn.png --degradation mask0.25 --model runs/inpaint",
    ],
)
@picture_options(suffix="-restored", model=None)
@click.option(
    "--degradation",
    metavar="TEXT",
    help="What was done to the pictures, such as blur1.5 or jpeg20.  [default: what the model"
    " undoes]",
)
def command(model: str | None, degradation: str | None, **options: Any) -> None:
    """Undo a degradation of PICTURES: files, folders, patterns, or - for standard input and output.

    The model is the one that ships for --degradation, or --model. A model of missing pixels, such
    as --degradation mask0.25, fills the pixels that are fully transparent and keeps all others.

    A large picture is processed in overlapping tiles, without seams. File format, EXIF, color
    profile, transparency and 16 bits are kept where the format has them.
    """
    from caelab.pictures.restore import restore

    undoing = None if degradation is None else parse_degradation(degradation)
    process_pictures(
        model or _model_for(undoing),
        "restore",
        PictureOptions(**options),
        restore,
        compare=compare_unknown,
        undoing=undoing,
    )


def _model_for(degradation: Degradation | None) -> str:
    """Return the name of the shipped model that undoes a degradation."""
    from caelab.pictures.model_files import shipped_models
    from caelab.pictures.open_model import command_for

    if degradation is None:
        raise InputError(
            "say what was done to the pictures, --degradation blur1.5, or name a model, --model"
            " RUN."
        )
    if (suited := command_for(degradation)) in ("colorize", "reconstruct"):
        raise InputError(f"pictures with --degradation {degradation} are for `caelab {suited}`.")
    shipped = {model.card["degradation"]: name for name, model in shipped_models().items()}
    if str(degradation) in shipped:
        return shipped[str(degradation)]
    known = ", ".join(sorted(shipped.keys() - {"none", "gray"}))
    raise InputError(
        f"no model ships for --degradation {degradation} (there are models for:"
        f" {known or 'none'}). Train one, caelab train NETWORK --degradation {degradation}, and"
        " name its run: --model RUN."
    )
