"""``caelab describe``: a network's layers without torch."""

import json

import click

from caelab.networks import describe, parse


@click.command("describe")
@click.argument("network")
@click.option(
    "--size",
    type=click.IntRange(1, 65536),
    default=32,
    show_default=True,
    help="Pixels of the input's side.",
)
@click.option(
    "--channels",
    type=click.IntRange(1, 4096),
    default=3,
    show_default=True,
    help="Channels of the input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(network: str, size: int, channels: int, as_json: bool) -> None:
    """Print the layers of NETWORK: output shapes, sizes, weights, multiply-accumulates, receptive
    fields.

    NETWORK is a text such as 'conv8 pool conv16 | up conv3', or the name of a preset such as
    reference. The code is the representation at '|', the narrowest the smallest one; both are
    named, as people mean either by the latent size.
    """
    description = describe(parse(network), channels=channels, size=size)
    click.echo(json.dumps(description.as_dict(), indent=2) if as_json else description.as_table())
