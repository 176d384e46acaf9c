"""A model as a function of NumPy arrays, and the sizes of images that it takes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from caelab.degrade.degradation import Degradation, parse_degradation
from caelab.errors import InputError
from caelab.models.card import ModelCard
from caelab.models.tta import TTA
from caelab.networks.ast import Network
from caelab.networks.describe import describe
from caelab.pictures.picture import Floats

_MAX_STRIDE = 64
"""Largest stride that is tried."""

_RESAMPLING_REACH = 8
"""Pixels that enlarging and reducing add to a receptive field, both sides together."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """The sizes that a network takes.

    Attributes:
        multiple: Height and width must be multiples of it, and shifting the image by it shifts the
            output as much.
        field: Side of the receptive field in pixels; ``None`` for the whole image.
        fixed: The only side that the network takes, in pixels; ``None`` for any multiple.
    """

    multiple: int = 1
    field: int | None = 1
    fixed: int | None = None


Function = Callable[[Floats], Floats]
"""Maps ``float32 (N, C, H, W)`` in [0, 1] to images in [0, 1], or to chroma."""


@dataclass(frozen=True, kw_only=True)
class PictureModel:
    """A model as a function of NumPy arrays, and what is needed to apply it to pictures.

    Attributes:
        function: Maps ``float32 (N, C, H, W)`` in [0, 1] to images in [0, 1] ``(N, C', H, W)``, or
            to chroma ``(N, 2, H, W)``.
        channels: C: 1 for gray, 3 for RGB.
        geometry: The sizes that it takes.
        size: Shorter side of the training images in pixels.
        degradation: What the model undoes.
        color_space: Name of the color space of the chroma, in whose unit it is; ``None`` where the
            function returns images.
        variants: Returns the function that gives one of the model's plausible answers, by its index
            and a seed; ``None`` where a picture has one answer.
        scales: Shorter sides in pixels at which it sees photographs, whose shorter sides are none
            less; empty where the best were not measured.
        saturation: Factor of the chroma of photographs by which it is nearest to the truth.
    """

    function: Function
    channels: int = 3
    geometry: Geometry = Geometry()
    size: int = 32
    degradation: Degradation = field(default_factory=Degradation)
    color_space: str | None = None
    variants: Callable[[int, int], Function] | None = None
    scales: tuple[int, ...] = ()
    saturation: float = 1.0

    @classmethod
    def of_card(
        cls,
        card: ModelCard,
        function: Function,
        geometry: Geometry,
        *,
        color_space: str | None,
        variants: Callable[[int, int], Function] | None = None,
    ) -> "PictureModel":
        """Return the model that a card describes.

        Args:
            card: Card of the weights or of the ONNX file.
            function: Applies the network.
            geometry: The sizes that the network takes.
            color_space: Color space of a predicted chroma; ``None`` without one.
            variants: Gives one of several plausible answers; ``None`` where there is one.
        """
        degradation = parse_degradation(card.degradation)
        return cls(
            function=function,
            channels=degradation.channels(card.channels),
            geometry=geometry,
            size=min(card.sides),
            degradation=degradation,
            color_space=color_space,
            variants=variants,
        )

    def variant(self, number: int, seed: int) -> "PictureModel":
        """Return the model that gives one of the plausible answers.

        Args:
            number: Index of the answer.
            seed: Seed of the draws.

        Raises:
            InputError: The model gives one answer, or is an ONNX file, which has one.
        """
        if self.variants is None:
            raise InputError(
                "an ONNX file gives one answer to a picture: variants need the weights."
            )
        # What is best for the mean of all answers is not for one that is drawn.
        return replace(self, function=self.variants(number, seed), scales=(), saturation=1.0)

    def __call__(self, images: Floats) -> Floats:
        """Apply the function.

        Raises:
            InputError: The model gives values that are not finite.
        """
        outputs = self.function(images)
        # A sum is finite only if every summand is, and needs no array of booleans.
        if not math.isfinite(float(outputs.sum(dtype=np.float64))):
            raise InputError(
                "the model gives values that are not finite; its weights are damaged or come from"
                " a failed training."
            )
        return outputs


def geometry_of(
    network: Network, *, channels: int, size: int | tuple[int, int], tta: TTA | None = None
) -> Geometry:
    """Return the sizes that a network takes whose output is as large as its input.

    Args:
        network: The network.
        channels: Channels of its input.
        size: Side of its training images in pixels, or height and width.
        tta: Test-time augmentation around the network.

    Raises:
        NetworkError: A shape does not fit.
        InputError: The output has another size than the input, or the network takes one size,
            which is not square.

    >>> from caelab.networks.parser import parse
    >>> geometry_of(parse("conv8 pool conv8 | up conv3"), channels=3, size=32).multiple
    2
    """
    description = describe(network, channels=channels, size=size)
    # A dense layer has a weight for every pixel, and so takes one size.
    _, height, width = description.input
    if any(row.kind == "dense" for row in description.rows):
        if height != width:
            raise InputError(
                f"the network {network} only takes images of {height}×{width} pixels, because of"
                " its dense layer. Pictures need a network without one, or trained on squares."
            )
        return Geometry(field=None, fixed=height)

    def keeps(side: int) -> bool:
        try:
            return describe(network, channels=channels, size=side).output[1:] == (side, side)
        except InputError:
            return False

    for multiple in range(1, _MAX_STRIDE + 1):
        # From the training size on, because smaller images may not reach the narrowest layers.
        first = -(-max(height, width) // multiple)
        # One size may fit by chance, but not three successive ones.
        if all(keeps(multiple * count) for count in range(first, first + 3)):
            field, tta = description.receptive_field, tta or TTA()
            if field is not None:
                field += 2 * tta.shift + _RESAMPLING_REACH * tta.scale
            # 5/4 of four times the multiple is a multiple, too.
            return Geometry(multiple=multiple * (4 if tta.scale else 1), field=field)
    raise InputError(
        f"the network {network} never returns an image of the size of its input, for any stride of"
        f" up to {_MAX_STRIDE} pixels. Pictures need one that does, such as with padding 'same'."
    )
