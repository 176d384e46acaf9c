"""Layers with a weight for every pair of input and output channels: conv, deconv and dense."""

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
    help = "convolution, 3×3; letters: kernel, stride, padding (v: no padding), dilation"
    takes = Number(meaning="channels")
    letters = "ksvpd"
    weighted = True

    @property
    def extent(self) -> int:
        """Side of the kernel in pixels, with the gaps of its dilation."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def margins(self) -> tuple[int, int]:
        """Number of zeros before and after the input, the same for height and width.

        For a kernel of k pixels and dilation D, padding "same" adds (k − 1)·D zeros in total at
        stride 1, which keeps the size. If their number is odd, one more zero is after the image
        than before it. At a larger stride S, padding "same" adds ⌊(k − 1)·D / 2⌋ zeros before and
        after, so that a side that is a multiple of S is divided by S.
        """
        if self.padding is not None:
            return self.padding, self.padding
        # As in TensorFlow, the extra zero of an odd number goes after the image.
        total = self.extent - 1
        before = total // 2
        return before, total - before if self.stride == 1 else before

    def shape(self, shape: Shape) -> Shape:
        """Return (C', H', W') with W' = ⌊(W − K + 2P) / S⌋ + 1, K = (k − 1)·D + 1, and H' alike."""
        _, height, width = shape
        margin = sum(self.margins)
        if min(height, width) + margin < self.extent:
            raise MisfitError(
                f"a kernel of {self.extent}×{self.extent} pixels is larger than"
                f" {format_shape(shape)} with {margin} pixels of padding"
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
        """Return by how many pixels a side is short of a multiple of the stride.

        Return 0 if the padding is not "same".
        """
        if self.padding is not None:
            return 0
        return max(-side % self.stride for side in shape[1:])

    def size_formula(self, shape: Shape) -> str:
        """Return the formula of the output's size, with its numbers."""
        first, second = self.margins
        zeros = f"2·{first}" if first == second else f"{first} + {second}"
        side = f"⌊({shape[2]} − {self.extent} + {zeros})/{self.stride}⌋ + 1"
        return f"({side})² · {self.number}"

    def absorb(self, previous: LayerKind) -> LayerKind | None:
        """Return ``up`` and this convolution as one layer; ``None`` if they cannot be merged."""
        if (
            previous.name == "up"
            and previous.activation in (None, "none")
            and (self.stride, self.dilation) == (1, 1)
            # For an even kernel, "same" pads one pixel more after the image than before it.
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
        """Return the ``Convolution`` of this layer for an input of ``shape``."""
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
    """``up`` and a following ``conv`` as one layer, which no text can name.

    A kernel of K + S − 1 weights a side computes both, where S, the factor of ``up``, is stored as
    ``stride``.
    """

    name = "up conv"
    letters = ""

    def shape(self, shape: Shape) -> Shape:
        """Return (C', S·H, S·W)."""
        _, height, width = shape
        return self.number, height * self.stride, width * self.stride

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return the multiply-accumulates of the cheaper way; ``shape`` is the input of ``up``."""
        # Two separate layers take K² products for every output pixel.
        literal = super().multiply_accumulates(shape)
        # One transposed convolution takes (K + S − 1)² products for every input pixel of `up`;
        # there are S² times fewer input pixels than output pixels.
        rewritten = literal * (self.kernel + self.stride - 1) ** 2
        return min(literal, rewritten // (self.kernel * self.stride) ** 2)

    def module(self, shape: Shape) -> "nn.Module":
        """Return the ``UpConvolution`` of this layer for an input of ``shape``."""
        from caelab.networks.modules import UpConvolution

        return UpConvolution(shape[0], self.number, kernel=self.kernel, factor=self.stride)


@register
class Deconv(LayerKind):
    """Transposed convolution: 3×3, stride 1 and padding "same", unless option letters change it."""

    name = "deconv"
    help = "transposed convolution, 3×3; letters: kernel, stride, padding (v: no padding)"
    takes = Number(meaning="channels")
    letters = "ksvp"
    weighted = True

    @property
    def paddings(self) -> tuple[int, int]:
        """Padding P and output padding O, as in PyTorch.

        An output side has (W − 1)·S + K − 2P + O pixels. With padding "same" that is W·S, because P
        is ⌈(K − S) / 2⌉, but not below 0, and O is S − K + 2P. If the text gives the padding, P is
        that number (0 for ``v``), and O is 0.

        Raises:
            MisfitError: The stride is 1 and the kernel even, so that no symmetric padding is
                "same".
        """
        if self.padding is not None:
            return self.padding, 0
        padding = max(0, -((self.stride - self.kernel) // 2))
        output_padding = self.stride - self.kernel + 2 * padding
        # PyTorch's output padding must be smaller than the stride.
        if output_padding and self.stride == 1:
            raise MisfitError(
                'with stride 1, an even kernel has no padding "same": use an odd kernel, or write'
                " the padding (v or p)"
            )
        return padding, output_padding

    def shape(self, shape: Shape) -> Shape:
        """Return (C', H', W') with W' = (W − 1)·S + K − 2P + O, and H' alike."""
        padding, extra = self.paddings
        more = self.kernel - 2 * padding + extra
        height, width = ((side - 1) * self.stride + more for side in shape[1:])
        if min(height, width) < 1:
            raise MisfitError(
                f"a padding of {padding} leaves no output pixels for an input of"
                f" {format_shape(shape)}"
            )
        return self.number, height, width

    def weights(self, shape: Shape) -> int:
        """Return C'·(C·K² + 1)."""
        return self.number * (shape[0] * self.kernel**2 + 1)

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return C·H·W·C'·K²."""
        return size_of(shape) * self.number * self.kernel**2

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the field of all input pixels whose kernels reach an output pixel."""
        padding, _ = self.paddings
        # If the stride is larger than the kernel, some output pixels depend on no input pixel.
        # Their first input pixel comes after their last one.
        return field.through(
            lambda n: -((self.kernel - 1 - n - padding) // self.stride),
            lambda n: (n + padding) // self.stride,
            factor=self.stride,
        )

    def size_formula(self, shape: Shape) -> str:
        """Return the formula of the output's size, with its numbers."""
        padding, extra = self.paddings
        side = f"({shape[2]} − 1)·{self.stride} + {self.kernel} − 2·{padding}"
        return f"({side}{f' + {extra}' if extra else ''})² · {self.number}"

    def module(self, shape: Shape) -> "nn.Module":
        """Return the ``TransposedConvolution`` of this layer for an input of ``shape``."""
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
        """Return words instead of a formula, with the number of inputs of each output."""
        return f"each number from all {size_of(shape):,} inputs"

    def module(self, shape: Shape) -> "nn.Module":
        """Return the ``Dense`` module of this layer for an input of ``shape``."""
        from caelab.networks import modules

        return modules.Dense(size_of(shape), self.shape(shape))
