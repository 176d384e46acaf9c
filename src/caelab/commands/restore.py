"""``caelab restore``: pictures that were blurred, reduced, compressed."""

from typing import Any

import click

from caelab.commands.denoise import compare_unknown
from caelab.commands.picture_options import PictureOptions, picture_options, process_pictures
from caelab.degrade.degradation import Degradation, parse_degradation
from caelab.errors import InputError


@click.command("restore")
@picture_options(suffix="-restored", model=None)
@click.option(
    "--impair", metavar="TEXT", help="What was done to the pictures, such as blur1.5 or jpeg20."
)
def command(model: str | None, impair: str | None, **options: Any) -> None:
    """Undo what was done to PICTURES: files, folders, patterns, or - for standard input and output.

    The model is the one that ships for --impair, or --model. A large picture goes through the
    network in tiles that overlap, without seams. Format, EXIF, color profile, transparency and 16
    bits stay where the format has them. For a model of missing pixels, --impair mask0.25, those are
    filled that are wholly transparent; all others stay as they are.
    """
    from caelab.pictures.restore import restore

    degradation = None if impair is None else parse_degradation(impair)
    name = model or _model_for(degradation)
    process_pictures(
        name,
        "restore",
        PictureOptions(**options),
        restore,
        compare=compare_unknown,
        undoing=degradation,
    )


def _model_for(degradation: Degradation | None) -> str:
    """The model that ships for a degradation."""
    from caelab.pictures.model_files import shipped_models
    from caelab.pictures.open_model import command_for

    if degradation is None:
        raise InputError(
            "say what was done to the pictures, --impair blur1.5, or name a model, --model RUN."
        )
    if (suited := command_for(degradation)) in ("colorize", "reconstruct"):
        raise InputError(f"pictures with --impair {degradation} are for `caelab {suited}`.")
    shipped = {name: model.card["impair"] for name, model in shipped_models().items()}
    for name, undoes in shipped.items():
        if undoes == str(degradation):
            return name
    known = ", ".join(sorted({each for each in shipped.values() if each not in ("none", "gray")}))
    raise InputError(
        f"no model ships for --impair {degradation}"
        f" ({f'there are some for {known}' if known else 'nor for others'}). Train one, caelab"
        f" train NETWORK --impair {degradation}, and name its run: --model RUN."
    )
