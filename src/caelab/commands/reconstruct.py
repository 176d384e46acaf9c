"""``caelab reconstruct``: pictures through an autoencoder's code and back."""

from typing import TYPE_CHECKING, Any

import click

from caelab.commands.help import HelpCommand
from caelab.commands.picture_options import PictureOptions, picture_options, process_pictures

if TYPE_CHECKING:
    from caelab.pictures.comparison import Comparison
    from caelab.pictures.picture import Picture

MODEL = "reference"


@click.command(
    "reconstruct",
    cls=HelpCommand,
    examples=["caelab reconstruct photo.png --compare", "caelab reconstruct in --model best-128"],
)
@picture_options(suffix="-reconstructed", model=MODEL)
def command(model: str | None, **options: Any) -> None:
    """Show what an autoencoder keeps of PICTURES: files, folders, patterns, or - for stdin.

    A large picture is processed in overlapping tiles, without seams. File format, EXIF, color
    profile, transparency and 16 bits are kept where the format has them.
    """
    from caelab.pictures.restore import restore

    process_pictures(
        model or MODEL, "reconstruct", PictureOptions(**options), restore, compare=_compare
    )


def _compare(source: "Picture", result: "Picture") -> "Comparison":
    from caelab.pictures.comparison import compare

    return compare(source, result, truth=source)
