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
"""Largest stride in pixels that is tried for a network."""

_RESAMPLING_REACH = 8
"""Pixels by which resizing an image widens the receptive field, both sides together."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """The sizes of images that a network takes.

    Attributes:
        multiple: Height and width must be multiples of this number of pixels. If the image moves by
            this number, so does the output.
        field: Side of the receptive field in pixels; ``None`` for the whole image.
        fixed: The only side that the network takes, in pixels; ``None`` if it takes any multiple.
            A network that takes only one side has the multiple 1 and no limited receptive field.

    Raises:
        ValueError: ``fixed`` does not go with the multiple or the receptive field.
    """

    multiple: int = 1
    field: int | None = 1
    fixed: int | None = None

    def __post_init__(self) -> None:
        if self.fixed is not None and (self.multiple != 1 or self.field is not None):
            raise ValueError(
                f"a network for images of {self.fixed}×{self.fixed} pixels only has the multiple 1"
                f" and no receptive field, not {self.multiple} and {self.field}"
            )


Function = Callable[[Floats], Floats]
"""Maps ``float32 (N, C, H, W)`` in [0, 1] to images in [0, 1], or to chroma."""


@dataclass(frozen=True, kw_only=True)
class PictureModel:
    """A model as a function of NumPy arrays, and what is needed to apply it to pictures.

    Attributes:
        function: Maps ``float32 (N, C, H, W)`` in [0, 1] to images in [0, 1] ``(N, C', H, W)``, or
            to chroma ``(N, 2, H, W)``.
        channels: Number of input channels C: 1 for gray, 3 for RGB.
        geometry: Sizes of images that the function takes.
        size: Shorter side of the training images in pixels.
        degradation: Degradation that the model undoes.
        color_space: Name of the color space of the returned chroma; ``None`` if the function
            returns images.
        variants: Function of an index and a seed. It returns a function like ``function``, for one
            of several plausible results. ``None`` if there is only one result.
        scales: Shorter sides, in pixels, at which a colorizer sees photographs that are at least as
            large; empty if the best scales were not measured.
        saturation: Factor of the predicted chroma that brings the colors of photographs nearest to
            the true colors.
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
            function: Function that applies the network; see the attribute.
            geometry: Sizes of images that the network takes.
            color_space: Name of the color space of predicted chroma; ``None`` if the network
                predicts images.
            variants: Function of an index and a seed; see the attribute. ``None`` if there is only
                one result.
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
        """Return a model that gives one of several plausible results, drawn at random.

        Args:
            number: Index of the result, from 0.
            seed: Seed of the random draws.

        Raises:
            InputError: The model gives only one result, as an ONNX file does.
        """
        if self.variants is None:
            raise InputError(
                "an ONNX file gives only one result for a picture: variants need the weights file."
            )
        # The best scales and saturation were measured for the mean of all plausible results.
        return replace(self, function=self.variants(number, seed), scales=(), saturation=1.0)

    def __call__(self, images: Floats) -> Floats:
        """Apply the function to images ``(N, C, H, W)``, and check the size of its results.

        Raises:
            InputError: The model returns images of another size, or values that are not finite.
        """
        outputs = self.function(images)
        if outputs.ndim != 4 or (len(outputs), *outputs.shape[2:]) != (
            len(images),
            *images.shape[2:],
        ):
            raise InputError(
                f"the model turns images of {images.shape} into {outputs.shape}, not into images of"
                " the same size: its metadata does not fit its network."
            )
        # A sum is finite only if every value is finite, and summing needs no temporary array.
        if not math.isfinite(float(outputs.sum(dtype=np.float64))):
            raise InputError(
                "the model gives values that are not finite: its weights are damaged or come from"
                " a failed training."
            )
        return outputs


def geometry_of(
    network: Network, *, channels: int, size: int | tuple[int, int], tta: TTA | None = None
) -> Geometry:
    """Return the sizes of images for which a network's output is as large as its input.

    Args:
        network: The network.
        channels: Number of channels of its input.
        size: Side of its training images in pixels, or height and width.
        tta: Test-time augmentation around the network.

    Raises:
        NetworkError: The shapes of layers do not fit together.
        InputError: The output has another size than the input, or the network takes only one size,
            which is not square.

    >>> from caelab.networks.parser import parse
    >>> geometry_of(parse("conv8 pool conv8 | up conv3"), channels=3, size=32).multiple
    2
    """
    description = describe(network, channels=channels, size=size)
    # A dense layer has a weight for every input pixel, so the network takes only one size.
    _, height, width = description.input
    if any(row.kind == "dense" for row in description.rows):
        if height != width:
            raise InputError(
                f"the network {network} only takes images of {height}×{width} pixels, because of"
                " its dense layer. Use a network without dense layers, or train on square images."
            )
        return Geometry(field=None, fixed=height)

    def keeps(side: int) -> bool:
        try:
            return describe(network, channels=channels, size=side).output[1:] == (side, side)
        except InputError:
            return False

    for multiple in range(1, _MAX_STRIDE + 1):
        # No size below the training size is tried, because inner layers could have no pixels then.
        first = -(-max(height, width) // multiple)
        # One size may fit by chance, but not three successive ones.
        if all(keeps(multiple * count) for count in range(first, first + 3)):
            field, tta = description.receptive_field, tta or TTA()
            if field is not None:
                field += 2 * tta.shift + _RESAMPLING_REACH * tta.scale
            # Test-time augmentation by `scale` enlarges images by 5/4. If their sides are multiples
            # of four times the stride, the enlarged sides are multiples of the stride.
            return Geometry(multiple=multiple * (4 if tta.scale else 1), field=field)
    raise InputError(
        f"the network {network} never returns an image of the size of its input, for any stride of"
        f" up to {_MAX_STRIDE} pixels. Use a network that does, for example with padding 'same'."
    )
