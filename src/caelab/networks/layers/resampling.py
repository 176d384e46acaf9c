"""Layers that change the size and have no weights: pooling, upsampling, pixel shuffles."""

from typing import TYPE_CHECKING

from caelab.networks.layers.base import (
    LayerKind,
    MisfitError,
    Number,
    ReceptiveField,
    Shape,
    format_shape,
)
from caelab.registry import register

if TYPE_CHECKING:
    from torch import nn


@register
class Pool(LayerKind):
    """Maximum of each window; the stride is the window."""

    name = "pool"
    help = "maximum of each window, 2×2; the stride is the window"
    takes = Number(meaning="window", min=2, default=2, optional=True)

    def shape(self, shape: Shape) -> Shape:
        """Return (C, ⌊H / S⌋, ⌊W / S⌋)."""
        channels, height, width = shape
        size = self.number
        if min(height, width) < size:
            raise MisfitError(f"a window of {size}×{size} on {format_shape(shape)}")
        return channels, height // size, width // size

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the field after its windows."""
        return field.windows(self.number, self.number)

    def remainder(self, shape: Shape) -> int:
        """Return how many pixels the windows leave out."""
        return max(side % self.number for side in shape[1:])

    def size_formula(self, shape: Shape) -> str:
        """Return the formula with its numbers."""
        return f"(({shape[2]} − {self.number} + 2·0)/{self.number} + 1)² · {shape[0]}"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002
        """Return a ``MaxPool2d``."""
        from torch import nn

        return nn.MaxPool2d(self.number)


@register
class AvgPool(Pool):
    """Mean of each window; the stride is the window."""

    name = "avgpool"
    help = "mean of each window, 2×2; the stride is the window"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002
        """Return an ``AvgPool2d``."""
        from torch import nn

        return nn.AvgPool2d(self.number)


@register
class Up(LayerKind):
    """Nearest-neighbor upsampling."""

    name = "up"
    help = "nearest-neighbor upsampling, 2×"
    takes = Number(meaning="factor", min=2, default=2, optional=True)

    def shape(self, shape: Shape) -> Shape:
        """Return (C, S·H, S·W)."""
        channels, height, width = shape
        return channels, height * self.number, width * self.number

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the field of the one pixel that each output pixel copies."""
        return field.enlarged(self.number, lambda n: n // self.number)

    def merge(self, following: LayerKind) -> LayerKind | None:
        """Return ``up`` and the following layer as one, if that layer knows how."""
        return following.after_up(self.number) if self.activation in (None, "none") else None

    def size_formula(self, shape: Shape) -> str:
        """Return the formula with its numbers."""
        return f"({shape[2]}·{self.number})² · {shape[0]}"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002
        """Return an ``Upsample``."""
        from torch import nn

        return nn.Upsample(scale_factor=self.number, mode="nearest")


@register
class UpBilinear(Up):
    """Bilinear upsampling with half-pixel centers."""

    name = "upbilinear"
    help = "bilinear upsampling, 2×, half-pixel centers"

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the field of the two pixels that each output pixel lies between.

        Output pixel n lies at (n + ½) / S − ½.
        """
        factor = self.number
        return field.enlarged(
            factor,
            lambda n: (2 * n + 1 - factor) // (2 * factor),
            lambda n: -((factor - 1 - 2 * n) // (2 * factor)),
        )

    def merge(self, following: LayerKind) -> None:
        """Return ``None``: interpolation and convolution stay two layers."""

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002
        """Return an ``Upsample``."""
        from torch import nn

        return nn.Upsample(scale_factor=self.number, mode="bilinear")


@register
class Shuffle(LayerKind):
    """Pixel shuffle: S² channels become S×S pixels."""

    name = "shuffle"
    help = "pixel shuffle: (S²·C, H, W) → (C, S·H, S·W)"
    takes = Number(meaning="factor", min=2)

    def shape(self, shape: Shape) -> Shape:
        """Return (C / S², S·H, S·W)."""
        channels, height, width = shape
        factor = self.number
        if channels % factor**2:
            raise MisfitError(f"{channels} channels are not a multiple of {factor}² = {factor**2}")
        return channels // factor**2, height * factor, width * factor

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the field of the one pixel that each output pixel comes from."""
        return field.enlarged(self.number, lambda n: n // self.number)

    def input_channels(self, outputs: int) -> int:
        """Return S²·C."""
        return outputs * self.number**2

    def size_formula(self, shape: Shape) -> str:
        """Return the formula with its numbers."""
        return f"({shape[2]}·{self.number})², channels / {self.number}²"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002
        """Return a ``PixelShuffle``."""
        from torch import nn

        return nn.PixelShuffle(self.number)


@register
class Unshuffle(LayerKind):
    """Inverse pixel shuffle: S×S pixels become S² channels."""

    name = "unshuffle"
    help = "inverse pixel shuffle: (C, S·H, S·W) → (S²·C, H, W)"
    takes = Number(meaning="factor", min=2)

    def shape(self, shape: Shape) -> Shape:
        """Return (S²·C, H / S, W / S)."""
        channels, height, width = shape
        factor = self.number
        if height % factor or width % factor:
            raise MisfitError(f"{height}×{width} pixels are not a multiple of {factor}")
        return channels * factor**2, height // factor, width // factor

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the field of its squares."""
        return field.windows(self.number, self.number)

    def input_channels(self, outputs: int) -> int:
        """Return C / S²."""
        if outputs % self.number**2:
            raise MisfitError(
                f"{outputs} channels are needed after it, which is not a multiple of"
                f" {self.number}² = {self.number**2}"
            )
        return outputs // self.number**2

    def size_formula(self, shape: Shape) -> str:
        """Return the formula with its numbers."""
        return f"({shape[2]} / {self.number})², channels · {self.number}²"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002
        """Return a ``PixelUnshuffle``."""
        from torch import nn

        return nn.PixelUnshuffle(self.number)
