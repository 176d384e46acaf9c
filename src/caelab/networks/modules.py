"""The layers as torch modules: images (N, C, H, W) in, images out.

Layers with weights share one form, activation(norm(map(x))), in ``ParametricLayer``. Their parameters are
left uninitialised: ``initialise`` fills them from an explicit generator.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caelab.kernels import winograd
from caelab.kernels.convolution import convolve


@dataclass(frozen=True)
class Activation:
    """A function applied number by number, and the gain that keeps the variance through it (He et
    al. 2015).
    """

    function: Callable[[Tensor], Tensor]
    gain: float


ACTIVATIONS = {
    "none": Activation(lambda x: x, 1.0),
    "relu": Activation(F.relu, sqrt(2)),
    "leaky": Activation(F.leaky_relu, sqrt(2 / (1 + 0.01**2))),
    # The smooth rectifiers are treated as rectifiers, as usual.
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
    """A linear map with weights, then (in training) a norm that can be folded away, then an
    activation.

    Attributes:
        weight: The map's weights.
        bias: Its biases, one a channel; ``None`` while ``norm`` is there, which has its own.
        norm: Batch normalisation over the channels, or ``None``.
        activation: The activation's name.
        fan_in: How many numbers are added up into one output number.
        channels: Channels of the output.
        defers: Whether the activation is left to the maximum pooling that follows (``build`` sets
            it).
    """

    bias: nn.Parameter | None
    norm: nn.BatchNorm2d | None

    def __init__(
        self, *, weight: tuple[int, ...], biases: int, channels: int, fan_in: float, activation: str
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(weight))
        self.bias = nn.Parameter(torch.empty(biases))
        self.norm = None
        self.channels = channels
        self.defers = False
        self.activation = activation
        self.fan_in = fan_in

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        x = self.map(x)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.defers else ACTIVATIONS[self.activation].function(x)

    def map(self, x: Tensor) -> Tensor:
        """The linear map alone."""
        raise NotImplementedError

    def add_norm(self) -> None:
        """Put batch normalisation between the map and the activation; the biases, of no effect
        then, go.
        """
        self.norm = nn.BatchNorm2d(self.channels)
        self.bias = None

    @torch.no_grad()
    def fold_norm(self) -> None:
        """Replace batch normalisation, as it is in ``eval`` mode, by other weights and biases;
        exact to rounding.
        """
        if (norm := self.norm) is None:
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        # In float64, so that one rounding is all that folding costs.
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        self.rescale(scale, norm.bias.double() - norm.running_mean.double() * scale)
        self.norm = None

    @torch.no_grad()
    def rescale(self, scale: Tensor, shift: Tensor) -> None:
        """Let the map be ``scale · weight(x) + shift`` by channel, both (C',), whatever its biases
        were.
        """
        repeats = self.weight.shape[0] // self.channels if isinstance(self, Dense) else 1
        axis = 1 if isinstance(self, TransposedConvolution) else 0
        along = [1] * self.weight.dim()
        along[axis] = -1
        self.weight.copy_(self.weight * scale.repeat_interleave(repeats).view(along))
        self.bias = nn.Parameter(shift.repeat_interleave(repeats).to(self.weight.dtype))

    def extra_repr(self) -> str:
        """Shape of the weights and activation, for ``print(module)``."""
        return f"{tuple(self.weight.shape)}, activation={self.activation}"


class Convolution(ParametricLayer):
    """``conv``: weight (C', C, K, K); ``before`` and ``after`` are the zeros around the input."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        padding: tuple[int, int],
        activation: str,
    ) -> None:
        super().__init__(
            weight=(outputs, inputs, kernel, kernel),
            biases=outputs,
            channels=outputs,
            fan_in=inputs * kernel**2,
            activation=activation,
        )
        self.stride, self.dilation, self.padding = stride, dilation, padding

    def map(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        before, after = self.padding
        if before != after:
            x, before = F.pad(x, (before, after, before, after)), 0
        if self.stride == self.dilation == 1:
            return convolve(x, self.weight, self.bias, before)
        return F.conv2d(x, self.weight, self.bias, self.stride, before, self.dilation)


class TransposedConvolution(ParametricLayer):
    """``deconv``: weight (C, C', K, K), as torch has it."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        stride: int,
        padding: int,
        output_padding: int,
        activation: str,
    ) -> None:
        super().__init__(
            weight=(inputs, outputs, kernel, kernel),
            biases=outputs,
            channels=outputs,
            fan_in=inputs * max(1.0, kernel / stride) ** 2,
            activation=activation,
        )
        self.stride, self.padding, self.output_padding = stride, padding, output_padding

    def map(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        return F.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding
        )


class UpConvolution(ParametricLayer):
    """``up conv``: the same weights (C', C, K, K), K odd, and the same function, mostly without the
    upsampled tensor.

    Upsampling by S and then convolving meets each input pixel with a sum of neighbouring weights, a
    sum that depends on the output pixel's phase (its position modulo S). The sums are a fixed
    linear map of the weights, so gradients flow. There are three forms; the fastest one is taken
    (measured on a CPU, channels last, forward and backward):

    - few output channels, or half precision: all S² phases as channels of one convolution at low
      resolution, then shuffled into place;
    - where it suits ``winograd``, which needs 9 multiplications: upsampled, then convolved;
    - else: one transposed convolution of stride S with K + S − 1 weights a side. For K = 3, S = 2
      it takes 16 multiplications where 36 were needed.
    """

    phases: Tensor
    spread: Tensor

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, factor: int, activation: str
    ) -> None:
        super().__init__(
            weight=(outputs, inputs, kernel, kernel),
            biases=outputs,
            channels=outputs,
            fan_in=inputs * kernel**2,
            activation=activation,
        )
        self.kernel, self.factor = kernel, factor
        self.few = outputs <= 8
        reach = kernel // 2
        self.margin = -(-reach // factor)
        # Along one side: which weight (the last axis) is part of which sum.
        phases = torch.zeros(factor, 2 * self.margin + 1, kernel)
        spread = torch.zeros(kernel + factor - 1, kernel)
        for tap in range(kernel):
            for phase in range(factor):
                phases[phase, (phase + tap - reach) // factor + self.margin, tap] = 1
                spread[kernel - 1 - tap + phase, tap] = 1
        # Along both sides, as matrices (K², sums).
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
        if winograd.is_faster(
            x, self.weight, outputs=self.channels, kernel=self.kernel, padding=self.kernel // 2
        ):
            return convolve(
                F.interpolate(x, scale_factor=self.factor), self.weight, self.bias, self.kernel // 2
            )
        return self.convolve_transposed(x)

    def convolve_phases(self, x: Tensor) -> Tensor:
        """Convolve once for all phases, as channels, and shuffle them into place."""
        outputs, inputs, _, _ = self.weight.shape
        count, _, height, width = x.shape
        factor, side = self.factor, 2 * self.margin + 1
        sums = (self.weight.flatten(2) @ self.phases).view(outputs, inputs, factor**2, side, side)
        kernel = sums.permute(2, 0, 1, 3, 4).reshape(factor**2 * outputs, inputs, side, side)
        bias = None if self.bias is None else self.bias.repeat(factor**2)
        y = convolve(x, kernel, bias, self.margin)
        # One copy, from and to channels last: F.pixel_shuffle wants the phases innermost and is
        # slower.
        y = y.permute(0, 2, 3, 1).reshape(count, height, width, factor, factor, outputs)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(count, factor * height, factor * width, outputs)
        return y.permute(0, 3, 1, 2)

    def convolve_transposed(self, x: Tensor) -> Tensor:
        """Convolve once, transposed, with the phases' sums as taps."""
        side = self.kernel + self.factor - 1
        sums = (self.weight.flatten(2) @ self.spread).view(*self.weight.shape[:2], side, side)
        return F.conv_transpose2d(x, sums.transpose(0, 1), self.bias, self.factor, self.kernel // 2)


class Dense(ParametricLayer):
    """``dense``: every number of x into every number of an image of ``shape`` (C', H', W')."""

    def __init__(self, inputs: int, shape: tuple[int, int, int], *, activation: str) -> None:
        outputs = shape[0] * shape[1] * shape[2]
        super().__init__(
            weight=(outputs, inputs),
            biases=outputs,
            channels=shape[0],
            fan_in=inputs,
            activation=activation,
        )
        self.shape = shape

    def map(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        return F.linear(x.flatten(1), self.weight, self.bias).view(-1, *self.shape)


class ActivationLayer(nn.Module):
    """A layer without a linear map of its own, and its activation (``none`` unless written)."""

    def __init__(self, function: Callable[[Tensor], Tensor], *, activation: str) -> None:
        super().__init__()
        self.function, self.activation = function, activation

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        return ACTIVATIONS[self.activation].function(self.function(x))

    def extra_repr(self) -> str:
        """Name the activation, for ``print(module)``."""
        return f"activation={self.activation}"


class GroupNorm(nn.GroupNorm):
    """``norm``: half precision is normalised in float32, which is more exact, and on a CPU
    faster.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        y = F.group_norm(
            x.to(dtype), self.num_groups, self.weight.to(dtype), self.bias.to(dtype), self.eps
        )
        return y.to(x.dtype)


class Classifier(nn.Module):
    """``classify``: x itself; apart from that, logits W·mean(x) + b, the mean over all positions.

    Where labels are known in training, their cross-entropy makes the representation one of objects
    and not only of textures: the joint training of a colorizer and a classifier of Iizuka et al.
    (2016, ACM TOG 35(4) 110). An answer needs neither the labels nor the map.
    """

    def __init__(self, channels: int, *, classes: int) -> None:
        super().__init__()
        self.linear = Dense(channels, (classes, 1, 1), activation="none")

    def forward(self, x: Tensor) -> Tensor:
        """Return x, (N, C, H, W)."""
        return x

    def logits(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, classes)."""
        logits: Tensor = self.linear(x.mean((2, 3), keepdim=True))
        return logits.flatten(1)


class GlobalContext(nn.Module):
    """``context``: x + W·mean(x) + b, the mean over all positions, the sum at every position.

    This is a 1×1 convolution of x and its mean side by side, with the identity for x: the fusion of
    global features in ParseNet (Liu et al. 2015, arXiv 1506.04579) and in the colorizer of Iizuka
    et al. (2016, ACM TOG 35(4) 110).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = Dense(channels, (channels, 1, 1), activation="none")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        y: Tensor = self.linear(x.mean((2, 3), keepdim=True))
        return x + y


class SqueezeExcitation(nn.Module):
    """``excite``: x · σ(W₂ ReLU(W₁·mean(x) + b₁) + b₂), a gate for every channel (Hu et al. 2018,
    arXiv 1709.01507).

    There are C / ``reduction`` hidden units; ``reduction`` divides C.
    """

    def __init__(self, channels: int, *, reduction: int) -> None:
        super().__init__()
        hidden = channels // reduction
        self.squeeze = Dense(channels, (hidden, 1, 1), activation="none")
        self.excite = Dense(hidden, (channels, 1, 1), activation="none")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))


class SelfAttention(nn.Module):
    """``attend``: multi-head self-attention over the H·W positions (Vaswani et al. 2017, arXiv
    1706.03762).

    Each head has C / ``heads`` channels; ``heads`` divides C. There is no encoding of positions:
    convolutions with zero padding around it know where they are. It neither normalises x nor adds
    it back; ``(norm attend)`` does, the form that diffusion models use at low resolutions (Ho et
    al. 2020, arXiv 2006.11239).
    """

    def __init__(self, channels: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projections = Convolution(
            channels, 3 * channels, kernel=1, padding=(0, 0), activation="none"
        )
        self.output = Convolution(channels, channels, kernel=1, padding=(0, 0), activation="none")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        count, channels, height, width = x.shape
        # Queries, keys and values, each (N, heads, H·W, C / heads); where channels are last these
        # are views.
        projected = self.projections(x).permute(0, 2, 3, 1)
        projected = projected.reshape(count, height * width, 3, self.heads, channels // self.heads)
        queries, keys, values = projected.permute(2, 0, 3, 1, 4).unbind()
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        mixed = mixed.transpose(1, 2).reshape(count, height, width, channels).permute(0, 3, 1, 2)
        y: Tensor = self.output(mixed)
        return y


_GENERATOR: ContextVar[torch.Generator | None] = ContextVar("generator", default=None)


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let every :class:`Dropout` that runs in this thread, while the block does, draw from
    ``generator``.

    Threads that train at once need generators of their own: shared, one would give each of them
    other numbers every time. The backward pass draws nothing.
    """
    token = _GENERATOR.set(generator)
    try:
        yield
    finally:
        _GENERATOR.reset(token)


class Dropout(nn.Module):
    """``dropout``: in training, channels of single images become 0 with ``probability`` p, the
    others x / (1 − p).

    In evaluation it is the identity. Whole channels are dropped, not single numbers, because
    neighbours in a feature map are so alike that they would make up for each other (Tompson et al.
    2015, arXiv 1411.4280); behind ``dense64``, where a channel is one number, this is the dropout
    of Srivastava et al. (2014).

    Numbers come from the generator of :func:`drawing_from`, and are the same on every device if
    that is a CPU's; outside of it they come from torch's global generator.
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
        kept = (drawn >= self.probability).to(x.device, x.dtype, non_blocking=True)
        return x * (kept / (1 - self.probability))

    def extra_repr(self) -> str:
        """Name the probability, for ``print(module)``."""
        return f"probability={self.probability}"
