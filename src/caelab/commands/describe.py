"""``caelab describe``: print the layers of a network, without importing PyTorch."""

import os
from typing import TYPE_CHECKING

import click

from caelab.commands.help import HelpCommand, documented_command
from caelab.commands.output import echo, json_option, print_json
from caelab.data.size import read_size, sides
from caelab.errors import InputError
from caelab.networks import LayerKind, NetworkError, describe, parse
from caelab.networks.describe import require_image_output

if TYPE_CHECKING:
    from caelab.models.card import ModelCard

MAX_SIDE = 65536
"""Largest side of the input in pixels; it may be large because no image is computed."""


class DescribeCommand(HelpCommand):
    """Command whose help lists the layers of the network language, also those of plug-ins."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section of layers before the examples."""
        # Iterating over the registry loads the plug-ins, which only this help needs.
        kinds = LayerKind.registry.values()
        with formatter.section("Layers (N: a number; parts in brackets are optional)"):
            formatter.write_dl([(kind.usage(), kind.help) for kind in kinds], col_max=20)
        super().format_epilog(ctx, formatter)


@documented_command(
    "describe",
    "caelab describe reference",
    "caelab describe 'conv16k5s2 conv32s2 | up conv16 up conv3' --size 64",
    "caelab describe runs/reference-0123abcd",
    cls=DescribeCommand,
)
@click.argument("network")
@click.option(
    "--size",
    metavar="N|HxW",
    help="Side of the input in pixels, or height and width, such as 48x96."
    "  [default: 32, or that of the model]",
)
@click.option(
    "--channels",
    type=click.IntRange(1, 4096),
    help="Channels of the input.  [default: 3, or those of the model]",
)
@json_option
def command(network: str, size: str | None, channels: int | None, as_json: bool) -> None:
    """Print the layers of NETWORK: shapes, sizes, weights, multiply-accumulates, receptive fields.

    NETWORK is a text such as 'conv8 pool conv16 | up conv3', the name of a preset such as
    reference, or a model: the name of a shipped model, or the path of a run directory or of a
    weights file. The code is the representation at '|'. The narrowest is the smallest
    representation that all information passes through. "Size of the latent representation" can
    mean either.

    \f

    Args:
        network: Network text, preset or model.
        size: Side of the images in pixels, or height and width; ``None`` for 32 or the model's.
        channels: Channels of the input; ``None`` for 3 or the model's.
        as_json: Print JSON.
    """
    try:
        sizes = None if size is None else sides(read_size(size, most=MAX_SIDE))
    except ValueError as error:
        raise InputError(f"--size {size}: {error}.") from error
    try:
        tree, model_sizes, model_channels = parse(network), (32, 32), 3
    except NetworkError:
        if (card := _card_of(network)) is None:
            raise
        tree, model_sizes, model_channels = parse(card.network), card.sides, len(card.mean)
    description = describe(tree, channels=channels or model_channels, size=sizes or model_sizes)
    # A smaller output is a mistake only if a layer drops pixels; an encoder has one on purpose.
    if any(row.remainder for row in description.rows):
        try:
            require_image_output(description, channels=description.output[0])
        except NetworkError as error:
            echo(f"note: `caelab train` would refuse images of this --size: {error}", err=True)
    if as_json:
        print_json(description.as_dict())
    else:
        echo(description.as_table())


def _card_of(name_or_path: str) -> "ModelCard | None":
    """Return the card of a shipped model, a run directory or a weights file; ``None`` if none."""
    from caelab.models.card import read_card_of  # imports NumPy
    from caelab.pictures.model_files import find_model, shipped_models

    # For a name that is too long for a path, `os.path` returns False, and `Path` would raise an
    # error. A network text has blanks or no slash, so other texts are paths, perhaps mistyped ones.
    is_path = os.path.exists(name_or_path) or (  # noqa: PTH110
        "/" in name_or_path and " " not in name_or_path
    )
    if not is_path and name_or_path not in shipped_models():
        return None
    return read_card_of(find_model(name_or_path))
