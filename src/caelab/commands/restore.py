"""``caelab restore``, ``denoise`` and ``reconstruct``: apply a network to pictures of any size."""

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from caelab.commands.picture_command import picture_command, process_pictures
from caelab.degrade.degradation import Degradation, parse_degradation
from caelab.errors import InputError

if TYPE_CHECKING:
    from caelab.pictures.restore import Strength


@picture_command(
    "restore",
    "caelab restore night.jpg --degradation noise0.1",
    "caelab restore soft.jpg --model runs/deblur",
    "caelab restore torn.png --degradation mask0.25 --model runs/inpaint",
    "caelab restore torn.jpg --model runs/inpaint --mask holes.png",
    suffix="-restored",
    model=None,
)
@click.option(
    "--degradation",
    metavar="TEXT",
    help="Degradation of the pictures, such as noise0.1. For noise0.1 a model comes with caelab;"
    " train models for others.  [default: the degradation that --model undoes]",
)
@click.option(
    "--mask",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Picture whose white pixels mark the holes to fill, for a model that was trained with a"
    " mask, such as mask0.25.  [default: fully transparent pixels are filled]",
)
def command(model: str | None, degradation: str | None, **options: Any) -> None:
    """Undo a degradation of PICTURES: files, folders, patterns, or - for standard input and output.

    Without --model, the model that comes with caelab for --degradation is used. With --degradation
    mask0.25, or another mask, only fully transparent pixels are filled, or those that --mask marks.

    A large picture is processed in overlapping tiles, without seams. The file format is kept if
    caelab can write it, and so are metadata, color profile, transparency, 16 bits and all pages, as
    far as the format can hold them.
    """
    from caelab.pictures.comparison import compare
    from caelab.pictures.fill import fill, read_mask
    from caelab.pictures.restore import restore

    undoing = None if degradation is None else parse_degradation(degradation)
    options["model"] = model or _model_for(undoing)
    mask = options.pop("mask")
    process = restore if mask is None else partial(fill, mask=read_mask(mask))
    process_pictures("restore", process, compare, options, undoing=undoing)


def _read_strength(_: click.Context, __: click.Parameter, text: str) -> "Strength":
    """Return the number in a text, or ``"auto"``."""
    if text == "auto":
        return "auto"
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    if not 0 <= strength <= 1:
        raise InputError(f"--strength {text}: give a number from 0 to 1, or auto.")
    return strength


@picture_command(
    "denoise",
    "caelab denoise night.jpg",
    "caelab denoise in -o clean --strength auto",
    suffix="-denoised",
    model="denoise",
)
@click.option(
    "--strength",
    default="1",
    show_default=True,
    metavar="NUMBER|auto",
    callback=_read_strength,
    help="Share of the noise to remove, from 0 to 1. With auto, the noise of each picture is"
    " measured, and a picture with little noise keeps more of its detail.",
)
def denoise(strength: "Strength", **options: Any) -> None:
    """Remove noise from PICTURES: files, folders, patterns, or - for standard input and output.

    A large picture is processed in overlapping tiles, without seams. The file format is kept if
    caelab can write it, and so are metadata, color profile, transparency, 16 bits and all pages, as
    far as the format can hold them.
    """
    from caelab.pictures.comparison import compare
    from caelab.pictures.restore import restore

    process_pictures("denoise", partial(restore, strength=strength), compare, options)


@picture_command(
    "reconstruct",
    "caelab reconstruct photo.png --compare",
    "caelab reconstruct in --model best-128",
    suffix="-reconstructed",
    model="reference",
)
def reconstruct(**options: Any) -> None:
    """Show what an autoencoder keeps of PICTURES: files, folders, patterns, or - for stdin.

    A large picture is processed in overlapping tiles, without seams. The file format is kept if
    caelab can write it, and so are metadata, color profile, transparency, 16 bits and all pages, as
    far as the format can hold them.
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
