"""The layers as PyTorch modules, which map images (N, C, H, W) to images.

                  ┌─ mean over H×W ─ linear ──────────────────────────── + ─►   context
    x (N,C,H,W) ──┼─ mean over H×W ─ linear ─ ReLU ─ linear ─ sigmoid ── × ─►   excite
                  └─ queries, keys, values ─ softmax(qkᵀ/√d) v ─ linear ────►   attend

Layers with weights share one form, activation(norm(map(x))), in ``ParametricLayer``. Their
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
    """An activation function, which is applied to each number.

    Attributes:
        function: The function of a tensor of any shape.
        gain: Factor of the weights before it that keeps the variance (He et al. 2015, arXiv
            1502.01852).
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
"""The activations of the language, by name."""


class ParametricLayer(nn.Module):
    """A linear map with weights, a norm that can be folded away, and an activation.

    Attributes:
        weight: Weights of the map.
        bias: Biases of the map, (C',); ``None`` if there is a ``norm``, which has its own.
        norm: Batch normalization over the channels, or ``None``.
        activation: Name of the activation, which ``build`` sets.
        channels: Channels C' of the output.
        channel_axis: Axis of ``weight`` for the output channels.

    Args:
        weight: Shape of the weights.
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
        """Number of products that are summed to one output number."""
        return self.weight[0].numel()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
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
        """Fold batch normalization, as in ``eval`` mode, into the weights; exact to rounding."""
        if (norm := self.norm) is None:
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        # In float64, so that folding rounds each weight only once; on the CPU, as Apple's GPUs
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
        """Make the map ``scale · weight(x) + shift``, both (C',), without the old biases."""
        # A dense layer has several rows of weights for each channel.
        repeats = self.weight.shape[self.channel_axis] // self.channels
        along = [1] * self.weight.dim()
        along[self.channel_axis] = -1
        # ``fold_norm`` gives float64 on the CPU; only this copy rounds.
        weight = self.weight.to(scale.device)
        self.weight.copy_(weight * scale.repeat_interleave(repeats).view(along))
        self.bias = nn.Parameter(shift.repeat_interleave(repeats).to(self.weight))

    def extra_repr(self) -> str:
        """Return the weights' shape and the activation, for ``print(module)``."""
        return f"{tuple(self.weight.shape)}, activation={self.activation}"


class Convolution(ParametricLayer):
    """``conv``: weight (C', C, K, K).

    Args:
        inputs: Channels C.
        outputs: Channels C'.
        kernel: Side K of the kernel.
        stride: Pixels from one window to the next.
        dilation: Pixels from one tap to the next.
        padding: Zeros before and after the input, along either side.
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
        """(N, C, H, W) → (N, C', H', W')."""
        before, after = self.padding
        if before != after:
            # PyTorch pads both sides equally; "same" for an even kernel needs one more at the end.
            x, before = F.pad(x, (before, after, before, after)), 0
        if self.weight.shape[-1] == 1 and self.stride > 1:
            # Of these pixels alone a 1×1 kernel is taken. With the stride, oneDNN's gradient writes
            # beyond its memory on processors that have AVX2 and not AVX-512.
            x = F.pad(x, (before,) * 4) if before else x
            return convolve(x[:, :, :: self.stride, :: self.stride], self.weight, self.bias, 0)
        # `convolve` is only for stride 1 and dilation 1.
        if self.stride == self.dilation == 1:
            return convolve(x, self.weight, self.bias, before)
        return F.conv2d(x, self.weight, self.bias, self.stride, before, self.dilation)


class TransposedConvolution(ParametricLayer):
    """``deconv``: weight (C, C', K, K), as in PyTorch.

    Args:
        inputs: Channels C.
        outputs: Channels C'.
        kernel: Side K of the kernel.
        stride: Output pixels for one input pixel.
        padding: Pixels that are cut off at every border of the output.
        output_padding: Pixels that are added at the right and lower border.
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
        """Number of products that are summed to one output number."""
        inputs, _, kernel, _ = self.weight.shape
        # Only every stride-th element of the kernel contributes to an output pixel.
        return inputs * max(1.0, kernel / self.stride) ** 2

    def map(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        return F.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding
        )


class UpConvolution(ParametricLayer):
    """``up conv`` as one layer, which mostly needs no upsampled tensor.

    Upsampling by S and then convolving multiplies each input pixel by a sum of neighboring weights,
    which depends on the output pixel's phase (its position modulo S). These sums are a fixed linear
    map of the weights (C', C, K, K), K odd, so gradients flow. There are three forms; the fastest
    one is taken (measured on a CPU, channels last, forward and backward):

    - few output channels, or half precision: all S² phases as channels of one convolution at low
      resolution, then shuffled into place;
    - where Winograd's filtering is faster, which needs 9 multiplications: upsampled, then
      convolved;
    - else: one transposed convolution of stride S with K + S − 1 weights a side. For K = 3, S = 2
      it takes 16 multiplications instead of 36.

    Args:
        inputs: Channels C.
        outputs: Channels C'.
        kernel: Side K of the kernel, odd.
        factor: Factor S by which the image is enlarged.
    """

    phases: Tensor
    spread: Tensor

    def __init__(self, inputs: int, outputs: int, *, kernel: int, factor: int) -> None:
        super().__init__(outputs, inputs, kernel, kernel)
        self.kernel, self.factor = kernel, factor
        # With few channels a convolution's vectors are half empty; S² phases fill them.
        self.few = outputs <= 8
        reach = kernel // 2
        self.margin = -(-reach // factor)
        # Along one side: 1 where a weight (the last axis) is part of a sum.
        phases = torch.zeros(factor, 2 * self.margin + 1, kernel)
        spread = torch.zeros(kernel + factor - 1, kernel)
        for tap, phase in itertools.product(range(kernel), range(factor)):
            phases[phase, (phase + tap - reach) // factor + self.margin, tap] = 1
            spread[kernel - 1 - tap + phase, tap] = 1
        # Along both sides, as matrices (K², sums). They are constant, so they are not saved.
        self.register_buffer(
            "phases", torch.einsum("raj,sbk->jkrsab", phases, phases).reshape(kernel**2, -1), False
        )
        self.register_buffer(
            "spread", torch.einsum("aj,bk->jkab", spread, spread).reshape(kernel**2, -1), False
        )

    def map(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', S·H, S·W)."""
        if self.few or x.dtype in (torch.bfloat16, torch.float16):
            return self.convolve_phases(x)
        # It takes 9 multiplications instead of the transposed convolution's 16, which is worth a
        # larger tensor.
        if winograd_is_faster(x, self.weight, self.kernel // 2):
            enlarged = F.interpolate(x, scale_factor=self.factor)
            return convolve(enlarged, self.weight, self.bias, self.kernel // 2)
        return self.convolve_transposed(x)

    def convolve_phases(self, x: Tensor) -> Tensor:
        """Convolve once for all phases, (N, C, H, W) → (N, C', S·H, S·W)."""
        outputs, inputs, _, _ = self.weight.shape
        count, _, height, width = x.shape
        factor, side = self.factor, 2 * self.margin + 1
        sums = (self.weight.flatten(2) @ self.phases).view(outputs, inputs, factor**2, side, side)
        kernel = sums.permute(2, 0, 1, 3, 4).reshape(factor**2 * outputs, inputs, side, side)
        # The phase is the outer index of the S²·C' output channels, the channel the inner one.
        bias = None if self.bias is None else self.bias.repeat(factor**2)
        y = convolve(x, kernel, bias, self.margin)
        # This takes one copy. F.pixel_shuffle needs the phases as the innermost axis, and is slower
        # with channels last.
        y = y.permute(0, 2, 3, 1).reshape(count, height, width, factor, factor, outputs)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(count, factor * height, factor * width, outputs)
        return y.permute(0, 3, 1, 2)

    def convolve_transposed(self, x: Tensor) -> Tensor:
        """Convolve once, transposed, (N, C, H, W) → (N, C', S·H, S·W)."""
        # `up` turns a pixel into S pixels a side, and `conv` spreads each of them over K pixels.
        side = self.kernel + self.factor - 1
        sums = (self.weight.flatten(2) @ self.spread).view(*self.weight.shape[:2], side, side)
        return F.conv_transpose2d(x, sums.transpose(0, 1), self.bias, self.factor, self.kernel // 2)


class Dense(ParametricLayer):
    """``dense``: a fully connected layer whose output is an image; weight (C'·H'·W', C·H·W).

    Args:
        inputs: Numbers C·H·W of x.
        shape: (C', H', W') of the output.
    """

    def __init__(self, inputs: int, shape: tuple[int, int, int]) -> None:
        super().__init__(prod(shape), inputs)
        self.shape, self.channels = shape, shape[0]

    def map(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        return F.linear(x.flatten(1), self.weight, self.bias).view(-1, *self.shape)


class ActivationLayer(nn.Module):
    """Any module with an activation after it.

    Attributes:
        function: The module; its parameters' names in the state dict begin with ``function.``.
        activation: Name of the activation, which ``build`` sets.
    """

    activation = "none"

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        return ACTIVATIONS[self.activation].function(self.function(x))

    def extra_repr(self) -> str:
        """Return the activation, for ``print(module)``."""
        return f"activation={self.activation}"


class GroupNorm(nn.GroupNorm):
    """``norm``, computed in float32 even in half precision: more exact, and faster on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        # Half precision becomes float32; float64, which tests compare with, stays.
        dtype = torch.promote_types(x.dtype, torch.float32)
        y = F.group_norm(
            x.to(dtype), self.num_groups, self.weight.to(dtype), self.bias.to(dtype), self.eps
        )
        return y.to(x.dtype)


class Classifier(nn.Module):
    """``classify``: returns x, and gives class logits W·mean(x) + b, the mean over all positions.

    In training, the cross-entropy of known labels makes the network represent objects and not only
    textures, as in the joint training of a colorizer and a classifier by Iizuka et al. (2016, ACM
    TOG 35(4) 110). A trained network needs neither the labels nor W and b.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = Dense(channels, (classes, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x, (N, C, H, W)."""
        return x

    def logits(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, classes)."""
        logits: Tensor = self.linear(x.mean((2, 3), keepdim=True))
        return logits.flatten(1)


class GlobalContext(nn.Module):
    """``context``: x + W·mean(x) + b, with the mean over all positions.

    This is a 1×1 convolution of x concatenated with its mean, with the identity for x: the fusion
    of global features in ParseNet (Liu et al. 2015, arXiv 1506.04579) and in the colorizer of
    Iizuka et al. (2016, ACM TOG 35(4) 110).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = Dense(channels, (channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        y: Tensor = self.linear(x.mean((2, 3), keepdim=True))
        return x + y


class SqueezeExcitation(nn.Module):
    """``excite``: x · σ(W₂ ReLU(W₁·mean(x) + b₁) + b₂), a gate for every channel.

    There are C / ``reduction`` hidden units; ``reduction`` divides C (Hu et al. 2018, arXiv
    1709.01507).
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = channels // reduction
        self.squeeze = Dense(channels, (hidden, 1, 1))
        self.excite = Dense(hidden, (channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))


class SelfAttention(nn.Module):
    """``attend``: multi-head self-attention over the H·W positions.

    Its source is Vaswani et al. 2017, arXiv 1706.03762. Each head has C / ``heads`` channels;
    ``heads`` divides C. Positions are not encoded, because the zero padding of convolutions already
    makes them known. The layer neither normalizes x nor adds it to the output: write ``(norm
    attend)`` for that, as in diffusion models (Ho et al. 2020, arXiv 2006.11239).
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projections = Convolution(channels, 3 * channels, kernel=1)
        self.output = Convolution(channels, channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        count, channels, height, width = x.shape
        # Queries, keys and values, (N, heads, H·W, C / heads) each: views if channels are last.
        projected = self.projections(x).permute(0, 2, 3, 1)
        projected = projected.reshape(count, height * width, 3, self.heads, channels // self.heads)
        queries, keys, values = projected.permute(2, 0, 3, 1, 4).unbind()
        # Where it can, PyTorch's function avoids the matrix of all pairs of positions.
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        mixed = mixed.transpose(1, 2).reshape(count, height, width, channels).permute(0, 3, 1, 2)
        y: Tensor = self.output(mixed)
        return y


_GENERATOR: ContextVar[torch.Generator | None] = ContextVar("generator", default=None)


@contextmanager
def dropout_generator(generator: torch.Generator) -> Iterator[None]:
    """Make every :class:`Dropout` of this thread draw from ``generator`` within the block.

    Threads that train at the same time need different generators: with a shared one, the numbers
    would depend on the order in which threads draw. The backward pass draws nothing.
    """
    token = _GENERATOR.set(generator)
    try:
        yield
    finally:
        _GENERATOR.reset(token)


class Dropout(nn.Module):
    """``dropout``: in training, an image's channel becomes 0 with probability p, else x / (1 − p).

    In evaluation it is the identity. Whole channels are dropped, not single numbers, because
    neighbors in a feature map are so similar that they could replace each other (Tompson et al.
    2015, arXiv 1411.4280). After ``dense64``, where a channel is one number, this is the dropout of
    Srivastava et al. (2014).

    Random numbers come from the generator of :func:`dropout_generator`, otherwise from PyTorch's
    global one. With a CPU generator they are the same on every device.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        if not self.training or self.probability == 0:
            return x
        generator = _GENERATOR.get()
        device = x.device if generator is None else generator.device
        drawn = torch.rand(*x.shape[:2], 1, 1, generator=generator, device=device)
        # Drawn on the generator's device and then moved, so that all devices drop the same
        # channels.
        kept = (drawn >= self.probability).to(x.device, x.dtype, non_blocking=True)
        return x * (kept / (1 - self.probability))

    def extra_repr(self) -> str:
        """Return the probability, for ``print(module)``."""
        return f"probability={self.probability}"


def parametric_layers(module: nn.Module) -> list[ParametricLayer]:
    """Return the layers with weights inside ``module``, in the order of the text."""
    return [layer for layer in module.modules() if isinstance(layer, ParametricLayer)]
