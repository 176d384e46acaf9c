"""Layers with weights for each pair of input and output channel: conv, deconv and dense."""

from typing import TYPE_CHECKING

from caelab.networks.layers.base import (
    LayerKind,
    MisfitError,
    Number,
    ReceptiveField,
    Shape,
    format_shape,
    size_of,
)
from caelab.registry import register

if TYPE_CHECKING:
    from torch import nn


@register
class Conv(LayerKind):
    """Convolution: 3×3, stride 1 and padding "same", unless option letters change that."""

    name = "conv"
    help = "convolution, 3×3; letters: kernel, stride, padding (v: none), dilation"
    takes = Number(meaning="channels")
    letters = "ksvpd"
    weighted = True

    @property
    def extent(self) -> int:
        """Width of the kernel in pixels, dilation included."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def margins(self) -> tuple[int, int]:
        """Zeros before and after the input, the same for height and width.

        "Same" keeps the size at stride 1: (K − 1)·D zeros in total, an odd one after the image. At
        larger strides it puts ⌊(K − 1)·D / 2⌋ zeros on either side, so that a side that is a
        multiple of the stride is divided by it.
        """
        if self.padding is not None:
            return self.padding, self.padding
        # As in TensorFlow, an odd zero goes after the image.
        total = self.extent - 1
        before = total // 2
        return before, total - before if self.stride == 1 else before

    def shape(self, shape: Shape) -> Shape:
        """Return the shape after it: the side ⌊(W − K + 2P) / S⌋ + 1, K = (k − 1)·D + 1."""
        _, height, width = shape
        margin = sum(self.margins)
        if min(height, width) + margin < self.extent:
            raise MisfitError(
                f"a kernel {self.extent} wide on {format_shape(shape)} with {margin} of padding"
            )
        free = margin - self.extent
        return self.number, (height + free) // self.stride + 1, (width + free) // self.stride + 1

    def weights(self, shape: Shape) -> int:
        """Return C'·(C·K² + 1)."""
        return self.number * (shape[0] * self.kernel**2 + 1)

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return H'·W'·C'·C·K²."""
        return size_of(self.shape(shape)) * shape[0] * self.kernel**2

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the receptive field after the convolution."""
        return field.windows(self.extent, self.stride, padding=self.margins[0])

    def remainder(self, shape: Shape) -> int:
        """Return the remainder of a side divided by the stride, for padding "same"."""
        if self.padding is not None:
            return 0
        return max(-side % self.stride for side in shape[1:])

    def size_formula(self, shape: Shape) -> str:
        """Return the formula with its numbers."""
        first, second = self.margins
        zeros = f"2·{first}" if first == second else f"{first} + {second}"
        side = f"({shape[2]} − {self.extent} + {zeros})/{self.stride} + 1"
        return f"({side})² · {self.number}"

    def absorb(self, previous: LayerKind) -> LayerKind | None:
        """Return ``up conv`` as one convolution at low resolution, where the padding is "same"."""
        if (
            previous.name == "up"
            and previous.activation in (None, "none")
            and (self.stride, self.dilation) == (1, 1)
            # "Same" for an even kernel is one pixel more after than before.
            and self.kernel % 2
            and self.margins == (self.kernel // 2,) * 2
        ):
            return UpConv(
                number=self.number,
                kernel=self.kernel,
                stride=previous.number,
                activation=self.activation,
            )
        return None

    def module(self, shape: Shape) -> "nn.Module":
        """Return a ``Convolution``."""
        from caelab.networks.modules import Convolution

        return Convolution(
            shape[0],
            self.number,
            kernel=self.kernel,
            stride=self.stride,
            dilation=self.dilation,
            padding=self.margins,
        )


class UpConv(Conv):
    """``up conv`` as one layer, which has no name in texts.

    One kernel of K + S − 1 weights a side computes both. Its ``stride`` is the factor of ``up``.
    """

    name = "up conv"
    letters = ""

    def shape(self, shape: Shape) -> Shape:
        """Return (C', S·H, S·W)."""
        _, height, width = shape
        return self.number, height * self.stride, width * self.stride

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return those of the transposed convolution, for an input of ``shape`` before ``up``."""
        # The layers as they are written take K² products for every output pixel.
        literal = super().multiply_accumulates(shape)
        # The rewritten layer takes (K + S − 1)² products for every pixel before `up`, of which
        # there are S² times fewer.
        rewritten = literal * (self.kernel + self.stride - 1) ** 2
        return min(literal, rewritten // (self.kernel * self.stride) ** 2)

    def module(self, shape: Shape) -> "nn.Module":
        """Return an ``UpConvolution``."""
        from caelab.networks.modules import UpConvolution

        return UpConvolution(shape[0], self.number, kernel=self.kernel, factor=self.stride)


@register
class Deconv(LayerKind):
    """Transposed convolution."""

    name = "deconv"
    help = "transposed convolution, 3×3; letters: kernel, stride, padding (v: none)"
    takes = Number(meaning="channels")
    letters = "ksvp"
    weighted = True

    @property
    def paddings(self) -> tuple[int, int]:
        """Padding P and output padding O: the output has (W − 1)·S + K − 2P + O pixels a side.

        With "same" that is W·S: P = ⌈(K − S) / 2⌉ (not below 0), O = S − K + 2P. A number, or
        ``v``, is P, with O = 0.

        Raises:
            MisfitError: Stride 1 with an even kernel has no symmetric "same".
        """
        if self.padding is not None:
            return self.padding, 0
        padding = max(0, -((self.stride - self.kernel) // 2))
        output_padding = self.stride - self.kernel + 2 * padding
        # PyTorch's output padding must be smaller than the stride.
        if output_padding and self.stride == 1:
            raise MisfitError(
                "deconv of stride 1 and an even kernel: use an odd kernel, or write the padding (v"
                " or p)"
            )
        return padding, output_padding

    def shape(self, shape: Shape) -> Shape:
        """Return the shape after it: the side (W − 1)·S + K − 2P + O."""
        padding, extra = self.paddings
        more = self.kernel - 2 * padding + extra
        height, width = ((side - 1) * self.stride + more for side in shape[1:])
        if min(height, width) < 1:
            raise MisfitError(f"a padding of {padding} leaves nothing of {format_shape(shape)}")
        return self.number, height, width

    def weights(self, shape: Shape) -> int:
        """Return C'·(C·K² + 1)."""
        return self.number * (shape[0] * self.kernel**2 + 1)

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return C·H·W·C'·K²."""
        return size_of(shape) * self.number * self.kernel**2

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the field of the input pixels whose kernels reach the output pixel."""
        padding, _ = self.paddings
        # If the stride is larger than the kernel, the first pixel comes after the last for outputs
        # in the gaps: they depend on no input.
        return field.through(
            lambda n: -((self.kernel - 1 - n - padding) // self.stride),
            lambda n: (n + padding) // self.stride,
            factor=self.stride,
        )

    def size_formula(self, shape: Shape) -> str:
        """Return the formula with its numbers."""
        padding, extra = self.paddings
        side = f"({shape[2]} − 1)·{self.stride} + {self.kernel} − 2·{padding}"
        return f"({side}{f' + {extra}' if extra else ''})² · {self.number}"

    def module(self, shape: Shape) -> "nn.Module":
        """Return a ``TransposedConvolution``."""
        from caelab.networks.modules import TransposedConvolution

        padding, output_padding = self.paddings
        return TransposedConvolution(
            shape[0],
            self.number,
            kernel=self.kernel,
            stride=self.stride,
            padding=padding,
            output_padding=output_padding,
        )


@register
class Dense(LayerKind):
    """Fully connected layer: ``dense64`` gives shape (64, 1, 1), ``dense16h8w8`` (16, 8, 8)."""

    name = "dense"
    help = "fully connected layer to C·h·w numbers; letters: height, width of the output"
    takes = Number(meaning="channels")
    letters = "hw"
    weighted = True

    def shape(self, shape: Shape) -> Shape:  # noqa: ARG002
        """Return (C', h, w)."""
        return self.number, self.height, self.width

    def weights(self, shape: Shape) -> int:
        """Return C'·h·w·(C·H·W + 1)."""
        return size_of(self.shape(shape)) * (size_of(shape) + 1)

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return C'·h·w·C·H·W."""
        return size_of(self.shape(shape)) * size_of(shape)

    def receptive_field(self, field: ReceptiveField) -> None:
        """Return ``None``: the whole image."""

    def size_formula(self, shape: Shape) -> str:
        """Return the formula with its numbers."""
        return f"every one of {size_of(shape):,} numbers into each"

    def module(self, shape: Shape) -> "nn.Module":
        """Return a ``Dense`` module."""
        from caelab.networks import modules

        return modules.Dense(size_of(shape), self.shape(shape))
