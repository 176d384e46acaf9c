"""``caelab denoise``: less noise in pictures of any size."""

from typing import TYPE_CHECKING, Any

import click

from caelab.commands.help import HelpCommand
from caelab.commands.picture_options import PictureOptions, picture_options, process_pictures

if TYPE_CHECKING:
    from caelab.pictures.comparison import Comparison
    from caelab.pictures.picture import Picture

MODEL = "denoise"


@click.command(
    "denoise", cls=HelpCommand, examples=["caelab denoise night.jpg", "caelab denoise in -o clean"]
)
@picture_options(suffix="-denoised", model=MODEL)
def command(model: str | None, **options: Any) -> None:
    """Remove noise from PICTURES: files, folders, patterns, or - for standard input and output.

    A large picture is processed in overlapping tiles, without seams. File format, EXIF, color
    profile, transparency and 16 bits are kept where the format has them.
    """
    from caelab.pictures.restore import restore

    process_pictures(
        model or MODEL, "denoise", PictureOptions(**options), restore, compare=compare_unknown
    )


def compare_unknown(source: "Picture", result: "Picture") -> "Comparison":
    """Draw a picture and its result, where the truth is not known."""
    from caelab.pictures.comparison import compare

    return compare(source, result)
