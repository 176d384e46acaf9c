"""What a network's code costs in bytes when it is quantized, and the error that this adds.

Stored as ``float32``, the reference network's code of 1,024 numbers takes 4,096 bytes: more than
the 3,072 of a 32×32 image. Its size in bytes means something only after quantization.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import entropy
from torch import Tensor

from caelab.data.device_images import DeviceImages
from caelab.metrics.image_metrics import squared_error
from caelab.models.image_model import ImageModel
from caelab.models.inference import Inference, restoring

FLOAT_BITS = 32
"""Bits of a number of the code that is not quantized."""


@dataclass(frozen=True, kw_only=True)
class CodeCost:
    """Size and error of a code at one precision.

    Attributes:
        bits: Bits of a number of the code; ``FLOAT_BITS`` for the code as the network gives it.
        numbers: Numbers of the code.
        bytes: Bytes of an image's code, rounded up. The ranges of the channels belong to the model
            and are not counted.
        entropy_bytes: Mean bytes of an image's code if an ideal coder spends on each number the
            empirical entropy of its channel: the bound for coders that see no dependence between
            numbers. The entropy is that of the measured images, so it is a little low where a
            channel has few numbers. ``None`` for ``float32``.
        image_bytes: Bytes of the image itself, one for each of its values.
        mse: Mean over images of the reconstruction's MSE on [0, 1].
        n: Number of measured images.
    """

    bits: int
    numbers: int
    bytes: int
    entropy_bytes: float | None
    image_bytes: int
    mse: float
    n: int

    @property
    def larger_than_image(self) -> bool:
        """Whether storing the image itself, without loss, would take no more bytes."""
        return self.bytes >= self.image_bytes


@torch.no_grad()
def code_costs(
    model: ImageModel,
    train: DeviceImages,
    measured: DeviceImages,
    *,
    bits: Sequence[int] = (8, 6, 4),
    batch_size: int = 512,
) -> tuple[CodeCost, ...]:
    """Return the cost of a model's code as ``float32`` and quantized, with the remaining error.

    Args:
        model: A model whose network can be cut in two at its code, and which reconstructs its
            input. It is measured without test-time augmentation, which needs several codes.
        train: Training images; they alone give the range of each channel.
        measured: Images that entropy and error are measured on.
        bits: Bits of a quantized number, from 1 to 8.
        batch_size: Images at a time.

    Raises:
        InputError: The network has no code, or a skip connection around it.
    """
    inference = Inference(model)

    def encode(pixels: DeviceImages) -> Tensor:
        batches = pixels.batches(batch_size)
        return torch.cat([inference.encode(pixels.batch(rows)) for rows in batches])

    def cost(precision: int, codes: Tensor, entropy_bytes: float | None) -> CodeCost:
        errors = [
            squared_error(inference.decode(codes[rows]), measured.batch(rows))
            for rows in measured.batches(batch_size)
        ]
        numbers = codes[0].numel()
        return CodeCost(
            bits=precision,
            numbers=numbers,
            bytes=-(-numbers * precision // 8),
            entropy_bytes=entropy_bytes,
            image_bytes=int(np.prod(measured.shape)),
            mse=float(torch.cat(errors).double().mean()),
            n=len(measured),
        )

    with restoring(model):
        # The range belongs to the decoder, so it must not depend on the images that are measured.
        low, high = channel_ranges(encode(train))
        codes = encode(measured)
        costs = [cost(FLOAT_BITS, codes, None)]
        for precision in bits:
            levels, values = quantize(codes, low, high, bits=precision)
            entropy_bytes = entropy_bits(levels) / len(codes) / 8
            costs.append(cost(precision, values, entropy_bytes))
    return tuple(costs)


def channel_ranges(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return each channel's smallest and largest value, ``(N, C, H, W)`` → two ``(C, 1, 1)``."""
    return codes.amin((0, 2, 3), keepdim=True)[0], codes.amax((0, 2, 3), keepdim=True)[0]


def quantize(codes: Tensor, low: Tensor, high: Tensor, *, bits: int) -> tuple[Tensor, Tensor]:
    """Quantize codes uniformly, channel by channel; values out of range are clipped.

    Args:
        codes: Codes ``float32 (N, C, H, W)``.
        low: Value of the first level in each channel, ``(C, 1, 1)``.
        high: Value of the last level in each channel, ``(C, 1, 1)``.
        bits: Logarithm to base 2 of the number of levels.

    Returns:
        The nearest levels, ``int64 (N, C, H, W)`` from 0 to 2 ** bits − 1, and the codes that they
        stand for, ``float32 (N, C, H, W)``.

    >>> zero = torch.zeros(1, 1, 1)
    >>> quantize(torch.tensor([[[[0.3, 7.0]]]]), zero, zero + 1, bits=1)
    (tensor([[[[0, 1]]]]), tensor([[[[0., 1.]]]]))
    """
    step = (high - low) / (2**bits - 1)
    step = torch.where(step > 0, step, 1.0)  # of a constant channel
    levels = ((codes - low) / step).round_().clamp_(0, 2**bits - 1).long()
    return levels, low + levels * step


def entropy_bits(levels: Tensor) -> float:
    """Return the bits that all symbols take if each channel has its ideal memoryless coder.

    Args:
        levels: Symbols ``int64 (N, C, H, W)``, not negative.

    >>> entropy_bits(torch.tensor([0, 0, 1, 1]).view(4, 1, 1, 1))
    4.0
    """
    channels = levels.transpose(0, 1).flatten(1).cpu().numpy()
    bits = [entropy(np.bincount(channel), base=2) for channel in channels]
    return float(np.sum(bits) * channels.shape[1])
