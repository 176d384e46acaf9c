"""What one layer does to a shape, and what it costs: arithmetic on (C, H, W), no torch."""

from collections.abc import Callable

from caelab.networks.ast import KINDS, Layer

Shape = tuple[int, int, int]
"""Channels, height, width."""

Margins = tuple[int, int]
"""Padding before and after, the same for height and width."""


MOST_PAIRS = 2**24
"""Most attention weights, heads · positions², of one ``attend`` on one image: 64×64 positions with
one head."""


class MisfitError(ValueError):
    """A layer, or a bracket, does not fit the shape it is given. The caller knows the place in the
    text.
    """


def format_shape(shape: Shape) -> str:
    """``(8, 32, 32)`` as ``8×32×32``."""
    return "×".join(map(str, shape))


def size_of(shape: Shape) -> int:
    """C·H·W: how many numbers a representation holds."""
    return shape[0] * shape[1] * shape[2]


def number(layer: Layer) -> int:
    """The layer's whole number, where it has one (channels, window, heads, …); its default where
    none is written.
    """
    return layer.number or KINDS[layer.name].default or 0


def convolution_padding(layer: Layer) -> Margins:
    """Zeros around the input of a ``conv``.

    "Same" puts (K − 1)·D zeros around at stride 1, the odd one after, so that the size stays; at
    larger strides ⌊(K − 1)·D / 2⌋ on either side, so that a multiple of the stride is divided by
    it.
    """
    if layer.padding is not None:
        return layer.padding, layer.padding
    total = (layer.kernel - 1) * layer.dilation
    before = total // 2
    return before, total - before if layer.stride == 1 else before


def transposed_padding(layer: Layer) -> tuple[int, int]:
    """Padding P and output padding O of a ``deconv``, whose output has (W − 1)·S + K − 2P + O
    pixels a side.

    "Same" makes that W·S: P = ⌈(K − S) / 2⌉ (not below 0), O = S − K + 2P. A number or ``v`` is P,
    with O = 0.

    Raises:
        MisfitError: Stride 1 with an even kernel has no symmetric "same".
    """
    if layer.padding is not None:
        return layer.padding, 0
    padding = max(0, -((layer.stride - layer.kernel) // 2))
    output_padding = layer.stride - layer.kernel + 2 * padding
    if output_padding and layer.stride == 1:
        raise MisfitError(
            "deconv of stride 1 and an even kernel: use an odd kernel, or write the padding (v"
            " or p)"
        )
    return padding, output_padding


def group_count(layer: Layer, channels: int) -> int:
    """Groups of a ``norm``: its number; without one, the most that divide C, at least 4 channels
    each, at most 32.
    """
    if layer.number is not None:
        return layer.number
    most = max(1, min(32, channels // 4))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """The shape after ``layer`` is applied to ``shape``.

    A convolution's side is ⌊(W − K + 2P) / S⌋ + 1, with K = (k − 1)·D + 1 where it is dilated; a
    pool's ⌊W / S⌋.

    Raises:
        MisfitError: The layer does not fit; the message says why.
    """
    channels, height, width = shape
    value = number(layer)

    def sides(side: Callable[[int], int]) -> tuple[int, int]:
        return side(height), side(width)

    match layer.name:
        case "conv":
            extent = (layer.kernel - 1) * layer.dilation + 1
            margin = sum(convolution_padding(layer))
            if min(height, width) + margin < extent:
                raise MisfitError(
                    f"a kernel {extent} wide on {format_shape(shape)} with {margin} of padding"
                )
            return value, *sides(lambda side: (side + margin - extent) // layer.stride + 1)
        case "deconv":
            padding, extra = transposed_padding(layer)
            grown = sides(
                lambda side: (side - 1) * layer.stride + layer.kernel - 2 * padding + extra
            )
            if min(grown) < 1:
                raise MisfitError(f"a padding of {padding} leaves nothing of {format_shape(shape)}")
            return value, *grown
        case "dense":
            return value, layer.height, layer.width
        case "pool" | "avgpool":
            if min(height, width) < value:
                raise MisfitError(f"a window of {value}×{value} on {format_shape(shape)}")
            return channels, *sides(lambda side: side // value)
        case "up" | "upbilinear":
            return channels, *sides(lambda side: side * value)
        case "shuffle":
            if channels % value**2:
                raise MisfitError(
                    f"{channels} channels are not a multiple of {value}² = {value**2}"
                )
            return channels // value**2, *sides(lambda side: side * value)
        case "unshuffle":
            if height % value or width % value:
                raise MisfitError(f"{height}×{width} pixels are not a multiple of {value}")
            return channels * value**2, *sides(lambda side: side // value)
        case "norm" if channels % group_count(layer, channels):
            raise MisfitError(f"{channels} channels are not a multiple of {layer.number} groups")
        case "excite" if channels % value:
            raise MisfitError(f"{channels} channels are not a multiple of the reduction {value}")
        case "attend" if channels % value:
            raise MisfitError(f"{channels} channels are not a multiple of {value} heads")
        case "attend" if (pairs := value * (height * width) ** 2) > MOST_PAIRS:
            raise MisfitError(
                f"{height}×{width} positions have {pairs:,} attention weights, of at most"
                f" {MOST_PAIRS:,}"
            )
    return shape


def remainder(layer: Layer, shape: Shape) -> int:
    """Pixels at the right or lower border that the layer's stride leaves out and a decoder cannot
    bring back.
    """
    if layer.name in ("pool", "avgpool"):
        return max(side % number(layer) for side in shape[1:])
    if layer.name == "conv" and layer.padding is None and layer.stride > 1:
        return max(-side % layer.stride for side in shape[1:])
    return 0


def weight_count(layer: Layer, shape: Shape) -> int:
    """Weights and biases of the layer's linear maps on ``shape``; a norm's scales and shifts."""
    channels = shape[0]
    match layer.name:
        case "conv" | "deconv":
            return number(layer) * (channels * layer.kernel**2 + 1)
        case "dense":
            return number(layer) * layer.height * layer.width * (size_of(shape) + 1)
        case "norm" | "batchnorm":
            return 2 * channels
        case "context":
            return channels * (channels + 1)
        case "excite":
            hidden = channels // number(layer)
            return hidden * (channels + 1) + channels * (hidden + 1)
        case "attend":
            return 4 * channels * (channels + 1)
        case "classify":
            return number(layer) * (channels + 1)
    return 0


def multiply_accumulates(layer: Layer, shape: Shape) -> int:
    """Multiply-accumulates of the layer's linear maps, taken literally, padding included, and of
    attention's products.

    Other layers count 0; so does ``classify``, as an answer does without it.
    """
    channels, height, width = shape
    match layer.name:
        case "conv":
            _, rows, columns = output_shape(layer, shape)
            return number(layer) * rows * columns * channels * layer.kernel**2
        case "deconv":
            return channels * height * width * number(layer) * layer.kernel**2
        case "dense":
            return number(layer) * layer.height * layer.width * channels * height * width
        case "context":
            return channels**2
        case "excite":
            return 2 * channels * (channels // number(layer))
        case "attend":
            return 4 * channels**2 * height * width + 2 * channels * (height * width) ** 2
    return 0


def merges(first: Layer, second: Layer) -> bool:
    """Whether ``first second`` is an ``up conv`` that ``build`` rewrites: one convolution at low
    resolution.
    """
    return (
        first.name == "up"
        and first.activation in (None, "none")
        and second.name == "conv"
        and (second.stride, second.dilation) == (1, 1)
        and convolution_padding(second) == (second.kernel // 2,) * 2
        and second.kernel % 2 == 1
    )
