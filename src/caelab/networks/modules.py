"""The layers as PyTorch modules, which map images (N, C, H, W) to images.

                  ┌─ mean over H×W ─ linear ──────────────────────────── + ─►   context
    x (N,C,H,W) ──┼─ mean over H×W ─ linear ─ ReLU ─ linear ─ sigmoid ── × ─►   excite
                  └─ queries, keys, values ─ softmax(qkᵀ/√d) v ─ linear ────►   attend

Most layers with weights are a ``ParametricLayer``, which computes activation(norm(map(x))). Its
parameters are left uninitialized: ``initialize`` fills them from an explicit generator.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import prod, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caelab.kernels.convolution import convolve, winograd_is_faster


@dataclass(frozen=True)
class Activation:
    """An activation function and its gain.

    Attributes:
        function: The function, which is applied to each number of a tensor of any shape.
        gain: Factor for the initial weights before the function, so that the variance stays about
            the same from layer to layer (He et al. 2015, arXiv 1502.01852).
    """

    function: Callable[[Tensor], Tensor]
    gain: float


ACTIVATIONS = {
    "none": Activation(lambda x: x, 1.0),
    "relu": Activation(F.relu, sqrt(2)),
    "leaky": Activation(F.leaky_relu, sqrt(2 / (1 + 0.01**2))),
    # As usual, smooth rectifiers get the gain of ReLU; their own gain has no closed form.
    "elu": Activation(F.elu, sqrt(2)),
    "gelu": Activation(F.gelu, sqrt(2)),
    "silu": Activation(F.silu, sqrt(2)),
    "mish": Activation(F.mish, sqrt(2)),
    "softplus": Activation(F.softplus, sqrt(2)),
    "tanh": Activation(torch.tanh, 5 / 3),
    "sigmoid": Activation(torch.sigmoid, 1.0),
}
"""Name in the network language → activation."""


class ParametricLayer(nn.Module):
    """A linear map, then batch normalization that can be folded into it, then an activation.

    Attributes:
        weight: Weights of the map; a subclass states their shape.
        bias: Biases of the map, (C',), or (C'·H'·W',) in ``Dense``; ``None`` if there is a
            ``norm``, which has its own biases.
        norm: Batch normalization of the C' channels, or ``None``.
        activation: Name of the activation, which ``build`` sets.
        channels: Number of output channels C'.
        channel_axis: Axis of ``weight`` for the output channels.

    Args:
        weight: Sizes of the axes of the weights.
    """

    channel_axis = 0
    activation = "none"
    bias: nn.Parameter | None
    norm: nn.BatchNorm2d | None

    def __init__(self, *weight: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(weight))
        self.channels = weight[self.channel_axis]
        self.bias = nn.Parameter(torch.empty(self.channels))
        self.norm = None

    @property
    def fan_in(self) -> float:
        """Number of products that are summed for one output number."""
        return self.weight[0].numel()

    def forward(self, x: Tensor) -> Tensor:
        """Compute map, norm and activation, (N, C, H, W) → (N, C', H', W')."""
        x = self.map(x)
        if self.norm is not None:
            x = self.norm(x)
        return ACTIVATIONS[self.activation].function(x)

    def map(self, x: Tensor) -> Tensor:
        """Compute only the linear map, (N, C, H, W) → (N, C', H', W')."""
        raise NotImplementedError

    def add_norm(self) -> None:
        """Put batch normalization between the map and the activation, in place of the biases."""
        # The norm subtracts the mean, and with it any bias of the map.
        self.norm = nn.BatchNorm2d(self.channels)
        self.bias = None

    @torch.no_grad()
    def fold_norm(self) -> None:
        """Fold the norm into the weights; in ``eval`` mode, outputs change only by rounding."""
        if (norm := self.norm) is None:
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        # In float64, so that each weight is rounded only once. On the CPU, because Apple's GPUs
        # have no float64.
        weight, bias, mean, variance = (
            each.cpu().double()
            for each in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        )
        scale = weight / (variance + norm.eps).sqrt()
        self.rescale(scale, bias - mean * scale)
        self.norm = None

    @torch.no_grad()
    def rescale(self, scale: Tensor, shift: Tensor) -> None:
        """Multiply the weights by ``scale`` and set the biases to ``shift``, (C',) each.

        Each number of ``scale`` and ``shift`` belongs to one output channel.
        """
        # A dense layer has several rows of weights for each output channel.
        repeats = self.weight.shape[self.channel_axis] // self.channels
        along = [1] * self.weight.dim()
        along[self.channel_axis] = -1
        # `scale` may be float64 and on the CPU; only the copy into `weight` rounds.
        weight = self.weight.to(scale.device)
        self.weight.copy_(weight * scale.repeat_interleave(repeats).view(along))
        self.bias = nn.Parameter(shift.repeat_interleave(repeats).to(self.weight))

    def extra_repr(self) -> str:
        """Return the weights' shape and the activation, for ``print(module)``."""
        return f"{tuple(self.weight.shape)}, activation={self.activation}"


class Convolution(ParametricLayer):
    """``conv``: weight (C', C, K, K).

    Args:
        inputs: Number of input channels C.
        outputs: Number of output channels C'.
        kernel: Side K of the kernel.
        stride: Distance in pixels between neighboring windows.
        dilation: Distance in pixels between neighboring elements of the kernel.
        padding: Number of zeros before and after the input, the same for height and width.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        padding: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(outputs, inputs, kernel, kernel)
        self.stride, self.dilation, self.padding = stride, dilation, padding

    def map(self, x: Tensor) -> Tensor:
        """Convolve, (N, C, H, W) → (N, C', H', W')."""
        before, after = self.padding
        if before != after:
            # PyTorch adds as many zeros before as after; an even kernel may need one more after.
            x, before = F.pad(x, (before, after, before, after)), 0
        if self.weight.shape[-1] == 1 and self.stride > 1:
            # A 1×1 kernel reads only every stride-th pixel, so these are selected before. With a
            # stride, the gradient in oneDNN writes outside its memory on processors that have AVX2
            # and not AVX-512.
            x = F.pad(x, (before,) * 4) if before else x
            return convolve(x[:, :, :: self.stride, :: self.stride], self.weight, self.bias, 0)
        # `convolve` is only for stride 1 and dilation 1.
        if self.stride == self.dilation == 1:
            return convolve(x, self.weight, self.bias, before)
        return F.conv2d(x, self.weight, self.bias, self.stride, before, self.dilation)


class TransposedConvolution(ParametricLayer):
    """``deconv``: weight (C, C', K, K), as in PyTorch.

    Args:
        inputs: Number of input channels C.
        outputs: Number of output channels C'.
        kernel: Side K of the kernel.
        stride: Distance in output pixels between the kernels of neighboring input pixels.
        padding: Number of pixels that are cut off at every border of the output.
        output_padding: Number of pixels that are added at the right and the lower border.
    """

    channel_axis = 1

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        stride: int,
        padding: int,
        output_padding: int,
    ) -> None:
        super().__init__(inputs, outputs, kernel, kernel)
        self.stride, self.padding, self.output_padding = stride, padding, output_padding

    @property
    def fan_in(self) -> float:
        """Mean number of products that are summed for one output number."""
        inputs, _, kernel, _ = self.weight.shape
        # Only every stride-th element of the kernel contributes to an output pixel.
        return inputs * max(1.0, kernel / self.stride) ** 2

    def map(self, x: Tensor) -> Tensor:
        """Convolve transposed, (N, C, H, W) → (N, C', H', W')."""
        return F.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding
        )


class UpConvolution(ParametricLayer):
    """``up conv`` as one layer, which usually needs no upsampled tensor.

    After upsampling by S, a convolution multiplies each pixel of the original image by a sum of
    neighboring weights. Which weights are summed depends on the phase of the output pixel, which is
    its position modulo S. The sums are a fixed linear map of the weights (C', C, K, K), so
    gradients flow through them. There are three ways to use them; the fastest one is chosen
    (measured on a CPU with channels last, forward and backward):

    - With few output channels, or in half precision, one convolution at low resolution computes all
      S² phases as channels, which are then moved to their pixels.
    - Where Winograd's filtering is faster, the image is upsampled and then convolved. For K = 3 and
      S = 2, this takes 9 multiplications for each input pixel and pair of channels.
    - Otherwise, the layer is one transposed convolution of stride S with K + S − 1 weights a side.
      For K = 3 and S = 2, this takes 16 multiplications, compared with 36 for upsampling and a
      usual convolution.

    Attributes:
        phases: Matrix from the K² weights to the sums for the first way.
        spread: Matrix from the K² weights to the sums for the third way.

    Args:
        inputs: Number of input channels C.
        outputs: Number of output channels C'.
        kernel: Side K of the kernel, an odd number.
        factor: Factor S by which the image is enlarged.
    """

    phases: Tensor
    spread: Tensor

    def __init__(self, inputs: int, outputs: int, *, kernel: int, factor: int) -> None:
        super().__init__(outputs, inputs, kernel, kernel)
        self.kernel, self.factor = kernel, factor
        # With few output channels, a convolution leaves the processor's vectors half empty; S²
        # phases fill them.
        self.few = outputs <= 8
        reach = kernel // 2
        self.margin = -(-reach // factor)
        # For one axis of the image: 1 if a weight (last index) is part of a sum (other indices).
        phases = torch.zeros(factor, 2 * self.margin + 1, kernel)
        spread = torch.zeros(kernel + factor - 1, kernel)
        for tap, phase in itertools.product(range(kernel), range(factor)):
            phases[phase, (phase + tap - reach) // factor + self.margin, tap] = 1
            spread[kernel - 1 - tap + phase, tap] = 1
        # For both axes: matrices of shape (K², number of sums). They are constant, so the state
        # dict does not contain them.
        self.register_buffer(
            "phases", torch.einsum("raj,sbk->jkrsab", phases, phases).reshape(kernel**2, -1), False
        )
        self.register_buffer(
            "spread", torch.einsum("aj,bk->jkab", spread, spread).reshape(kernel**2, -1), False
        )

    def map(self, x: Tensor) -> Tensor:
        """Upsample and convolve in the fastest way, (N, C, H, W) → (N, C', S·H, S·W)."""
        if self.few or x.dtype in (torch.bfloat16, torch.float16):
            return self.convolve_phases(x)
        # Winograd's filtering saves enough multiplications to be worth a larger tensor.
        if winograd_is_faster(x, self.weight, self.kernel // 2):
            enlarged = F.interpolate(x, scale_factor=self.factor)
            return convolve(enlarged, self.weight, self.bias, self.kernel // 2)
        return self.convolve_transposed(x)

    def convolve_phases(self, x: Tensor) -> Tensor:
        """Compute all phases by one convolution, (N, C, H, W) → (N, C', S·H, S·W)."""
        outputs, inputs, _, _ = self.weight.shape
        count, _, height, width = x.shape
        factor, side = self.factor, 2 * self.margin + 1
        sums = (self.weight.flatten(2) @ self.phases).view(outputs, inputs, factor**2, side, side)
        kernel = sums.permute(2, 0, 1, 3, 4).reshape(factor**2 * outputs, inputs, side, side)
        # The S²·C' channels of y are ordered by phase, and within a phase by output channel.
        bias = None if self.bias is None else self.bias.repeat(factor**2)
        y = convolve(x, kernel, bias, self.margin)
        # These steps copy the tensor once. F.pixel_shuffle would need channels ordered by output
        # channel and then by phase, and is slower with channels last.
        y = y.permute(0, 2, 3, 1).reshape(count, height, width, factor, factor, outputs)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(count, factor * height, factor * width, outputs)
        return y.permute(0, 3, 1, 2)

    def convolve_transposed(self, x: Tensor) -> Tensor:
        """Compute one transposed convolution, (N, C, H, W) → (N, C', S·H, S·W)."""
        # `up` turns a pixel into S pixels a side, and `conv` spreads each of the S over K pixels.
        side = self.kernel + self.factor - 1
        sums = (self.weight.flatten(2) @ self.spread).view(*self.weight.shape[:2], side, side)
        return F.conv_transpose2d(x, sums.transpose(0, 1), self.bias, self.factor, self.kernel // 2)


class Dense(ParametricLayer):
    """``dense``: a fully connected layer whose output is an image; weight (C'·H'·W', C·H·W).

    Args:
        inputs: Number of input values C·H·W.
        shape: Shape (C', H', W') of the output.
    """

    def __init__(self, inputs: int, shape: tuple[int, int, int]) -> None:
        super().__init__(prod(shape), inputs)
        self.shape, self.channels = shape, shape[0]

    def map(self, x: Tensor) -> Tensor:
        """Multiply by the weights, (N, C, H, W) → (N, C', H', W')."""
        return F.linear(x.flatten(1), self.weight, self.bias).view(-1, *self.shape)


class ActivationLayer(nn.Module):
    """Any module with an activation after it.

    Attributes:
        function: The module. In the state dict, the names of its parameters begin with
            ``function.``.
        activation: Name of the activation, which ``build`` sets.
    """

    activation = "none"

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Compute module and activation, (N, C, H, W) → (N, C', H', W')."""
        return ACTIVATIONS[self.activation].function(self.function(x))

    def extra_repr(self) -> str:
        """Return the activation, for ``print(module)``."""
        return f"activation={self.activation}"


class GroupNorm(nn.GroupNorm):
    """``norm``, computed in float32 even in half precision: more exact, and faster on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize, (N, C, H, W) → (N, C, H, W)."""
        # Half precision becomes float32, but float64 stays, because tests compare with it.
        dtype = torch.promote_types(x.dtype, torch.float32)
        y = F.group_norm(
            x.to(dtype), self.num_groups, self.weight.to(dtype), self.bias.to(dtype), self.eps
        )
        return y.to(x.dtype)


class Classifier(nn.Module):
    """``classify``: returns x; ``logits`` computes class logits W·mean(x) + b.

    The mean is taken over all positions. In training, the cross-entropy of the logits with known
    labels makes the network represent objects and not only textures, as in the joint training of a
    colorizer and a classifier by Iizuka et al. (2016, ACM TOG 35(4) 110). A trained network needs
    neither the labels nor W and b.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = Dense(channels, (classes, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x, (N, C, H, W)."""
        return x

    def logits(self, x: Tensor) -> Tensor:
        """Return the class logits, (N, C, H, W) → (N, classes)."""
        logits: Tensor = self.linear(x.mean((2, 3), keepdim=True))
        return logits.flatten(1)


class GlobalContext(nn.Module):
    """``context``: x + W·mean(x) + b, with the mean over all positions.

    This equals a 1×1 convolution of x concatenated with its mean, in which the weights of x are the
    identity. ParseNet (Liu et al. 2015, arXiv 1506.04579) and the colorizer of Iizuka et al. (2016,
    ACM TOG 35(4) 110) combine global and local features in this way.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = Dense(channels, (channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Add the linear map of the means, (N, C, H, W) → (N, C, H, W)."""
        y: Tensor = self.linear(x.mean((2, 3), keepdim=True))
        return x + y


class SqueezeExcitation(nn.Module):
    """``excite``: x · σ(W₂ ReLU(W₁·mean(x) + b₁) + b₂), a gate for every channel.

    There are C / ``reduction`` hidden units; ``reduction`` must divide C (Hu et al. 2018, arXiv
    1709.01507). σ is the sigmoid.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = channels // reduction
        self.squeeze = Dense(channels, (hidden, 1, 1))
        self.excite = Dense(hidden, (channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each channel by its gate, (N, C, H, W) → (N, C, H, W)."""
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))


class SelfAttention(nn.Module):
    """``attend``: multi-head self-attention over the H·W positions.

    The source is Vaswani et al. 2017, arXiv 1706.03762. Each head has C / ``heads`` channels;
    ``heads`` must divide C. Positions are not encoded, because the zero padding of convolutions
    already makes them known. The layer does not normalize x and does not add x to the output: write
    ``(norm attend)`` for both, as in diffusion models (Ho et al. 2020, arXiv 2006.11239).
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projections = Convolution(channels, 3 * channels, kernel=1)
        self.output = Convolution(channels, channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Attend to all positions, (N, C, H, W) → (N, C, H, W)."""
        count, channels, height, width = x.shape
        # Queries, keys and values have shape (N, heads, H·W, C / heads) each. With channels last in
        # memory, they are views, not copies.
        projected = self.projections(x).permute(0, 2, 3, 1)
        projected = projected.reshape(count, height * width, 3, self.heads, channels // self.heads)
        queries, keys, values = projected.permute(2, 0, 3, 1, 4).unbind()
        # If possible, PyTorch's function does not store the matrix of all pairs of positions.
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        mixed = mixed.transpose(1, 2).reshape(count, height, width, channels).permute(0, 3, 1, 2)
        y: Tensor = self.output(mixed)
        return y


_GENERATOR: ContextVar[torch.Generator | None] = ContextVar("generator", default=None)


@contextmanager
def dropout_generator(generator: torch.Generator) -> Iterator[None]:
    """Make every :class:`Dropout` of this thread draw from ``generator`` within the block.

    Threads that train at the same time need different generators: with a shared one, the numbers
    would depend on the order in which the threads draw. The backward pass may run outside the
    block, because it draws no numbers.
    """
    token = _GENERATOR.set(generator)
    try:
        yield
    finally:
        _GENERATOR.reset(token)


class Dropout(nn.Module):
    """``dropout``: in training, each channel of an image becomes 0 with probability p.

    The other channels are divided by 1 − p. In evaluation the layer is the identity. Whole channels
    are dropped, not single numbers, because neighbors in a feature map are so similar that they
    could replace each other (Tompson et al. 2015, arXiv 1411.4280). After ``dense64``, where a
    channel is one number, this is the dropout of Srivastava et al. (2014).

    Random numbers come from the generator of :func:`dropout_generator`. Outside its block, they
    come from PyTorch's global generator. A CPU generator gives the same numbers on every device.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Drop channels in training, (N, C, H, W) → (N, C, H, W)."""
        if not self.training or self.probability == 0:
            return x
        generator = _GENERATOR.get()
        device = x.device if generator is None else generator.device
        drawn = torch.rand(*x.shape[:2], 1, 1, generator=generator, device=device)
        # The numbers are drawn on the generator's device and then moved, so that the same channels
        # are dropped on every device.
        kept = (drawn >= self.probability).to(x.device, x.dtype, non_blocking=True)
        return x * (kept / (1 - self.probability))

    def extra_repr(self) -> str:
        """Return the probability, for ``print(module)``."""
        return f"probability={self.probability}"


def parametric_layers(module: nn.Module) -> list[ParametricLayer]:
    """Return the layers with weights inside ``module``, in the order of the text."""
    return [layer for layer in module.modules() if isinstance(layer, ParametricLayer)]
