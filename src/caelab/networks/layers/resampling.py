"""Layers that change the size and have no weights: pooling, upsampling, pixel shuffles."""

from typing import TYPE_CHECKING, ClassVar

from caelab.networks.layers.base import (
    LayerKind,
    MisfitError,
    Number,
    ReceptiveField,
    Shape,
    format_shape,
    require_multiple,
)
from caelab.registry import register

if TYPE_CHECKING:
    from torch import nn


class _TorchLayer(LayerKind):
    """A layer whose module is a class of ``torch.nn`` that needs only ``number``.

    Attributes:
        torch_module: Name of the class in ``torch.nn``.
    """

    torch_module: ClassVar[str]

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002
        """Return a new object of the class ``torch_module``."""
        from torch import nn

        module: nn.Module = getattr(nn, self.torch_module)(self.number)
        return module


class _Windows(_TorchLayer):
    """A layer that reads windows of S×S pixels with stride S, where S is ``number``."""

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the receptive field after the windows."""
        return field.windows(self.number, self.number)


class _Enlarging(_TorchLayer):
    """A layer whose output pixel n depends only on input pixel ⌊n / S⌋, where S is ``number``."""

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the field of input pixel ⌊n / S⌋ for every output pixel n."""
        return field.through(lambda n: n // self.number, factor=self.number)


@register
class Pool(_Windows):
    """Maximum of each window of S×S pixels, with stride S."""

    name = "pool"
    help = "maximum of each window, 2×2; the stride is the side of the window"
    takes = Number(meaning="window", min=2, default=2, optional=True)
    torch_module = "MaxPool2d"

    def shape(self, shape: Shape) -> Shape:
        """Return (C, ⌊H / S⌋, ⌊W / S⌋)."""
        channels, height, width = shape
        size = self.number
        if min(height, width) < size:
            raise MisfitError(
                f"a window of {size}×{size} pixels is larger than {format_shape(shape)}"
            )
        return channels, height // size, width // size

    def remainder(self, shape: Shape) -> int:
        """Return the number of pixels at the end of a side that no window reads."""
        return max(side % self.number for side in shape[1:])

    def size_formula(self, shape: Shape) -> str:
        """Return the formula of the output's size, with its numbers."""
        return f"(⌊({shape[2]} − {self.number} + 2·0)/{self.number}⌋ + 1)² · {shape[0]}"


@register
class AvgPool(Pool):
    """Mean of each window of S×S pixels, with stride S."""

    name = "avgpool"
    help = "mean of each window, 2×2; the stride is the side of the window"
    torch_module = "AvgPool2d"


@register
class Up(_Enlarging):
    """Nearest-neighbor upsampling."""

    name = "up"
    help = "nearest-neighbor upsampling, 2×"
    takes = Number(meaning="factor", min=2, default=2, optional=True)
    mode: ClassVar[str] = "nearest"

    def shape(self, shape: Shape) -> Shape:
        """Return (C, S·H, S·W)."""
        channels, height, width = shape
        return channels, height * self.number, width * self.number

    def size_formula(self, shape: Shape) -> str:
        """Return the formula of the output's size, with its numbers."""
        return f"({shape[2]}·{self.number})² · {shape[0]}"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002
        """Return a new ``Upsample`` module with ``mode``."""
        from torch import nn

        return nn.Upsample(scale_factor=self.number, mode=self.mode)


@register
class UpBilinear(Up):
    """Bilinear upsampling with half-pixel centers."""

    name = "upbilinear"
    help = "bilinear upsampling, 2×, half-pixel centers"
    mode = "bilinear"

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the field of the two input pixels between which an output pixel lies.

        The center of output pixel n is at (n + ½) / S − ½ in pixels of the input.
        """
        factor = self.number
        return field.through(
            lambda n: (2 * n + 1 - factor) // (2 * factor),
            lambda n: -((factor - 1 - 2 * n) // (2 * factor)),
            factor=factor,
        )


@register
class Shuffle(_Enlarging):
    """Pixel shuffle: S² channels become S×S pixels."""

    name = "shuffle"
    help = "pixel shuffle: (S²·C, H, W) → (C, S·H, S·W)"
    takes = Number(meaning="factor", min=2)
    torch_module = "PixelShuffle"

    def shape(self, shape: Shape) -> Shape:
        """Return (C / S², S·H, S·W)."""
        channels, height, width = shape
        factor = self.number
        require_multiple(channels, factor**2, f"{factor}² = {factor**2}")
        return channels // factor**2, height * factor, width * factor

    def input_channels(self, outputs: int) -> int:
        """Return S² · ``outputs``."""
        return outputs * self.number**2

    def size_formula(self, shape: Shape) -> str:
        """Return the formula of the output's size, with its numbers."""
        return f"({shape[2]}·{self.number})², channels / {self.number}²"


@register
class Unshuffle(_Windows):
    """Inverse pixel shuffle: S×S pixels become S² channels."""

    name = "unshuffle"
    help = "inverse pixel shuffle: (C, S·H, S·W) → (S²·C, H, W)"
    takes = Number(meaning="factor", min=2)
    torch_module = "PixelUnshuffle"

    def shape(self, shape: Shape) -> Shape:
        """Return (S²·C, H / S, W / S)."""
        channels, height, width = shape
        factor = self.number
        if height % factor or width % factor:
            raise MisfitError(
                f"the sides of {height}×{width} pixels are not both multiples of {factor}"
            )
        return channels * factor**2, height // factor, width // factor

    def input_channels(self, outputs: int) -> int:
        """Return ``outputs`` / S², where ``outputs`` must be a multiple of S²."""
        if outputs % self.number**2:
            raise MisfitError(
                f"its output needs {outputs} channels, which is not a multiple of"
                f" {self.number}² = {self.number**2}"
            )
        return outputs // self.number**2

    def size_formula(self, shape: Shape) -> str:
        """Return the formula of the output's size, with its numbers."""
        return f"({shape[2]} / {self.number})², channels · {self.number}²"
