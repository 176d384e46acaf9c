"""``caelab describe``: print the layers of a network, without importing PyTorch."""

import click

from caelab.commands.help import HelpCommand, documented_command
from caelab.commands.output import echo, json_option, print_json
from caelab.data.size import read_size, sides
from caelab.errors import InputError
from caelab.networks import LayerKind, NetworkError, describe, parse
from caelab.networks.describe import require_image_output

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
    cls=DescribeCommand,
)
@click.argument("network")
@click.option(
    "--size",
    metavar="N|HxW",
    default="32",
    show_default=True,
    help="Side of the input in pixels, or height and width, such as 48x96.",
)
@click.option(
    "--channels",
    type=click.IntRange(1, 4096),
    default=3,
    show_default=True,
    help="Channels of the input.",
)
@json_option
def command(network: str, size: str, channels: int, as_json: bool) -> None:
    """Print the layers of NETWORK: shapes, sizes, weights, multiply-accumulates, receptive fields.

    NETWORK is a text such as 'conv8 pool conv16 | up conv3', or the name of a preset such as
    reference. The code is the representation at '|'. The narrowest is the smallest representation
    that all information passes through. "Size of the latent representation" can mean either.

    \f

    Args:
        network: Network text or preset.
        size: Side of the images in pixels, or height and width.
        channels: Channels of the images.
        as_json: Print JSON.
    """
    try:
        height, width = sides(read_size(size, most=MAX_SIDE))
    except ValueError as error:
        raise InputError(f"--size {size}: {error}.") from error
    try:
        tree = parse(network)
    except NetworkError:
        from caelab.pictures.model_files import shipped_models  # imports NumPy

        if network not in shipped_models():
            raise
        raise InputError(
            f"{network} is a shipped model, not a network: `caelab models {network}` prints its"
            " network's text."
        ) from None
    description = describe(tree, channels=channels, size=(height, width))
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
