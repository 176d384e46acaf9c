"""``caelab restore``, ``denoise`` and ``reconstruct``: apply a network to pictures of any size."""

from typing import Any

import click

from caelab.commands.picture_command import picture_command, process_pictures
from caelab.degrade.degradation import Degradation, parse_degradation
from caelab.errors import InputError


@picture_command(
    "restore",
    "caelab restore night.jpg --degradation noise0.1",
    "caelab restore soft.jpg --model runs/deblur",
    "caelab restore torn.png --degradation mask0.25 --model runs/inpaint",
    suffix="-restored",
    model=None,
)
@click.option(
    "--degradation",
    metavar="TEXT",
    help="Degradation of the pictures, such as noise0.1. For noise0.1 a model comes with caelab;"
    " train models for others.  [default: the degradation that --model undoes]",
)
def command(model: str | None, degradation: str | None, **options: Any) -> None:
    """Undo a degradation of PICTURES: files, folders, patterns, or - for standard input and output.

    Without --model, the model that comes with caelab for --degradation is used. With --degradation
    mask0.25, or another mask, only fully transparent pixels are filled.

    A large picture is processed in overlapping tiles, without seams. File format, metadata,
    color profile, transparency, 16 bits and all pages are kept where the format has them.
    """
    from caelab.pictures.comparison import compare
    from caelab.pictures.restore import restore

    undoing = None if degradation is None else parse_degradation(degradation)
    options["model"] = model or _model_for(undoing)
    process_pictures("restore", restore, compare, options, undoing=undoing)


@picture_command(
    "denoise",
    "caelab denoise night.jpg",
    "caelab denoise in -o clean",
    suffix="-denoised",
    model="denoise",
)
def denoise(**options: Any) -> None:
    """Remove noise from PICTURES: files, folders, patterns, or - for standard input and output.

    A large picture is processed in overlapping tiles, without seams. File format, metadata,
    color profile, transparency, 16 bits and all pages are kept where the format has them.
    """
    from caelab.pictures.comparison import compare
    from caelab.pictures.restore import restore

    process_pictures("denoise", restore, compare, options)


@picture_command(
    "reconstruct",
    "caelab reconstruct photo.png --compare",
    "caelab reconstruct in --model best-128",
    suffix="-reconstructed",
    model="reference",
)
def reconstruct(**options: Any) -> None:
    """Show what an autoencoder keeps of PICTURES: files, folders, patterns, or - for stdin.

    A large picture is processed in overlapping tiles, without seams. File format, metadata,
    color profile, transparency, 16 bits and all pages are kept where the format has them.
    """
    from caelab.pictures.comparison import compare_with_source
    from caelab.pictures.restore import restore

    # The right result is the input itself, so the comparison can show errors.
    process_pictures("reconstruct", restore, compare_with_source, options)


def _model_for(degradation: Degradation | None) -> str:
    """Return the name of the shipped model that undoes a degradation.

    Raises:
        InputError: No degradation is given, no shipped model undoes it, or another command does.
    """
    from caelab.pictures.model_files import shipped_models
    from caelab.pictures.open_model import command_for

    if degradation is None:
        raise InputError(
            "say what was done to the pictures, such as --degradation noise0.1, or name a model:"
            " --model RUN."
        )
    # A colorizer needs other options, and a reconstruction has nothing to undo.
    if (suited := command_for(degradation)) in ("colorize", "reconstruct"):
        raise InputError(f"pictures with --degradation {degradation} are for `caelab {suited}`.")
    shipped = {model.card["degradation"]: name for name, model in shipped_models().items()}
    # `str` gives one text to equal degradations, so that noise.10 finds the model of noise0.1.
    if str(degradation) in shipped:
        return shipped[str(degradation)]
    known = ", ".join(sorted(shipped.keys() - {"none", "gray"}))
    raise InputError(
        f"no model ships for --degradation {degradation} (there are models for:"
        f" {known or 'none'}). Train one, caelab train NETWORK --degradation {degradation}, and"
        " name its run: --model RUN."
    )
