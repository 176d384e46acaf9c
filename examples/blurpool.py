"""A layer as a plug-in: ``blurpool`` blurs before it subsamples, so that shifts matter less.

See Zhang 2019, "Making convolutional networks shift-invariant again", arXiv 1904.11486. To try it:

    CAELAB_PLUGINS=examples/blurpool.py caelab describe 'conv8 blurpool conv16 | up conv3'
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import caelab
from caelab.networks.layers.base import MisfitError, Number, ReceptiveField, Shape


@caelab.register
class BlurPool(caelab.LayerKind):
    """A binomial blur of 3×3 pixels, of which every S-th pixel is kept."""

    name = "blurpool"
    help = "blurs by [1 2 1]/4 and takes every second pixel, or every S-th"
    takes = Number(meaning="stride", min=2, default=2, optional=True)

    def shape(self, shape: Shape) -> Shape:
        """Return (C, ⌈H / S⌉, ⌈W / S⌉)."""
        channels, height, width = shape
        if min(height, width) < 2:
            raise MisfitError(f"{height}×{width} pixels have no neighbors to reflect")
        return channels, -(-height // self.number), -(-width // self.number)

    def multiply_accumulates(self, shape: Shape) -> int:
        """Return nine per channel and output pixel, for the 3×3 blur."""
        channels, height, width = self.shape(shape)
        return 9 * channels * height * width

    def receptive_field(self, field: ReceptiveField) -> ReceptiveField:
        """Return the receptive field after windows of three pixels with a step of S."""
        return field.windows(3, self.number, padding=1)

    def module(self, shape: Shape) -> nn.Module:
        """Return a module that computes the blur; its kernel is constant and not trained."""
        return _Blur(shape[0], self.number)


class _Blur(nn.Module):
    kernel: Tensor

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        binomial = torch.tensor([0.25, 0.5, 0.25])
        kernel = torch.outer(binomial, binomial).repeat(channels, 1, 1, 1)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, ⌈H / S⌉, ⌈W / S⌉)."""
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.kernel, stride=self.stride, groups=len(self.kernel))
