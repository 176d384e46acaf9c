"""What a network is to a picture: a function of arrays, and the sizes that it takes. No torch."""

from collections.abc import Callable
from dataclasses import dataclass, field

from caelab.degrade.degradation import Degradation
from caelab.errors import InputError
from caelab.networks.ast import Network
from caelab.networks.describe import describe
from caelab.pictures.luma import Floats

_MOST = 64
"""Strides up to this are looked for."""


_RESAMPLED = 8
"""Pixels that enlarging and reducing again reach beyond a field: two and one to each side, and some
to spare."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """The sizes that a network takes.

    Attributes:
        multiple: Height and width must be multiples of it, and a shift of the image by it shifts
            the output as much.
        field: Input pixels a side that can move one output pixel; ``None`` is the whole image.
        fixed: The one side that it takes, in pixels; ``None`` where it takes any multiple.
    """

    multiple: int = 1
    field: int | None = 1
    fixed: int | None = None


@dataclass(frozen=True, kw_only=True)
class PictureModel:
    """An image → image function, and what must be known to give it pictures.

    Attributes:
        function: float32 (N, C, H, W) in [0, 1] → float32 (N, C', H, W). C' is 2 where it gives
            chroma (Cb, Cr, centred on 0), and else an image's 1 or 3 channels in [0, 1].
        channels: C: 1 for gray, 3 for RGB.
        geometry: The sizes that it takes.
        size: Side in pixels of the images that it was trained on.
        degradation: What it undoes.
    """

    function: Callable[[Floats], Floats]
    channels: int = 3
    geometry: Geometry = Geometry()
    size: int = 32
    degradation: Degradation = field(default_factory=Degradation)

    def __call__(self, images: Floats) -> Floats:
        """Images (N, C, H, W) to images or chroma (N, C', H, W)."""
        return self.function(images)


def geometry_of(
    network: Network,
    *,
    channels: int,
    size: int,
    average_shift: int = 0,
    average_enlarged: bool = False,
) -> Geometry:
    """The geometry of a network of whose output height and width are the input's.

    Args:
        network: The network's tree.
        channels: Of its images.
        size: Side in pixels of the images that it was trained on.
        average_shift: By how many pixels the image is moved for more answers, averaged with the
            first.
        average_enlarged: Whether the answer for the image enlarged by a quarter is averaged with
            the first.

    Raises:
        NetworkError: A shape does not fit.
        InputError: No multiple up to 64 comes out of the network as large as it went in.
    """
    description = describe(network, channels=channels, size=size)
    if any(row.kind == "dense" for row in description.rows):
        return Geometry(field=None, fixed=size)
    for multiple in range(1, _MOST + 1):
        # Larger than the size it was trained on: the narrowest layers must have something left.
        first = -(-size // multiple)
        if all(
            _comes_back(network, channels, multiple * count) for count in range(first, first + 3)
        ):
            field = description.receptive_field
            wider = 2 * average_shift + (_RESAMPLED if average_enlarged else 0)
            # Of four times the multiple, five fourths are a multiple too.
            multiple *= 4 if average_enlarged else 1
            return Geometry(multiple=multiple, field=None if field is None else field + wider)
    raise InputError(
        f"the network {description.text} gives back no image of the size it is given, whatever"
        f" multiple of up to {_MOST} pixels that is. Pictures need one that does, such as with"
        " padding 'same'."
    )


def _comes_back(network: Network, channels: int, size: int) -> bool:
    try:
        return describe(network, channels=channels, size=size).output[1:] == (size, size)
    except InputError:
        return False
