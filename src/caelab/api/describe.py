"""``caelab.describe``: a network's layers, sizes and drawing, without training or PyTorch."""

from html import escape

from caelab.errors import InputError
from caelab.networks import Description, Network, parse
from caelab.networks import describe as describe_network
from caelab.networks.layers.base import format_shape


class NetworkDescription(Description):
    """The description of a network; a notebook shows its drawing and its layers."""

    def __repr__(self) -> str:
        return self.as_table()

    def _repr_html_(self) -> str:
        # These imports take long, and a description is often made without a drawing.
        from caelab.api.display import Picture, Table, stacked
        from caelab.report.figures.reference import draw_network
        from caelab.report.language import read_language
        from caelab.report.representation_sizes import size_calculations

        drawing = Picture(draw_network(self, read_language("en")), "svg", f"network {self.text}")
        calculations = size_calculations(self)
        layers = Table(
            {
                "layer": row.text,
                "shape": format_shape(row.shape),
                "size = ((W − K + 2P) / S + 1)² · C": calculation,
                "weights": row.weights or None,
                "multiply-accumulates": row.multiply_accumulates or None,
                "receptive field": row.receptive_field or "all",
            }
            for row, calculation in zip(self.rows, calculations, strict=True)
        )
        *_, summary = self.as_table().rpartition("\n\n")
        return stacked(
            drawing, layers, f'<pre style="white-space:pre-wrap">{escape(summary)}</pre>'
        )


def describe(
    network: str | Network, *, size: int | tuple[int, int] = 32, channels: int = 3
) -> NetworkDescription:
    """Describe a network: the size of every representation, weights, cost and receptive field.

    The *code* is the representation at ``|``. The *narrowest* is the smallest representation that
    all information passes through. "Size of the latent representation" can mean either of them.

    >>> import caelab
    >>> reference = caelab.describe("reference")
    >>> reference.code.shape, reference.code.size, reference.narrowest.size, reference.weights
    ((16, 8, 8), 1024, 768, 4911)
    >>> [row.shape for row in caelab.describe("conv8 pool | up conv3", size=(16, 20)).rows]
    [(8, 16, 20), (8, 8, 10), (8, 16, 20), (3, 16, 20)]

    Args:
        network: Network text such as ``"conv8 pool conv16 | up conv3"``, or a preset's name:
            ``reference``, ``strided``, ``dense64``, ``residual``, ``unet``, ``unet-color``,
            ``unet-small`` or ``unet-narrow``.
        size: Side of the images in pixels, 1 or more, or (height, width).
        channels: Channels of the images, 1 or more.

    Raises:
        InputError: The text is no network, a layer does not fit the images, or ``size`` or
            ``channels`` is wrong. For a mistake in the text, the message marks the position.
    """
    if not isinstance(network, str | Network):
        raise InputError(f"`network` {network!r}: should be a text or the name of a preset.")
    sides = (size, size) if isinstance(size, int) else size
    for name, values in {"size": sides, "channels": (channels,)}.items():
        if not all(isinstance(value, int) and value > 0 for value in values):
            raise InputError(f"`{name}` {values}: should be whole numbers from 1 on.")
    tree = parse(network) if isinstance(network, str) else network
    return NetworkDescription(**vars(describe_network(tree, channels=channels, size=sides)))
